"""The studio in a browser: every part shows its data, versions and keys are looked after, experiments begin and end."""

import re
from collections.abc import Callable
from typing import Any

import pytest
from pages_site import NARROW, Site, Visit

Look = Callable[..., Visit]
PARTS = {
    "overview": ("Overview", ".figures dd"),
    "data": ("Data", ".findings li"),
    "map": ("Map", ".mapbox canvas"),
    "models": ("Models", ".chart .stairs"),
    "experiments": ("Experiments", ".state"),
    "scenarios": ("Scenarios", ".state"),
    "people": ("People", ".timeline li"),
    "keys": ("Keys", ".entry"),
}


def part(visit: Look, name: str, **more: Any) -> Any:
    page = visit(**more).go(f"/studio#/{name}")
    page.wait_for_selector(f"main {PARTS[name][1]}")
    return page


def agree(page: Any, name: str) -> None:
    """Says yes to a question."""
    page.locator("dialog.ask").get_by_role("button", name=name).click()


@pytest.mark.parametrize("name", PARTS)
def test_a_part_shows_its_data_wide_and_narrow_and_in_chinese(visit: Look, name: str) -> None:
    page = part(visit, name)
    assert page.locator("h1").inner_text() == PARTS[name][0]
    assert page.locator("nav [aria-current=page]").inner_text() == PARTS[name][0]
    assert not page.locator(".state.bad").count()
    page.set_viewport_size(NARROW)
    assert page.evaluate("document.documentElement.scrollWidth") <= NARROW["width"]
    page.get_by_role("button", name="中文").click()
    page.wait_for_function("() => /[\\u4e00-\\u9fff]/.test(document.querySelector('h1')?.innerText ?? '')")
    page.wait_for_selector(f"main {PARTS[name][1]}")
    assert page.evaluate("document.documentElement.scrollWidth") <= NARROW["width"]


def test_the_parts_are_reached_by_their_names(visit: Look) -> None:
    page = part(visit, "overview")
    for name, (title, mark) in PARTS.items():
        page.get_by_role("navigation").get_by_text(title, exact=True).click()
        page.wait_for_selector(f"main {mark}")
        assert page.url.endswith(f"#/{name}") or name == "people"


def test_every_word_of_the_studio_comes_from_the_messages(visit: Look) -> None:
    look = visit()
    look.mark_words()
    page = look.go("/studio")
    for name, (_, mark) in PARTS.items():
        page.evaluate("name => { location.hash = `#/${name}`; }", name)
        page.wait_for_selector(f"main {mark}")
        assert look.words_of_its_own() == []
    page.get_by_role("button", name="New key").click()
    assert look.words_of_its_own() == []


def test_the_overview_counts_what_happens(visit: Look) -> None:
    page = visit().go()
    page.wait_for_selector("main .grid .card:not(.ghost)")
    page.goto(page.url.rstrip("/") + "/studio")
    page.wait_for_selector(".figures dd")
    answers = page.locator(".figures > div").first.inner_text()
    assert int(re.search(r"([\d,]+) in all", answers).group(1).replace(",", "")) >= 1  # type: ignore[union-attr]
    assert "Popular with everyone here" in page.locator(".shares").first.inner_text()


def test_the_data_report_tells_what_the_drawn_shop_lacks(visit: Look) -> None:
    page = part(visit, "data")
    told = page.locator(".findings").first.inner_text()
    assert "'video' is missing for" in told
    row = page.get_by_role("row").filter(has=page.get_by_role("rowheader", name="video", exact=True)).first
    assert row.locator(".meter").count() == 1
    page.get_by_role("button", name="中文").click()
    page.wait_for_function("() => document.querySelector('.findings')?.innerText.includes('的物品缺少 \\'video\\'')")


def test_the_map_is_moved_by_keys_and_by_the_wheel_and_finds_things(visit: Look) -> None:
    page = part(visit, "map")
    canvas = page.locator(".mapbox canvas")
    page.wait_for_function("() => document.querySelector('canvas').width > 300")
    before = canvas.screenshot()
    canvas.focus()
    page.keyboard.press("+")
    page.keyboard.press("ArrowLeft")
    page.wait_for_timeout(150)
    assert canvas.screenshot() != before
    page.get_by_label("Find a thing on the map").fill("lamp")
    page.keyboard.press("Enter")
    page.wait_for_selector(".peek:not([hidden])")
    assert "lamp" in page.locator(".peek").inner_text().lower()
    assert "Shown on the map" in page.locator("#heard").inner_text()


def test_pointing_at_the_map_shows_the_picture(visit: Look) -> None:
    page = part(visit, "map")
    page.get_by_label("Find a thing on the map").fill("lamp-001")
    page.keyboard.press("Enter")
    page.wait_for_selector(".peek:not([hidden])")
    box = page.locator(".mapbox canvas").bounding_box()
    page.mouse.move(box["x"] + 4, box["y"] + 4)
    page.mouse.move(box["x"] + box["width"] / 2, box["y"] + box["height"] / 2)
    page.wait_for_selector(".peek:not([hidden]) .picture")


def test_models_are_compared_by_accuracy_and_cost(visit: Look) -> None:
    page = part(visit, "models")
    table = page.get_by_role("region", name="All numbers")
    assert {"itemknn", "popular", "random"} <= set(table.locator("tbody th").all_inner_texts())
    assert page.get_by_role("img", name="Accuracy against cost").count() == 1


def test_a_model_is_learned_anew_made_live_and_taken_back(visit: Look, site: Site) -> None:
    page = part(visit, "models")
    first = page.locator(".entry:has(.tag.good)").last.locator("h3 bdi").inner_text()
    page.get_by_role("button", name="Learn anew").click()
    agree(page, "Learn anew")
    page.get_by_text("Learning anew").first.wait_for()
    page.wait_for_function("() => document.querySelectorAll('.entry h3 bdi').length > 1", timeout=120_000)
    other = page.locator(".entry").filter(has=page.get_by_role("button", name="Make live")).first
    if other.count():  # too little is new to compare them, so the owner decides
        name = other.locator("h3 bdi").inner_text()
        other.get_by_role("button", name="Make live").click()
        agree(page, "Make live")
        page.locator(".toast").get_by_text(f"Version {name} is live").wait_for()
    page.get_by_role("button", name="Go back").click()
    agree(page, "Go back")
    page.locator(".toast").get_by_text(f"Version {first} is live").wait_for()


def test_one_persons_history_is_shown_with_what_would_be_recommended_and_why(visit: Look) -> None:
    page = part(visit, "people")
    page.get_by_label("Person").fill("p005")
    page.get_by_role("button", name="Look").click()
    page.locator("h2", has_text="p005").wait_for()
    assert page.locator(".timeline li").count() > 3
    assert "Goes with" in page.locator(".why").first.inner_text()
    assert page.locator(".why .parts i").count() > 0
    assert page.url.endswith("#/people/p005")


def test_an_event_can_be_forgotten(visit: Look) -> None:
    page = visit().go("/studio#/people/p007")
    page.wait_for_selector(".timeline li")
    before = page.locator(".timeline li").count()
    page.locator(".timeline button").first.click()
    agree(page, "Remove")
    page.wait_for_function("n => document.querySelectorAll('.timeline li').length === n - 1", arg=before)


def test_an_experiment_is_begun_watched_stopped_and_removed(visit: Look) -> None:
    page = part(visit, "experiments")
    page.get_by_role("button", name="New experiment").click()
    form = page.locator("dialog.edit")
    form.get_by_label("Name").first.fill("calm-or-bold")
    form.get_by_label("Diversity").last.fill("0.5")
    form.get_by_role("button", name="Save").click()
    page.get_by_text("No answers yet").wait_for()
    assert "idea 50% (diversity 0.5)" in page.locator("main").inner_text()
    page.get_by_role("button", name="Stop").click()
    agree(page, "Stop")
    page.locator(".tag", has_text="stopped").wait_for()
    page.get_by_role("button", name="Remove").click()
    agree(page, "Remove")
    page.get_by_text("No experiments yet").wait_for()


def test_results_warn_when_the_split_is_wrong_and_show_intervals(visit: Look) -> None:
    look = visit()
    body = {
        "variants": {"control": {"share": 0.5}, "bold": {"share": 0.5, "settings": {"diversity": 0.4}}},
        "state": "running",
    }
    effect = {"metric": "success", "variant": "bold", "n": 351, "mean": 0.12, "control": 0.099, "difference": 0.021,
              "low": 0.003, "high": 0.039, "p": 0.01, "verdict": "better"}  # fmt: skip
    results = {"name": "calm", "state": "running", "people": {"control": 412, "bold": 351}, "guardrails": [],
               "answers": {"control": 8100.0, "bold": 7031.0}, "success": {"control": 801.0, "bold": 842.0},
               "ratio": {"expected": [381.5, 381.5], "counts": [412, 351], "p": 0.0002, "wrong": True},
               "effects": [effect]}  # fmt: skip
    look.page.route("**/v1/experiments", lambda route: route.fulfill(json={"calm": body}))
    look.page.route("**/v1/experiment-results*", lambda route: route.fulfill(json=results))
    page = look.go("/studio#/experiments")
    page.get_by_role("alert").wait_for()
    assert "Do not trust the result" in page.get_by_role("alert").inner_text()
    assert "bold: better than control by 2.1 points (between 0.3 and 3.9)" in page.locator("main").inner_text()
    assert page.locator(".chart .range").count() == 1


def test_a_scenario_is_made_changed_and_removed(visit: Look) -> None:
    look = visit()
    page = look.go("/studio#/scenarios")
    page.get_by_role("button", name="New scenario").click()
    page.get_by_label("Name").fill("home")
    page.get_by_label("Only things for which this holds").fill("price < ")
    page.get_by_role("button", name="Save").click()
    page.get_by_role("alert").wait_for()  # an expression that cannot be read is told before anything is stored
    look.complaints.clear()  # the browser itself reports the refusal
    page.get_by_label("Only things for which this holds").fill("price < 50")
    page.get_by_role("button", name="Save").click()
    page.get_by_text("filter = price < 50").wait_for()
    page.get_by_role("button", name="Edit").click()
    page.get_by_label("Diversity").fill("0.3")
    page.get_by_role("button", name="Save").click()
    page.get_by_text("diversity = 0.3").wait_for()
    page.get_by_role("button", name="Remove").click()
    agree(page, "Remove")
    page.get_by_text("No scenarios yet").wait_for()


def test_a_key_is_made_shown_once_and_revoked(visit: Look) -> None:
    page = part(visit, "keys")
    page.get_by_role("button", name="New key").click()
    page.get_by_label("Name").fill("shop front")
    page.get_by_role("button", name="Save").click()
    text = page.locator("code.secret").inner_text()
    assert text.startswith("salon_")
    page.get_by_role("button", name="Close").click()
    entry = page.locator(".entry", has_text="shop front")
    entry.wait_for()
    page.locator("code.secret").wait_for(state="detached")
    assert text not in page.content()
    entry.get_by_role("button", name="Revoke").click()
    agree(page, "Revoke")
    page.locator(".entry", has_text="shop front").locator(".tag.bad").wait_for()
    page.reload()
    page.wait_for_selector("table")
    assert "revoke key" in page.locator("table").inner_text()


def test_the_studio_asks_for_a_key(visit: Look) -> None:
    look = visit(signed_in=False)
    page = look.go("/studio")
    page.get_by_label("Key").wait_for()
    assert not page.locator("nav a").count()
    look.complaints.clear()  # the browser itself reports the refusal


def test_trouble_in_a_part_is_told_there(visit: Look) -> None:
    look = visit()
    look.page.route("**/v1/map*", lambda route: route.abort())
    page = look.go("/studio#/map")
    page.get_by_role("alert").wait_for()
    look.complaints.clear()  # the failure that the test made
    page.unroute("**/v1/map*")
    page.get_by_role("button", name="Try again").click()
    page.wait_for_selector(".mapbox canvas")
