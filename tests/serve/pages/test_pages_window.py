"""The window in a browser: pictures, a like that changes the row, search, reasons, languages, narrow screens, keys."""

import re
from collections.abc import Callable
from typing import Any

import pytest
from pages_site import NARROW, Site, Visit

Look = Callable[..., Visit]
GRID = "main .grid .card:not(.ghost)"


def ids(page: Any) -> list[str]:
    return page.eval_on_selector_all(GRID, "cards => cards.map(card => card.dataset.id)")


def home(visit: Look, **more: Any) -> Any:
    page = visit(**more).go()
    page.wait_for_selector(GRID)
    return page


def like(page: Any, place: int = 0) -> str:
    """Likes the card at a place, waits until the row has followed, and tells the thing."""
    card = page.locator(GRID).nth(place)
    name = card.get_attribute("data-id")
    card.locator(".like").click()
    page.wait_for_selector(".toast")
    page.wait_for_function("id => !document.querySelector(`main .grid .card[data-id='${id}']`)", arg=name)
    return str(name)


def show_everything(page: Any) -> None:
    """Asks for more until there is no more."""
    more = page.get_by_role("button", name="Show more")
    while more.count():
        shown = len(ids(page))
        more.click()
        page.wait_for_function(
            "n => document.querySelectorAll('main .grid .card').length > n || !document.querySelector('.more button')",
            arg=shown,
        )


def search(page: Any, words: str) -> None:
    page.get_by_role("searchbox").fill(words)
    page.get_by_role("searchbox").press("Enter")
    page.wait_for_selector(f".results {GRID.removeprefix('main ')} .why .parts")


def test_the_first_look_shows_pictures_and_says_that_nothing_is_known(visit: Look) -> None:
    page = home(visit)
    page.wait_for_function(
        "() => [...document.querySelectorAll('main .grid img')].filter(i => i.naturalWidth).length >= 4"
    )
    assert len(ids(page)) == 18
    assert "We know nothing of you yet" in page.locator(".hero").inner_text()
    assert "Popular" in page.locator(f"{GRID} .why").first.inner_text()


def test_a_like_changes_the_row_at_once_and_is_told_to_people_who_listen(visit: Look) -> None:
    page = home(visit)
    before = ids(page)
    liked = like(page)
    after = ids(page)
    assert liked not in after
    assert set(after) != set(before)
    assert "You like" in page.locator("#heard").inner_text()
    assert "Goes with" in page.locator(f"{GRID} .why").first.inner_text()
    assert page.locator(".past li").count() == 1
    assert "Because you like" in page.locator("main").inner_text()


def test_a_like_outlives_the_page_and_can_be_undone(visit: Look) -> None:
    page = home(visit)
    like(page)
    page.reload()
    page.wait_for_selector(".past li")
    like(page)
    page.get_by_role("button", name="Undo").click()
    page.wait_for_function("() => document.querySelectorAll('.past li').length === 1")


def test_what_nobody_wants_to_see_does_not_come_back(visit: Look) -> None:
    page = home(visit)
    card = page.locator(GRID).nth(2)
    name = card.get_attribute("data-id")
    card.locator(".hide").click()
    page.wait_for_function("id => !document.querySelector(`main .grid .card[data-id='${id}']`)", arg=name)
    show_everything(page)
    assert len(ids(page)) > 30
    assert name not in ids(page)


def test_the_next_page_repeats_nothing(visit: Look) -> None:
    page = home(visit)
    page.get_by_role("button", name="Show more").click()
    page.wait_for_function("() => document.querySelectorAll('main .grid .card').length > 18")
    assert len(ids(page)) == len(set(ids(page)))


def test_reasons_open_on_hover_on_focus_and_on_tap(visit: Look) -> None:
    page = home(visit)
    like(page)
    why = page.locator(f"{GRID} .why").first
    why.hover()
    page.wait_for_selector("#reasons:popover-open .parts i")
    assert "Goes with" in page.locator("#reasons").inner_text()
    assert "%" in page.locator("#reasons .partnames").inner_text()
    assert page.locator("#reasons .because li").count() == 1
    page.mouse.move(5, 5)
    page.wait_for_selector("#reasons", state="hidden")
    page.locator(f"{GRID} .open").first.focus()
    while page.evaluate("document.activeElement.className") != "why":
        page.keyboard.press("Tab")
    page.wait_for_selector("#reasons:popover-open")
    page.keyboard.press("Escape")
    page.wait_for_selector("#reasons", state="hidden")


def test_reasons_open_on_a_touch_screen(visit: Look) -> None:
    page = home(visit, size=NARROW, has_touch=True)
    why = page.locator(f"{GRID} .why").first
    why.tap()
    page.wait_for_selector("#reasons:popover-open")
    why.tap()
    page.wait_for_selector("#reasons", state="hidden")


def test_words_find_things(visit: Look, site: Site) -> None:
    page = home(visit)
    search(page, "lamp")
    assert "lamp" in page.locator(f"{GRID} .title").first.inner_text().lower()
    assert re.search(r"text \d+%", page.locator(f"{GRID} .why").first.inner_text())
    assert "/#/find/lamp" in page.url
    page.get_by_role("button", name="End the search").click()
    page.wait_for_selector(".hero")


def test_a_picture_finds_itself_first(visit: Look, site: Site) -> None:
    page = home(visit)
    picture = sorted((site.shop / "media").glob("lamp-*.png"))[1]
    page.locator("input[data-kind=image]").set_input_files(picture)
    page.wait_for_selector(".results .card .why .parts")
    assert page.locator(".results .preview canvas").is_visible()
    assert any(name.startswith("lamp") for name in ids(page)[:3])


def test_a_sound_that_is_dropped_on_the_page_finds_things(visit: Look, site: Site) -> None:
    page = home(visit)
    sound = sorted((site.shop / "media").glob("*.wav"))[0]
    page.evaluate(
        """async bytes => {
            const data = new DataTransfer();
            data.items.add(new File([new Uint8Array(bytes)], "tune.wav", { type: "audio/wav" }));
            document.dispatchEvent(new DragEvent("drop", { dataTransfer: data, bubbles: true, cancelable: true }));
        }""",
        list(sound.read_bytes()),
    )
    page.wait_for_selector(".results .card .why .parts")
    assert "Found for this sound" in page.locator("main").inner_text()


def test_a_file_that_cannot_be_searched_with_is_named(visit: Look, site: Site) -> None:
    page = home(visit)
    page.locator("input[data-kind=image]").set_input_files(site.shop / "items.csv")
    page.wait_for_selector(".toast")
    assert "items.csv is neither" in page.locator(".toast").inner_text()


def test_a_search_can_be_with_or_without_taste(visit: Look) -> None:
    page = home(visit)
    like(page)
    search(page, "chair")
    page.wait_for_function("() => document.querySelector('.results').innerText.includes('your taste')")
    with page.expect_response("**/v1/search"):
        page.get_by_role("switch").uncheck()
    page.wait_for_function("() => !document.querySelector('.results').innerText.includes('your taste')")


def test_a_thing_opens_with_its_fields_its_reasons_and_what_is_like_it(visit: Look) -> None:
    page = home(visit)
    like(page)
    title = page.locator(f"{GRID} .title").first.inner_text()
    page.locator(f"{GRID} .open").first.click()
    thing = page.locator("dialog.thing")
    page.wait_for_selector("dialog.thing .evidence li")
    assert title in thing.locator("h2").first.inner_text()
    assert "price" in thing.locator("dl").inner_text()
    page.wait_for_selector("dialog.thing .strip .card:not(.ghost)")
    page.keyboard.press("Escape")
    page.wait_for_selector("dialog.thing", state="detached")
    assert "#/thing" not in page.url


def test_a_like_in_the_view_of_a_thing_can_be_undone_there(visit: Look) -> None:
    page = visit().go("/#/thing/mug-001")
    page.wait_for_selector("dialog.thing .strip .card:not(.ghost)")
    like_it = page.locator("dialog.thing .words").get_by_role("button", name="Like", exact=True)
    like_it.click()
    page.wait_for_selector("dialog.thing .words [aria-pressed=true]")
    page.locator("dialog.thing").get_by_role("button", name="Undo").click()
    page.wait_for_function("() => !document.querySelector('.past li')")
    assert like_it.get_attribute("aria-pressed") == "false"


def test_a_thing_has_an_address_of_its_own(visit: Look, site: Site) -> None:
    page = visit().go("/#/thing/lamp-001")
    page.wait_for_selector("dialog.thing .strip .card:not(.ghost)")
    page.get_by_role("button", name="Close").click()
    page.wait_for_selector("dialog.thing", state="detached")


def test_sounds_and_films_play_on_their_cards(visit: Look, site: Site) -> None:
    page = home(visit)
    show_everything(page)
    sound = page.locator(f"{GRID} .media button[aria-label='Play the sound']").first
    with page.expect_response(lambda answer: "field=audio" in answer.url):
        sound.click()
    film = page.locator(f"{GRID} .media button[aria-label='Play the film']").first
    film.click()
    page.wait_for_selector(f"{GRID} video.film")
    film.click()
    page.wait_for_selector(f"{GRID} video.film", state="detached")


def test_a_thing_whose_picture_is_damaged_shows_its_letter(visit: Look, site: Site) -> None:
    page = home(visit)
    show_everything(page)
    card = page.locator(f"{GRID}[data-id='{site.damaged}']")
    card.scroll_into_view_if_needed()
    card.locator(".letter").wait_for()


def test_one_can_be_somebody_known_and_nobody_again(visit: Look) -> None:
    page = home(visit)
    page.locator(".me").click()
    page.get_by_placeholder("Search people by name").fill("p00")
    page.locator(".choosing bdi").first.wait_for()
    page.get_by_placeholder("Search people by name").press("Enter")
    page.wait_for_selector(".past li")
    assert page.locator("h1").inner_text().startswith("Things for p00")
    assert "Goes with" in page.locator(f"{GRID} .why").first.inner_text()
    page.locator(".me").click()
    page.get_by_text("Nobody: start anew").click()
    page.wait_for_function("() => document.querySelector('.hero')?.innerText.includes('We know nothing')")


def test_the_language_can_be_changed_and_is_remembered(visit: Look) -> None:
    page = home(visit)
    page.get_by_role("button", name="中文").click()
    page.wait_for_function("() => document.querySelector('h1')?.innerText === '为您推荐'")
    assert page.evaluate("document.documentElement.lang") == "zh-Hans"
    page.reload()
    page.wait_for_selector(GRID)
    assert page.locator("h1").inner_text() == "为您推荐"
    like(page)
    assert "相配" in page.evaluate("document.querySelector('main .grid .card').thing.reason.words")


def test_a_chinese_browser_is_spoken_to_in_chinese(visit: Look) -> None:
    assert home(visit, locale="zh-CN").locator("h1").inner_text() == "为您推荐"


def test_a_narrow_screen_needs_no_scrolling_to_the_side(visit: Look) -> None:
    page = home(visit, size=NARROW)
    like(page)
    assert page.evaluate("document.documentElement.scrollWidth") <= NARROW["width"]
    page.locator(f"{GRID} .open").first.click()
    page.wait_for_selector("dialog.thing .strip .card:not(.ghost)")
    assert page.evaluate("document.querySelector('dialog').scrollWidth") <= NARROW["width"]
    targets = page.eval_on_selector_all(
        f"{GRID} .actions button", "buttons => buttons.map(b => b.getBoundingClientRect().height)"
    )
    assert min(targets) >= 40


def test_everything_works_by_keyboard_alone(visit: Look) -> None:
    page = home(visit)
    page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement.className") == "skip"
    page.keyboard.press("Enter")
    page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement.className") == "open"
    page.keyboard.press("ArrowRight")
    page.keyboard.press("ArrowDown")
    page.keyboard.press("ArrowUp")
    current = page.evaluate("document.activeElement.closest('.card').dataset.id")
    assert current == ids(page)[1]
    assert page.evaluate("getComputedStyle(document.activeElement).outlineStyle") == "solid"
    while "like" not in page.evaluate("document.activeElement.className"):
        page.keyboard.press("Tab")
    page.keyboard.press("Enter")
    page.wait_for_function("id => !document.querySelector(`main .grid .card[data-id='${id}']`)", arg=current)
    assert page.evaluate("document.activeElement.closest('.card')?.dataset.id") == ids(page)[1]
    page.keyboard.press("Enter")
    page.wait_for_selector("dialog.thing .strip .card:not(.ghost)")
    page.keyboard.press("Escape")
    page.wait_for_selector("dialog.thing", state="detached")


def test_a_key_signs_in_a_wrong_one_is_refused_and_signing_out_works(visit: Look, site: Site) -> None:
    look = visit(signed_in=False)
    page = look.go()
    page.get_by_label("Key").fill("salon_000000000000_wrong")
    page.get_by_role("button", name="Sign in").click()
    page.wait_for_function("() => document.querySelector('.problem').innerText.includes('No such key')")
    look.complaints.clear()  # the browser itself reports the two refusals
    page.get_by_label("Key").fill(site.key)
    page.get_by_role("button", name="Sign in").click()
    page.wait_for_selector(GRID)
    page.get_by_role("button", name="Sign out").click()
    page.get_by_label("Key").wait_for()
    look.complaints.clear()


def test_a_key_in_the_address_signs_in_and_is_taken_out_of_it(visit: Look, site: Site) -> None:
    page = visit(signed_in=False).go(f"/#key={site.key}")
    page.wait_for_selector(GRID)
    assert "key" not in page.url


def test_trouble_is_told_with_what_to_do_and_can_be_tried_again(visit: Look) -> None:
    look = visit()
    look.page.route("**/v1/recommend", lambda route: route.abort())
    page = look.go()
    page.get_by_role("alert").wait_for()
    assert "cannot be reached" in page.get_by_role("alert").inner_text()
    look.complaints.clear()  # the failure that the test made
    page.unroute("**/v1/recommend")
    page.get_by_role("button", name="Try again").click()
    page.wait_for_selector(GRID)


def test_an_empty_answer_is_said_to_be_one(visit: Look) -> None:
    look = visit()

    def emptied(route: Any) -> None:
        answer = route.fetch()
        route.fulfill(response=answer, json={**answer.json(), "items": [], "more": False})

    look.page.route("**/v1/recommend", emptied)
    page = look.go()
    page.get_by_text("Nothing is left to show").wait_for()


def test_cards_wait_as_grey_shapes(visit: Look) -> None:
    look = visit()
    held: list[Any] = []
    waiting = True
    look.page.route("**/v1/recommend", lambda route: held.append(route) if waiting else route.continue_())
    look.page.goto(look.site.address)
    look.page.wait_for_selector(".card.ghost .skeleton")
    waiting = False
    for route in held:
        route.continue_()
    look.page.wait_for_selector(GRID)
    assert not look.page.locator(".card.ghost").count()


def test_every_word_on_the_page_comes_from_the_messages(visit: Look) -> None:
    look = visit()
    look.mark_words()
    page = look.go()
    page.wait_for_selector(GRID)
    like(page)
    page.locator(f"{GRID} .open").first.click()
    page.wait_for_selector("dialog.thing .strip .card:not(.ghost)")
    assert look.words_of_its_own() == []


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_texts_can_be_read_against_what_is_behind_them(visit: Look, scheme: str) -> None:
    page = home(visit, color_scheme=scheme)
    like(page)
    assert page.evaluate(CONTRAST) == []


CONTRAST = """() => {
    const numbers = colour => colour.match(/[\\d.]+/g).map(Number);
    const light = ([r, g, b]) => [r, g, b].map(v => v / 255)
        .map(v => v <= .03928 ? v / 12.92 : ((v + .055) / 1.055) ** 2.4)
        .reduce((sum, v, i) => sum + v * [.2126, .7152, .0722][i], 0);
    const behind = element => {
        for (let at = element; at; at = at.parentElement) {
            const colour = getComputedStyle(at).backgroundColor;
            if (/^rgb\\(/.test(colour)) return numbers(colour);
        }
        return [255, 255, 255];
    };
    const low = [];
    for (const element of document.querySelectorAll("main *, header *, footer *")) {
        const own = [...element.childNodes].some(node => node.nodeType === 3 && node.data.trim());
        if (!own || element.closest(".picture, .unseen") || !element.checkVisibility()) continue;
        const [a, b] = [light(numbers(getComputedStyle(element).color)), light(behind(element))];
        const ratio = (Math.max(a, b) + .05) / (Math.min(a, b) + .05);
        if (ratio < 4.5) low.push(`${element.textContent.trim().slice(0, 30)} ${ratio.toFixed(2)}`);
    }
    return low;
}"""
