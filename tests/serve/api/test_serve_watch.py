"""What whoever runs the server sees: numbers, log lines, spans; and the settings it is given."""

import io
import json
import logging
import re
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from opentelemetry import trace
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from prometheus_client.parser import text_string_to_metric_families
from serve_double import Running

from salon.errors import SettingError
from salon.language.sentences import Sentence
from salon.serve import telemetry
from salon.serve.logs import REQUEST_ID, JsonFormatter, configure
from salon.serve.metrics import Metrics
from salon.serve.settings import ServeSettings, read_settings
from salon.serve.values import Reply, Served

# -- numbers -----------------------------------------------------------------------------------------------------------


def samples(text: str) -> dict[tuple[str, tuple[tuple[str, str], ...]], float]:
    found = {}
    for family in text_string_to_metric_families(text):
        for sample in family.samples:
            found[sample.name, tuple(sorted(sample.labels.items()))] = sample.value
    return found


def test_answers_are_counted_by_route_source_and_note(served: Running) -> None:
    for _ in range(3):
        served.client.post("/v1/recommend", json={"user": "nobody", "k": 4}, headers=served.headers())
    served.client.post("/v1/recommend", json={"k": 0}, headers=served.headers())
    served.client.get("/v1/items/some-id-of-somebody", headers=served.headers())
    served.client.post("/v1/events", json={"user": "u", "item": "a-1"}, headers=served.headers())
    text = served.client.get("/metrics", headers=served.headers("read")).text
    found = samples(text)
    route = (("method", "POST"), ("route", "/v1/recommend"))
    assert found["salon_http_seconds_count", (*route, ("status", "200"))] == 3
    assert found["salon_http_seconds_count", (*route, ("status", "422"))] == 1
    assert found["salon_items_served_total", (("source", "popular"),)] == 12
    assert found["salon_notes_total", (("note", "no_history"),)] == 3
    assert found["salon_events_stored_total", ()] == 1
    assert found["salon_coverage", ()] == 0.5
    assert found["salon_model_age_seconds", ()] == 10.0
    assert found["salon_modality_coverage", (("modality", "text"),)] == 1.0
    assert found["salon_placement_click_through", (("scenario", "home"), ("variant", "b"))] == 0.25
    assert ("salon_click_through", ()) not in found, "what is not known is not told as a number"
    assert "somebody" not in text
    assert "nobody" not in text


def test_numbers_are_told_without_a_key_only_where_the_settings_say_so(serving: Callable[..., Running]) -> None:
    assert serving().client.get("/metrics").status_code == 401
    assert serving(open_metrics=True).client.get("/metrics").status_code == 200


def test_numbers_are_told_while_the_service_cannot_tell_its_own() -> None:
    def away() -> dict[str, object]:
        raise RuntimeError("the store is away")

    logging.getLogger("salon.serve.metrics").disabled = True
    try:
        metrics = Metrics(away)
        metrics.answered(Reply("r", (Served("a", "", 1.0, "linear"),)))
        assert 'salon_items_served_total{source="linear"} 1.0' in metrics.page().decode()
    finally:
        logging.getLogger("salon.serve.metrics").disabled = False


def test_no_note_brings_an_id_into_a_label() -> None:
    metrics = Metrics(dict)
    unknown = Sentence("unknown_ids", "zh", count=2, where="exclude", first="secret")
    metrics.answered(Reply("r", (), notes=(unknown, unknown, "secret")))
    page = metrics.page().decode()
    assert 'salon_notes_total{note="unknown_ids"} 2.0' in page
    assert 'salon_notes_total{note="other"} 1.0' in page
    assert "secret" not in page


# -- log lines ---------------------------------------------------------------------------------------------------------


@pytest.fixture
def lines() -> Iterator[Callable[[], list[dict[str, object]]]]:
    """The log lines since the test began, set up as the command line does."""
    root = logging.getLogger()
    before, level = root.handlers[:], root.level
    stream = io.StringIO()
    configure("INFO", stream)
    yield lambda: [json.loads(line) for line in stream.getvalue().splitlines()]
    root.handlers[:] = before
    root.setLevel(level)


def test_each_call_is_one_line_of_json_that_names_no_person(served: Running, lines: Callable[..., list]) -> None:
    headers = {**served.headers("write"), "X-Request-ID": "call-1"}
    served.client.get("/v1/users/a-person?", headers=headers)
    (line,) = [line for line in lines() if line["logger"] == "salon.access"]
    assert line["request_id"] == "call-1"
    assert (line["method"], line["route"], line["status"]) == ("GET", "/v1/users/{id:path}", 404)
    assert line["key"] == served.keys["write"].split("_")[1]
    assert line["milliseconds"] >= 0
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}", line["time"])
    assert "a-person" not in json.dumps(line)


def test_lines_of_a_call_have_its_id_in_every_thread(
    served: Running, lines: Callable[..., list], monkeypatch: pytest.MonkeyPatch
) -> None:
    def noisy(language: str) -> dict[str, object]:
        logging.getLogger("salon.somewhere").warning("deep inside")
        return {}

    monkeypatch.setattr(served.service, "quality", noisy)
    served.client.get("/v1/quality", headers={**served.headers(), "X-Request-ID": "call-2"})
    assert [line["request_id"] for line in lines() if line["message"] == "deep inside"] == ["call-2"]


def test_a_line_with_an_error_stays_one_line() -> None:
    try:
        raise ValueError("two\nlines")
    except ValueError:
        record = logging.getLogger("x").makeRecord("x", logging.ERROR, "", 0, "it %s", ("broke",), None)
        record.exc_info = sys.exc_info()
    token = REQUEST_ID.set("r")
    line = JsonFormatter().format(record)
    REQUEST_ID.reset(token)
    assert "\n" not in line
    assert json.loads(line)["message"] == "it broke"
    assert "ValueError" in json.loads(line)["error"]


# -- spans -------------------------------------------------------------------------------------------------------------


def test_spans_are_made_where_opentelemetry_is_set_up(served: Running, monkeypatch: pytest.MonkeyPatch) -> None:
    exporter, provider = InMemorySpanExporter(), TracerProvider()
    provider.add_span_processor(SimpleSpanProcessor(exporter))
    monkeypatch.setattr(trace, "get_tracer", lambda *_, **__: provider.get_tracer("salon"))
    served.client.post("/v1/recommend", json={"k": 1}, headers=served.headers())
    (span,) = [one for one in exporter.get_finished_spans() if one.name == "recommend"]
    assert span.attributes == {"asks": 1}


def test_nothing_is_needed_where_opentelemetry_is_absent(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(telemetry, "trace", None)
    with telemetry.span("recommend", asks=1):
        pass


# -- settings ----------------------------------------------------------------------------------------------------------


def test_settings_come_from_a_file_and_options_win(tmp_path: Path) -> None:
    path = tmp_path / "salon.toml"
    path.write_text(
        '[serve]\nport = 9000\nopen_metrics = true\n[serve.limits]\nk = 50\n[serve.tenants.b]\nmodel = "b/"\n'
    )
    settings = read_settings(path, port=9001, host=None)
    assert (settings.port, settings.host, settings.open_metrics, settings.limits.k) == (9001, "127.0.0.1", True, 50)
    assert settings.tenants["b"].model == "b/"
    assert read_settings(None) == ServeSettings()


@pytest.mark.parametrize(
    ("given", "told"),
    [
        ({"prt": 1}, "Unknown setting 'prt'.*Did you mean 'port'"),
        ({"port": 70000}, "port"),
        ({"tls_cert": "cert.pem"}, "both tls_cert and tls_key"),
        ({"tls_cert": "none.pem", "tls_key": "none.pem"}, "no file 'none.pem'"),
        ({"tls_cert": __file__, "tls_key": __file__}, "cannot be used for TLS"),
        ({"cors": ("*",)}, "origin '\\*'"),
        ({"cors": ("https://a.example/path",)}, "origin"),
        ({"limits": {"k": 0}}, "limits.k"),
        ({"tenants": {"default": {"model": "x"}}}, "called 'default'"),
    ],
)
def test_settings_that_cannot_be_are_refused_at_the_start(given: dict[str, object], told: str) -> None:
    with pytest.raises(SettingError, match=told):
        read_settings(None, **given)
