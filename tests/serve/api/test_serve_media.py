"""Media by upload and by address: told by content, fetched from public places alone, bounded in size and time."""

import asyncio
import io
import socket
import threading
import time
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
from PIL import Image
from serve_double import Running

from salon.errors import MediaError
from salon.serve import fetch as fetching
from salon.serve.fetch import fetch, is_public
from salon.serve.media import SmallPictures, suffix_of


def picture(size: int = 40, kind: str = "PNG") -> bytes:
    out = io.BytesIO()
    Image.new("RGB", (size, size // 2), (200, 30, 30)).save(out, kind)
    return out.getvalue()


class Pages(BaseHTTPRequestHandler):
    """A server of media, some of them ill-behaved."""

    def do_GET(self) -> None:
        port = self.server.server_address[1]
        if self.path == "/picture":
            self.answer(200, picture(), {"Content-Type": "text/html"})
        elif self.path == "/to-picture":
            self.answer(302, b"", {"Location": "/picture"})
        elif self.path == "/to-private":
            self.answer(302, b"", {"Location": f"http://private.test:{port}/picture"})
        elif self.path == "/to-file":
            self.answer(302, b"", {"Location": "file:///etc/passwd"})
        elif self.path == "/to-nonsense":
            self.answer(302, b"", {"Location": "http://[nonsense/"})
        elif self.path == "/round":
            self.answer(302, b"", {"Location": "/round"})
        elif self.path == "/slow":
            self.send_response(200)
            self.end_headers()
            for _ in range(100):
                try:
                    self.wfile.write(b"x")
                    self.wfile.flush()
                except OSError:
                    return
                if self.server.ended.wait(0.05):
                    return
        elif self.path == "/endless":
            self.send_response(200)
            self.end_headers()
            try:
                while not self.server.ended.is_set():
                    self.wfile.write(b"x" * 65536)
            except OSError:
                return
        elif self.path == "/host":
            self.answer(200, self.headers["Host"].encode())
        elif self.path == "/empty":
            self.answer(200, b"")
        else:
            self.answer(404, b"no")

    def answer(self, status: int, content: bytes, headers: dict[str, str] | None = None) -> None:
        self.send_response(status)
        for name, value in (headers or {}).items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    def log_message(self, *_: Any) -> None: ...


@pytest.fixture(scope="module")
def site() -> Iterator[str]:
    server = ThreadingHTTPServer(("127.0.0.1", 0), Pages)
    server.ended = threading.Event()
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    yield f"http://127.0.0.1:{server.server_address[1]}"
    server.ended.set()
    server.shutdown()
    server.server_close()
    thread.join()


def got(url: str, **given: Any) -> bytes:
    return asyncio.run(fetch(url, **{"most": 1 << 20, "seconds": 5.0, "private": True, **given}))


# -- addresses ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "address",
    [
        "127.0.0.1", "127.9.9.9", "10.1.2.3", "172.16.0.1", "192.168.1.1", "169.254.169.254", "100.64.0.1", "0.0.0.0",
        "224.0.0.1", "255.255.255.255", "198.18.0.1", "240.0.0.1", "::1", "::", "fe80::1", "fe80::1%eth0", "fc00::1",
        "ff02::1", "::ffff:127.0.0.1", "::ffff:10.0.0.1", "64:ff9b::7f00:1", "2002:7f00:1::", "2001:db8::1",
    ],
)  # fmt: skip
def test_addresses_that_are_not_of_the_internet_are_told(address: str) -> None:
    assert not is_public(address)


@pytest.mark.parametrize("address", ["1.1.1.1", "93.184.216.34", "2606:4700::1111", "::ffff:1.1.1.1"])
def test_addresses_of_the_internet_are_told(address: str) -> None:
    assert is_public(address)


@pytest.mark.parametrize(
    ("url", "told"),
    [
        ("http://127.0.0.1:1/x", "not public"),
        ("http://localhost/x", "not public"),
        ("http://[::1]/x", "not public"),
        ("http://2130706433/x", "not public"),
        ("http://0x7f.1/x", "not public"),
        ("http://169.254.169.254/latest/meta-data", "not public"),
        ("ftp://example.com/x", "no address by http"),
        ("file:///etc/passwd", "no address by http"),
        ("http://user:word@example.com/x", "user name"),
        ("http:///x", "no host"),
        ("http://example.com:99999/x", "no address by http"),
        ("http://[::1/x", "no address by http"),
        ("http://a b/x", "cannot be fetched|not known"),
    ],
)
def test_addresses_of_this_machine_and_other_schemes_are_refused(url: str, told: str) -> None:
    with pytest.raises(MediaError, match=told):
        got(url, private=False)


def test_one_private_address_among_public_ones_is_enough(monkeypatch: pytest.MonkeyPatch) -> None:
    found = [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (one, 80)) for one in ("1.1.1.1", "10.0.0.1")]
    monkeypatch.setattr(socket, "getaddrinfo", lambda *_, **__: found)
    with pytest.raises(MediaError, match=r"10\.0\.0\.1, which is not public"):
        got("http://mixed.test/x", private=False)


def test_a_redirect_to_a_private_address_is_refused(site: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """The first host counts as public here, though it is this machine; where it leads does not."""
    real = socket.getaddrinfo

    def resolve(host: str, *rest: Any, **more: Any) -> Any:
        return real("127.0.0.1" if str(host).endswith(".test") else host, *rest, **more)

    checked: list[str] = []

    def public(address: str) -> bool:
        checked.append(address)
        return len(checked) == 1

    monkeypatch.setattr(socket, "getaddrinfo", resolve)
    monkeypatch.setattr(fetching, "is_public", public)
    with pytest.raises(MediaError, match="not public"):
        got(site.replace("127.0.0.1", "public.test") + "/to-private", private=False)
    assert len(checked) == 2


def test_the_connection_goes_to_the_address_that_was_checked(site: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """The name is resolved once: a second answer of the name server changes nothing."""
    real, asked = socket.getaddrinfo, []

    def resolve(host: str, *rest: Any, **more: Any) -> Any:
        asked.append(host)
        return real("127.0.0.1", *rest, **more)

    monkeypatch.setattr(socket, "getaddrinfo", resolve)
    content = got(site.replace("127.0.0.1", "named.test") + "/host")
    assert content.decode().startswith("named.test:")
    assert asked.count("named.test") == 1


# -- behaviour of servers ----------------------------------------------------------------------------------------------


def test_a_picture_is_fetched_and_redirects_are_followed(site: str) -> None:
    assert got(f"{site}/picture") == picture()
    assert got(f"{site}/to-picture") == picture()


@pytest.mark.parametrize(
    ("path", "told"),
    [
        ("/none", "status 404"),
        ("/empty", "empty"),
        ("/round", "leads on more than 3 times"),
        ("/to-file", "no address by http"),
        ("/to-nonsense", "cannot be fetched|no address by http"),
        ("/endless", "more than 1,048,576 bytes"),
    ],
)
def test_ill_behaved_servers_are_cut_off(site: str, path: str, told: str) -> None:
    with pytest.raises(MediaError, match=told):
        got(site + path)


def test_a_slow_server_is_cut_off(site: str) -> None:
    start = time.monotonic()
    with pytest.raises(MediaError, match=r"did not answer within 0\.3 s"):
        got(f"{site}/slow", seconds=0.3)
    assert time.monotonic() - start < 3


def test_a_server_that_is_not_there_is_told() -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        port = taken.getsockname()[1]
    with pytest.raises(MediaError, match="cannot be fetched"):
        got(f"http://127.0.0.1:{port}/x")


# -- the calls ---------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def inside(serving: Callable[..., Running]) -> Running:
    """A server that may fetch from this machine."""
    return serving(private_media=True, limits={"fetch_seconds": 0.5})


PHOTO = "/v1/media?item=a-1&field=photo"


def test_a_picture_is_uploaded_shown_and_made_small(served: Running) -> None:
    job = served.client.put(PHOTO, files={"file": ("lamp.exe", picture(400))}, headers=served.headers())
    assert job.status_code == 200, job.text
    assert job.json()["kind"] == "encode"
    item = served.client.get("/v1/items/a-1", headers=served.headers()).json()
    whole = served.client.get(item["media"]["photo"], headers=served.headers())
    assert whole.content == picture(400)
    assert whole.headers["content-type"] == "image/png"
    small = served.client.get(f"{PHOTO}&width=64", headers=served.headers())
    assert small.headers["content-type"] == "image/jpeg"
    assert Image.open(io.BytesIO(small.content)).size == (64, 32)
    part = served.client.get(PHOTO, headers={**served.headers(), "Range": "bytes=0-9"})
    assert (part.status_code, part.content) == (206, picture(400)[:10])


def test_a_picture_is_fetched_by_its_address(inside: Running, site: str) -> None:
    answer = inside.client.put(PHOTO, json={"url": f"{site}/picture"}, headers=inside.headers())
    assert answer.status_code == 200, answer.text
    assert inside.client.get(PHOTO, headers=inside.headers()).content == picture()
    slow = inside.client.put(PHOTO, json={"url": f"{site}/slow"}, headers=inside.headers())
    assert slow.status_code == 422
    assert slow.json()["code"] == "media"
    assert "within 0.5 s" in slow.json()["detail"]


def test_a_server_fetches_nothing_from_this_machine_unless_it_is_told_to(served: Running, site: str) -> None:
    answer = served.client.put(PHOTO, json={"url": f"{site}/picture"}, headers=served.headers())
    assert answer.status_code == 422
    assert "not public" in answer.json()["detail"]


@pytest.mark.parametrize(
    ("given", "status"),
    [
        ({"files": {"file": b"<html>no picture</html>"}}, 422),
        ({"files": {"file": picture()[:60]}}, 422),
        ({"files": {"file": b""}}, 400),
        ({"files": {"other": picture()}}, 400),
        ({"files": [("file", picture()), ("file", picture())]}, 400),
        ({"data": {"file": "text"}, "files": {"file": picture()}}, 400),
        ({"json": {"url": "ftp://x.test/y"}}, 422),
        ({"json": {"uri": "http://x.test/y"}}, 422),
        ({"json": {}}, 422),
        ({"content": b"x", "headers": {"Content-Type": "text/plain"}}, 400),
        ({"content": b"x", "headers": {"Content-Type": "multipart/form-data"}}, 400),
        ({"content": b"--a\r\nnonsense", "headers": {"Content-Type": "multipart/form-data; boundary=a"}}, 400),
    ],
)
def test_what_is_no_medium_is_refused(served: Running, given: dict[str, Any], status: int) -> None:
    headers = served.headers() | given.pop("headers", {})
    answer = served.client.put(PHOTO, headers=headers, **given)
    assert answer.status_code == status, answer.text
    assert answer.headers["content-type"] == "application/problem+json"


def test_a_search_by_picture_reads_its_form(served: Running) -> None:
    files, fields = {"image": picture()}, {"k": "3", "taste": "0.5", "explained": "true"}
    answer = served.client.post("/v1/search", files=files, data=fields, headers=served.headers())
    assert answer.status_code == 200, answer.text
    assert len(answer.json()["items"]) == 3
    for bad in ({"k": "many"}, {"k": "0"}, {"unknown": "1"}):
        refused = served.client.post("/v1/search", files={"image": picture()}, data=bad, headers=served.headers())
        assert refused.status_code in (400, 422)
    assert served.client.post("/v1/search", files={"image": b"nothing"}, headers=served.headers()).status_code == 422


# -- files -------------------------------------------------------------------------------------------------------------


def test_files_are_told_by_their_content(tmp_path: Path) -> None:
    for kind, suffix in (("PNG", ".png"), ("JPEG", ".jpg"), ("WEBP", ".webp"), ("GIF", ".gif"), ("BMP", ".bmp")):
        assert suffix_of(picture(kind=kind)) == suffix
    known = {
        b"RIFF....WAVE": ".wav", b"fLaC": ".flac", b"OggS": ".ogg", b"ID3.": ".mp3", b"\xff\xfb\x90\x00": ".mp3",
        b"....ftypisom": ".mp4", b"....ftypM4A ": ".m4a", b"....ftypqt  ": ".mov",
        b"\x1aE\xdf\xa3....webm": ".webm", b"\x1aE\xdf\xa3....matroska": ".mkv", b"RIFF....AVI ": ".avi",
    }  # fmt: skip
    assert {content: suffix_of(content) for content in known} == known
    for content in (b"", b"\xff", b"<svg/>", b"%PDF", b"MZ"):
        with pytest.raises(MediaError, match="no picture, sound or film"):
            suffix_of(content)


def test_small_pictures_are_kept_in_bounded_memory_and_made_anew_when_the_file_changes(tmp_path: Path) -> None:
    path = tmp_path / "a.png"
    path.write_bytes(picture(200))
    kept = SmallPictures(most=1500)
    first = kept.get(path, 100)
    assert kept.get(path, 100) is first
    for width in range(64, 90):
        kept.get(path, width)
    assert kept.get(path, 100) is not first, "it was forgotten for others"
    Image.new("RGB", (200, 100), (0, 0, 250)).save(path)
    assert kept.get(path, 100) != first
