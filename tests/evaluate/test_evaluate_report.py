"""The page stands alone, escapes everything, shows what it was given, and is never half written."""

import base64
import os
import re
from dataclasses import replace
from html.parser import HTMLParser
from io import BytesIO
from pathlib import Path

import matplotlib
import numpy as np
import pytest
from PIL import Image

from salon.errors import DataError, SettingError
from salon.evaluate import embed, plots, views
from salon.evaluate.embed import Embedder
from salon.evaluate.outline import outline, words
from salon.evaluate.protocol import Rules, evaluate
from salon.evaluate.report import Card, PersonExample, part_bar, render, write_report
from salon.evaluate.svg import Canvas, shorten
from salon.evaluate.values import Cost

HOSTILE = '</style></svg><script>alert(1)</script>"><img src=x onerror=alert(2)>{{ 7 * 7 }} $\\frac{1}$ #010102'
VOID = {"meta", "img", "br", "hr", "link", "input"}


@pytest.fixture(scope="module")
def report(world):
    costs = {name: Cost(0.5 + i, 1.0, 20.0) for i, name in enumerate(world.models)}
    rules = Rules(split="by hand", draws=100)
    return evaluate(world.models, world.holdout, train=world.data, features=world.features, costs=costs, rules=rules)


@pytest.fixture(scope="module")
def html(report):
    """The page of the report alone."""
    return render(report=report)


@pytest.fixture
def photo(tmp_path):
    pixels = np.random.default_rng(0).integers(0, 255, (900, 1200, 3), np.uint8)
    Image.fromarray(pixels).save(tmp_path / "photo.png")
    return tmp_path / "photo.png"


class Page(HTMLParser):
    """Elements, attributes and text of a page; complains about elements that are not closed in order."""

    def __init__(self, text):
        super().__init__()
        self.tags, self.attributes, self.words, self.open = [], [], [], []
        self.feed(text)
        assert not self.open

    def handle_starttag(self, tag, attrs):
        self.tags.append(tag)
        self.attributes += attrs
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag, attrs):
        self.tags.append(tag)
        self.attributes += attrs

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        self.words.append(data)

    @property
    def text(self):
        return " ".join(" ".join(self.words).split())


def person(**card):
    return PersonExample("Ann", [Card("Old")], [Card("New", **card)])


def test_hostile_text_stays_text_wherever_it_comes_from(report):
    odd = replace(
        report,
        setting=replace(report.setting, split=HOSTILE, reference=HOSTILE),
        models=(replace(report.models[0], name=HOSTILE), *report.models[1:]),
        slices=tuple(
            replace(s, name=HOSTILE, what=HOSTILE, models={HOSTILE: s.models["oracle"], **s.models})
            for s in report.slices
        ),
        warnings=(HOSTILE,),
    )
    card = Card(HOSTILE, HOSTILE, reasons=(HOSTILE,), despite=(HOSTILE,), parts={HOSTILE: 1.0}, source=HOSTILE)
    text = render(
        report=odd,
        quality={
            HOSTILE: HOSTILE,
            "list": [HOSTILE] * 9,
            "rows": [{HOSTILE: HOSTILE}],
            "deep": {"a": {"b": {HOSTILE: [1]}}},
        },
        examples=[PersonExample(HOSTILE, [card], [card])],
        title=HOSTILE,
        about={HOSTILE: HOSTILE},
    )
    page = Page(text)
    assert "script" not in page.tags
    assert not [name for name, _ in page.attributes if name.startswith("on")]
    assert "img" not in page.tags
    assert page.text.count("{{ 7 * 7 }}") > 10
    assert text.count("&lt;script&gt;alert(1)") == text.count("alert(1)") > 20


def test_the_page_needs_nothing_from_outside(html, photo):
    shown = render(examples=[person(image=photo)])
    text, found = html + shown, Page(html).attributes + Page(shown).attributes
    links = [value for name, value in found if name in ("src", "href", "poster", "action", "srcset")]
    assert links
    assert all(value.startswith(("#", "data:")) for value in links)
    assert not re.findall(r"https?://|@import|url\((?!#)", text)
    assert ("http-equiv", "Content-Security-Policy") in found
    assert any(name == "content" and value.startswith("default-src 'none'") for name, value in found)
    assert str(photo.parent) not in text


def test_drawings_do_not_share_ids_and_refer_to_their_own(html):
    page = Page(html)
    ids = [value for name, value in page.attributes if name == "id"]
    assert len(ids) == len(set(ids)) > 20
    for name, value in page.attributes:
        if value and name in ("href", "clip-path"):
            target = re.search(r"#([\w-]+)", value).group(1)
            assert target in ids
    assert page.tags.count("svg") >= 8


def test_the_page_says_the_rules_the_verdict_and_the_warnings(html):
    text = Page(html).text
    for part in (
        "oracle comes first: nDCG@10 1.0000 (95 % interval 1.0000 to 1.0000).",
        "Split: by hand. Test: 40 users, 120 targets.",
        "Not compared with the baselines popular, random, contentknn.",
        "cold items",
        "Diversity of text@20",
        "Harmonic mean of precision and recall.",
        "fit, CPU seconds (logarithmic)",
    ):
        assert part in text, part


def test_colours_follow_the_theme_and_no_marker_is_left(html):
    assert not re.findall(r"#0101\d\d|#0c0c\w\w|zq\w+qz", html)
    assert "fill: var(--c0)" in html
    assert "prefers-color-scheme: dark" in html
    for variable in set(re.findall(r"var\((--\w+)\)", html)) - {"--hue"}:
        assert f"{variable}:" in html, variable


def test_each_part_may_stand_alone(report):
    assert "id=models" not in render(quality={"items": 3}).replace('"', "")
    assert "The data" in render(quality={"items": 3})
    assert "People and their" in render(examples=[person()])
    with pytest.raises(SettingError, match="nothing to show"):
        render()


def test_names_in_any_script_are_drawn_as_text(report):
    odd = replace(report.models[0], name="多模态推荐 العربية $x_1$")
    setting = replace(report.setting, reference=odd.name)
    text = render(report=replace(report, setting=setting, models=(odd, *report.models[1:]), slices=()))
    assert len(re.findall(r"<text[^>]*>多模态推荐", text)) >= 4
    assert 'dir="auto"' in render(examples=[person(subtitle="中文")])


def test_a_picture_becomes_a_small_thumbnail(photo):
    found = Embedder().picture(photo)
    image = Image.open(BytesIO(base64.b64decode(found.uri.partition(",")[2])))
    assert image.format == "JPEG"
    assert (image.width, image.height) == (found.width, found.height) == (360, 270)
    assert found.uri in render(examples=[person(image=photo)])


def test_a_broken_or_absent_picture_is_said_on_the_card(tmp_path):
    (tmp_path / "broken.jpg").write_bytes(b"no picture")
    for path in (tmp_path / "broken.jpg", tmp_path / "absent.jpg"):
        text = render(examples=[person(image=path)])
        assert "picture cannot be read" in text
        assert "<img" not in text


@pytest.mark.parametrize(
    ("name", "size", "says"),
    [
        ("a.mp3", 2000, ""),
        ("a.mp4", 2000, ""),
        ("a.mp3", embed.MAX_CLIP_BYTES + 1, "too large to embed"),
        ("a.mkv", 2000, "not playable in browsers"),
        ("a.wav", 0, "empty file"),
        ("a.svg", 20, "not playable in browsers"),
    ],
)
def test_only_short_clips_of_known_kinds_are_embedded(tmp_path, name, size, says):
    (tmp_path / name).write_bytes(b"x" * size)
    assert Embedder().clip(tmp_path / name).note == says
    audio = name.endswith(("mp3", "wav"))
    text = render(examples=[person(**{"audio" if audio else "video": tmp_path / name})])
    assert ("♪ audio" if audio else "▶ video") in text
    assert (says in text) if says else ("<audio" in text or "<video" in text)


def test_an_absent_clip_is_said_on_the_card(tmp_path):
    assert Embedder().clip(tmp_path / "absent.mp3").note == "file cannot be read"


def test_a_page_has_a_budget_for_media(photo):
    embedder = Embedder(max_page_bytes=len(Embedder().picture(photo).uri) + 10)
    assert embedder.picture(photo).uri
    assert embedder.picture(photo).note == "page is full"


def test_the_file_is_replaced_in_one_step_or_not_at_all(tmp_path, monkeypatch):
    path = tmp_path / "deep" / "report.html"
    write_report(path, quality={"items": 3}, title="one")
    assert "one" in path.read_text(encoding="utf-8")

    def fail(handle):
        raise OSError("disk is full")

    monkeypatch.setattr(os, "fsync", fail)
    with pytest.raises(OSError, match="full"):
        write_report(path, quality={"items": 3}, title="two")
    assert "<title>one" in path.read_text(encoding="utf-8")
    assert [p.name for p in path.parent.iterdir()] == ["report.html"]


def test_a_name_that_is_no_unicode_does_not_stop_the_page(tmp_path):
    write_report(tmp_path / "a.html", examples=[person(subtitle="\udcff")], title="x\udcff")
    assert (tmp_path / "a.html").read_text(encoding="utf-8").startswith("<!doctype html>")


def test_shares_are_drawn_in_proportion_and_negative_ones_are_named_only():
    parts = {p.name: (p.width, p.percent) for p in part_bar({"clicks": 0.6, "text": 0.2, "image": -0.1})}
    assert parts == {"clicks": (75.0, "60 %"), "text": (25.0, "20 %"), "image": (0.0, "−10 %")}
    assert part_bar({}) == ()
    assert len({p.colour for p in part_bar({"a": 0.2, "b": 0.2, "text": 0.6})}) == 3
    with pytest.raises(DataError, match="text"):
        Card("x", parts={"text": float("nan")})


def test_drawing_leaves_matplotlib_as_it_was_and_needs_no_pyplot(report):
    before = dict(matplotlib.rcParams)
    plots.metric_bars(report, ["ndcg@10"], plots.WIDE)
    assert dict(matplotlib.rcParams) == before
    sources = list(Path(plots.__file__).parent.glob("*.py"))
    assert len(sources) > 10
    assert not [p.name for p in sources if "pyplot" in p.read_text(encoding="utf-8")]


def test_drawings_need_something_to_compare(report):
    alone = replace(report, models=report.models[:1], comparisons=(), slices=())
    for draw in (plots.differences, plots.accuracy_against_cost, plots.beyond_accuracy, plots.slice_dots):
        assert draw(alone, plots.WIDE) is None
    assert "comes first" in render(report=alone)


def test_without_measured_fits_the_cost_is_the_time_per_query(report):
    free = tuple(replace(m, cost=Cost(recommend_ms=0.1 + i)) for i, m in enumerate(report.models))
    assert "milliseconds per query" in plots.accuracy_against_cost(replace(report, models=free), plots.NARROW)
    unknown = tuple(replace(m, cost=None) for m in report.models)
    assert plots.accuracy_against_cost(replace(report, models=unknown), plots.WIDE) is None


def test_the_verdict_claims_no_more_than_is_resolved(report):
    good = report.comparison("good")
    assert "more than chance" in " ".join(views.verdict(replace(report, comparisons=(replace(good, p_holm=0.01),))))
    open_ = replace(report, comparisons=(replace(good, p_holm=0.4), replace(report.comparison("noise"), p_holm=0.01)))
    assert "not resolved with 40 people" in " ".join(views.verdict(open_))
    assert "1 of the 2 other models trail it" in " ".join(views.verdict(open_))
    other = replace(report, setting=replace(report.setting, reference="noise"))
    turned = replace(other, comparisons=(replace(good, name="oracle", against="noise", difference=0.5, p_holm=0.0001),))
    assert "difference of 0.5000 from noise is more than chance (adjusted p < 0.001)" in " ".join(views.verdict(turned))


def test_names_that_would_cover_each_other_are_moved_apart():
    moved = plots._apart(np.array([[10.0, 50.0], [20.0, 52.0], [300.0, 51.0]]), plots.WIDE)
    assert abs(moved[0, 1] - moved[1, 1]) >= 14.9
    assert moved[2].tolist() == [300.0, 51.0]


def test_long_names_are_cut_by_columns():
    assert shorten("short", 10) == "short"
    assert shorten("abcdefghijkl", 5) == "abcd…"
    assert shorten("多模态推荐系统", 6) == "多模…"
    assert "&lt;b&gt;" in _drawn("<b>")


def _drawn(name):
    canvas = Canvas(100, 50)
    canvas.axes(10, 10, 80, 30).text(0, 0, canvas.word(name))
    return canvas.svg("t")


def test_nested_values_become_figures_tables_and_sections():
    found = outline(
        {
            "items": 12345,
            "share": 0.12345,
            "by_field": {"title": {"present": 1.0}, "photo": {"present": 0.5, "missing": None}},
            "duplicates": [{"a": "x", "b": True}] * 70,
            "notes": ["one", "two is longer than twenty-four signs"],
            "empty": [],
        }
    )
    assert dict(found.figures) == {"items": "12,345", "share": "0.123", "empty": "none"}
    notes, table, twice = found.parts
    assert (table.title, table.head) == ("by field", ("", "present", "missing"))
    assert table.rows == (("title", "1", ""), ("photo", "0.5", "–"))
    assert (len(twice.rows), twice.more) == (60, 10)
    assert notes.lines[0] == "one"
    assert words(float("nan")) == "–"
    assert words([1, 2]) == "1, 2"
    assert words("1997-09-20T03:05:10+00:00") == "1997-09-20 03:05"
