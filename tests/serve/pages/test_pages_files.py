"""The files of the pages: all words in both languages, nothing inline, nothing from elsewhere, kept by browsers."""

import gzip
import json
import re
from html.parser import HTMLParser
from pathlib import Path

import pytest
from fastapi import FastAPI
from fastapi.testclient import TestClient

from salon.serve import web

SCRIPTS = {path.name: path.read_text(encoding="utf-8") for path in sorted(web.FOLDER.glob("*.js"))}
PAGES = {path.name: path.read_text(encoding="utf-8") for path in sorted(web.FOLDER.glob("*.html"))}
STYLES = {path.name: path.read_text(encoding="utf-8") for path in sorted(web.FOLDER.glob("*.css"))}
WORDS = {code: json.loads((web.FOLDER / f"messages.{code}.json").read_text("utf-8")) for code in ("en", "zh")}
CALL = re.compile(r"""\bt\((?:[^()"'`]*\? )?"([\w.-]+)"(?: : "([\w.-]+)")?""")
FAMILY = re.compile(r"""\bt\([^()"'`]*`([\w.]+\.)\$\{|\bnamed\("(\w+)\"""")
SENTENCE = re.compile(
    r"""(["'`])(?=[^"'`]*[A-Za-z]{2,}[ ,.!?])(?:(?!\1)[^\\\n])*[A-Za-z]{2,} [a-z]{2,}(?:(?!\1)[^\\\n])*\1"""
)
CHINESE = re.compile(r"[\u4e00-\u9fff]")


@pytest.fixture(scope="module")
def client() -> TestClient:
    app = FastAPI()
    app.include_router(web.pages)
    return TestClient(app)


class Reader(HTMLParser):
    """Collects what a page says and does by itself."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.said: list[str] = []
        self.keys: list[str] = []
        self.inline: list[str] = []
        self.addresses: list[str] = []
        self._open: list[str] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = dict(attrs)
        self._open.append("kept" if given.get("translate") == "no" else tag)
        self.keys += [value or "" for name, value in attrs if name in ("data-t", "data-t-label", "data-t-hint")]
        self.inline += [name for name, _ in attrs if name.startswith("on") or name == "style"]
        self.addresses += [value or "" for name, value in attrs if name in ("src", "href")]
        if tag in ("meta", "link", "input", "br", "img", "i"):
            self._open.pop()

    def handle_endtag(self, tag: str) -> None:
        if tag != "i":
            self._open.pop()

    def handle_data(self, data: str) -> None:
        if not data.strip():
            return
        if self._open[-1] in ("script", "style"):
            self.inline.append(data.strip())
        elif "kept" not in self._open and self._open[-1] != "title":
            self.said.append(data.strip())


def test_the_guards_see_the_files() -> None:
    assert len(SCRIPTS) > 15
    assert set(PAGES) == {"window.html", "studio.html"}
    assert len(WORDS["en"]) > 150


def test_both_languages_say_the_same_things_with_the_same_names_in_them() -> None:
    assert list(WORDS["en"]) == list(WORDS["zh"])
    names = {
        code: {key: set(re.findall(r"\{\w+\}", text)) for key, text in said.items()} for code, said in WORDS.items()
    }
    assert names["en"] == names["zh"]
    signs = ("comma", "space", "quoted", "say.of")
    assert all(CHINESE.search(text) for key, text in WORDS["zh"].items() if key not in signs)
    assert not [key for key, text in WORDS["en"].items() if CHINESE.search(text)]


def test_every_word_that_is_asked_for_is_there_and_every_word_there_is_asked_for() -> None:
    source = "\n".join(SCRIPTS.values())
    asked = {key for pair in CALL.findall(source) for key in pair if key}
    asked |= {key for page in PAGES.values() for key in Reader(page).keys}
    assert len(asked) > 100
    assert not asked - set(WORDS["en"])
    families = {left or f"{right}." for left, right in FAMILY.findall(source)} | {"error."}
    asked |= {key for key in WORDS["en"] if f'"{key}"' in source}  # handed on by name
    unused = [k for k in WORDS["en"] if k.removesuffix(".one") not in asked and not k.startswith(tuple(families))]
    assert not unused


def test_pages_and_scripts_hold_no_words_of_their_own() -> None:
    assert not {name: said for name, page in PAGES.items() if (said := Reader(page).said)}
    for name, source in SCRIPTS.items():
        code = re.sub(r"/\*.*?\*/|^\s*//.*$|\s//\s.*$", "", source, flags=re.S | re.M)
        found = [
            m.group()
            for m in SENTENCE.finditer(code)
            if not re.search(r"class|transform|\$\{|^.[a-z-]+( [a-z-]+)+.$", m.group())
        ]
        assert not found, name
        assert name == "shell.js" or not CHINESE.search(code), name


def test_nothing_is_inline_and_nothing_comes_from_elsewhere() -> None:
    for name, page in PAGES.items():
        found = Reader(page)
        assert not found.inline, name
        assert not [address for address in found.addresses if "//" in address], name
    for name, text in (SCRIPTS | STYLES).items():
        assert re.findall(r"https?://[^\"'` ]+", text) in ([], ["http://www.w3.org/2000/svg"]), name
        assert not re.search(r"url\(|@import", text), name
        assert not re.search(r"\binnerHTML|\beval\(|new Function|document\.write|setAttribute\(\"style", text), name


def test_every_file_that_a_script_or_page_names_is_there() -> None:
    names = set(web.assets()[1])
    for name, source in SCRIPTS.items():
        assert set(re.findall(r"from \"\./([\w.-]+)\"", source)) <= names, name
    for page in PAGES.values():
        files = re.findall(r"\"static/([\w.-]+)\"", page)
        assert files
        assert set(files) <= names


def test_scripts_are_small_files() -> None:
    assert not {name: n for name, text in (SCRIPTS | STYLES).items() if (n := len(text.splitlines())) > 400}


def test_pages_are_asked_for_again_and_their_files_kept_for_ever(client: TestClient) -> None:
    page = client.get("/")
    assert page.status_code == 200
    assert page.headers["cache-control"] == "no-cache"
    assert "script-src" not in page.headers["content-security-policy"]  # falls to default-src 'self': none inline
    address = re.search(r"\"(static/[0-9a-f]+/window\.js)\"", page.text)
    assert address
    script = client.get("/" + address.group(1))
    assert script.headers["content-type"].startswith("text/javascript")
    assert "immutable" in script.headers["cache-control"]
    assert script.headers["x-content-type-options"] == "nosniff"


def test_an_old_address_still_answers_but_is_not_kept(client: TestClient) -> None:
    assert client.get("/static/0123456789abcdef/window.js").headers["cache-control"] == "no-cache"


def test_what_a_browser_has_is_not_sent_again(client: TestClient) -> None:
    first = client.get("/studio")
    again = client.get("/studio", headers={"If-None-Match": first.headers["etag"]})
    assert again.status_code == 304
    assert not again.content


def test_files_are_packed_for_those_who_can_unpack(client: TestClient) -> None:
    digest, files = web.assets()
    with client.stream("GET", f"/static/{digest}/base.css", headers={"Accept-Encoding": "gzip"}) as answer:
        packed = b"".join(answer.iter_raw())
    assert gzip.decompress(packed) == files["base.css"].content
    assert len(packed) < len(files["base.css"].content) / 2
    assert client.get(f"/static/{digest}/base.css", headers={"Accept-Encoding": "identity"}).text == STYLES["base.css"]


@pytest.mark.parametrize("name", ["nothing.js", "..%2Fweb.py", "web.py"])
def test_what_is_no_file_of_the_pages_is_not_found(client: TestClient, name: str) -> None:
    assert client.get(f"/static/{web.assets()[0]}/{name}").status_code == 404


def test_a_change_of_any_file_changes_all_addresses(tmp_path: Path) -> None:
    (tmp_path / "a.js").write_text("1")
    (tmp_path / "p.html").write_text('<script src="static/a.js"></script>')
    before, files = web.assets(tmp_path)
    assert f"static/{before}/a.js" in files["p.html"].content.decode()
    web.assets.cache_clear()
    (tmp_path / "a.js").write_text("2")
    assert web.assets(tmp_path)[0] != before
