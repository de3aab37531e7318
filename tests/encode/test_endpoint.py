"""Text vectors from a real HTTP server on this machine that speaks the embeddings protocol."""

import hashlib
import json
import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from salon.encode import large_http
from salon.encode.large_endpoint import Endpoint
from salon.encode.plan import plan
from salon.encode.run import encode_items
from salon.errors import MediaError, SalonError, SettingError, WeightsError
from salon.testing import check_encoder

WIDTH = 6
TEXTS = ["A red bicycle", "Blue running shoes", "红色的城市自行车"]


def vector(text: str, dim: int) -> list[float]:
    """Numbers that follow from the text alone."""
    seed = int.from_bytes(hashlib.sha256(text.encode()).digest()[:4], "big")
    return [float(x) for x in np.random.default_rng(seed).standard_normal(dim).astype(np.float32)]


class Model:
    """What the server does, and what it was asked."""

    def __init__(self) -> None:
        self.requests: list[dict[str, Any]] = []
        self.headers: list[dict[str, str]] = []
        self.before: list[tuple[int, dict[str, str], str]] = []
        self.change: Callable[[dict[str, Any]], Any] = lambda answer: answer
        self.url = ""

    def answer(self, body: dict[str, Any]) -> Any:
        dim = body.get("dimensions", WIDTH)
        data = [{"index": i, "embedding": vector(text, dim)} for i, text in enumerate(body["input"])]
        return self.change({"object": "list", "model": body["model"], "data": data[::-1]})


@pytest.fixture
def model() -> Iterator[Model]:
    served = Model()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            served.requests.append({"path": self.path, **body})
            served.headers.append(dict(self.headers))
            if served.before:
                code, headers, text = served.before.pop(0)
                raw = text.encode()
            else:
                code, headers, raw = 200, {}, json.dumps(served.answer(body)).encode()
            self.send_response(code)
            for name, value in {"Content-Length": str(len(raw)), **headers}.items():
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(raw)

        def log_message(self, *args: Any) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True)
    thread.start()
    served.url = f"http://127.0.0.1:{server.server_port}/v1"
    yield served
    server.shutdown()
    server.server_close()
    thread.join()


def encoder(model: Model, **settings: Any) -> Endpoint:
    return Endpoint(model="tiny-embed", base_url=model.url, **settings)


def test_endpoint_keeps_the_contract(model: Model) -> None:
    check_encoder(Endpoint, TEXTS, model="tiny-embed", base_url=model.url)
    check_encoder(Endpoint, TEXTS, model="tiny-embed", base_url=model.url, dim=4, normalise=False, batch_size=2)


def test_vectors_are_put_in_the_order_of_the_texts(model: Model) -> None:
    found = encoder(model, normalise=False).encode(TEXTS)
    assert np.allclose(found, [vector(text, WIDTH) for text in TEXTS])
    unit = encoder(model).encode(TEXTS)
    assert np.allclose(np.linalg.norm(unit, axis=1), 1)
    assert np.allclose(unit * np.linalg.norm(found, axis=1, keepdims=True), found, atol=1e-5)


def test_texts_go_in_batches_with_their_prompts_and_cut(model: Model) -> None:
    one = encoder(model, batch_size=2, document_prompt="passage: ", query_prompt="query: ", max_chars=16)
    one.encode([*TEXTS, "x" * 100])
    assert [len(request["input"]) for request in model.requests] == [2, 2]
    assert model.requests[0]["input"][0] == "passage: A red bicycle"
    assert model.requests[1]["input"][1] == "passage: " + "x" * 16
    one.encode_query(["shoes"])
    assert model.requests[-1] == {"path": "/v1/embeddings", "model": "tiny-embed", "input": ["query: shoes"]}


def test_the_key_is_sent_and_kept_nowhere(model: Model, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("TINY_KEY", "sesame-12345")
    one = encoder(model, key_env="TINY_KEY")
    one.encode(TEXTS)
    assert model.headers[-1]["Authorization"] == "Bearer sesame-12345"
    one.save(tmp_path / "saved")
    assert not [p for p in (tmp_path / "saved").rglob("*") if p.is_file() and b"sesame" in p.read_bytes()]
    assert "sesame" not in repr(one.settings) + one.fingerprint + one.version
    model.before = [(401, {}, '{"error": "wrong key sesame-12345"}')]
    with pytest.raises(SettingError, match=r"refuses access \(401\)") as raised:
        one.encode(TEXTS)
    assert "sesame" not in str(raised.value)
    assert "TINY_KEY" in str(raised.value)
    monkeypatch.delenv("TINY_KEY")
    with pytest.raises(SettingError, match="'TINY_KEY'"):
        one.encode(TEXTS)


def test_a_busy_server_is_asked_again(model: Model) -> None:
    model.before = [(429, {"Retry-After": "0"}, "slow down"), (503, {"Retry-After": "0"}, "")]
    assert encoder(model).encode(TEXTS).shape == (3, WIDTH)
    assert len(model.requests) == 3


def test_retry_after_is_waited_for_and_bounded(model: Model, monkeypatch: pytest.MonkeyPatch) -> None:
    slept: list[float] = []
    monkeypatch.setattr(large_http.time, "sleep", slept.append)
    model.before = [(429, {"Retry-After": "2"}, ""), (429, {"Retry-After": "86400"}, ""), (500, {}, "")]
    encoder(model).encode(TEXTS)
    assert slept == [2.0, 60.0, 2.0]
    model.before = [(429, {"Retry-After": "Wed, 21 Oct 2015 07:28:00 GMT"}, "")]
    encoder(model).encode(TEXTS)
    assert slept[-1] == 0.0


@pytest.mark.parametrize(
    ("code", "error", "words"),
    [
        (400, SettingError, "input too long"),
        (403, SettingError, "refuses access"),
        (404, SettingError, "no such model"),
        (503, WeightsError, r"failed 2 times \(503\)"),
        (302, SettingError, "send us elsewhere"),
    ],
)
def test_refusals_say_why(model: Model, code: int, error: type[SalonError], words: str) -> None:
    headers = {"Retry-After": "0", "Location": "http://127.0.0.1:1/stolen"}
    model.before = [(code, headers, "input too long")] * 2
    with pytest.raises(error, match=words):
        encoder(model, retries=1).encode(TEXTS)
    assert len(model.requests) == (2 if code == 503 else 1)


@pytest.mark.parametrize(
    "change",
    [
        lambda answer: {"data": answer["data"][:2]},
        lambda answer: {"data": answer["data"] + answer["data"][:1]},
        lambda answer: {"data": []},
        lambda answer: {"error": "no"},
        lambda answer: ["not", "an", "object"],
        lambda answer: {"data": [{**row, "embedding": [1.0] * (row["index"] + 1)} for row in answer["data"]]},
        lambda answer: {"data": [{**row, "embedding": "AAAA"} for row in answer["data"]]},
        lambda answer: {"data": [{**row, "embedding": [None, 1.0]} for row in answer["data"]]},
        lambda answer: {"data": [{**row, "embedding": [float("nan"), 1.0]} for row in answer["data"]]},
        lambda answer: {"data": [{**row, "embedding": [float("inf"), 1.0]} for row in answer["data"]]},
        lambda answer: {"data": [{**row, "embedding": []} for row in answer["data"]]},
        lambda answer: {"data": [{"embedding": row["embedding"]} for row in answer["data"]]},
    ],
)
def test_answers_that_are_no_vectors_are_refused(model: Model, change: Callable[[dict[str, Any]], Any]) -> None:
    model.change = change
    with pytest.raises(WeightsError, match=r"127\.0\.0\.1"):
        encoder(model).encode(TEXTS)


def test_something_else_than_json_is_refused(model: Model) -> None:
    model.before = [(200, {}, "<html>welcome</html>")]
    with pytest.raises(WeightsError, match="something else than JSON"):
        encoder(model).encode(TEXTS)


def test_a_huge_answer_is_not_read(model: Model, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(large_http, "MAX_BYTES", 1 << 20)
    model.before = [(200, {}, " " * ((1 << 20) + 1))]
    with pytest.raises(WeightsError, match="more than 1 MiB"):
        encoder(model).encode(TEXTS)


def test_another_dimension_than_asked_for_is_refused(model: Model) -> None:
    model.change = lambda answer: {"data": [{**row, "embedding": [1.0] * WIDTH} for row in answer["data"]]}
    with pytest.raises(SettingError, match=r"dim = 4, but 'tiny-embed'.* gives 6 numbers"):
        encoder(model, dim=4).encode(TEXTS)


def test_a_server_that_is_not_there_is_named(model: Model) -> None:
    with pytest.raises(WeightsError, match=r"http://127.0.0.1:9/v1 cannot be reached"):
        Endpoint(model="m", base_url="http://127.0.0.1:9/v1", retries=0).encode(TEXTS)


@pytest.mark.parametrize(
    ("url", "words"),
    [
        ("file:///etc/passwd", "no address of a server"),
        ("ftp://example.org/v1", "no address of a server"),
        ("example.org/v1", "no address of a server"),
        ("https://example.org/v1?key=abc", "no address of a server"),
        ("https://me:secret@example.org/v1", "holds a name or password"),
        ("http://example.org/v1", "in the clear"),
        ("http://127.0.0.1.example.org/v1", "in the clear"),
    ],
)
def test_unsafe_addresses_are_refused(url: str, words: str) -> None:
    with pytest.raises(SettingError, match=words) as raised:
        Endpoint(model="m", base_url=url).encode(TEXTS)
    assert "secret" not in str(raised.value)


def test_the_space_is_that_of_the_model_and_not_of_the_prompts(model: Model) -> None:
    plain, prompted = encoder(model), encoder(model, document_prompt="passage: ")
    assert plain.space == prompted.space
    assert plain.fingerprint != prompted.fingerprint
    assert encoder(model, timeout=5, batch_size=3).fingerprint == plain.fingerprint
    for other in (encoder(model, revision="b"), encoder(model, dim=4), encoder(model, normalise=False)):
        assert other.space != plain.space


def test_a_catalogue_is_encoded_by_an_endpoint(model: Model, make_items: Callable[..., Any]) -> None:
    items = make_items(title=("text", ["A red bicycle", None, "<br>", "photo.jpg"]))
    spec = {"text": {"name": "endpoint", "model": "tiny-embed", "base_url": model.url, "normalise": False}}
    assert plan(items, spec)[0].encoder.settings.model == "tiny-embed"
    features, problems = encode_items(items, spec)
    assert features["text"].present.tolist() == [True, False, False, True]
    assert np.allclose(features["text"].vectors[3], vector("photo.jpg", WIDTH))
    assert [problem.id for problem in problems] == ["item-2"]
    with pytest.raises(MediaError, match="after cleaning"):
        encoder(model).encode(["<br>"])
