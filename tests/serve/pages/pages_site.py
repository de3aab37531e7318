"""What the browser tests share: a service that runs, and a page that is looked at."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

WIDE, NARROW = {"width": 1280, "height": 800}, {"width": 360, "height": 740}


@dataclass(frozen=True)
class Site:
    """A service that runs: where, the key that opens it, its shop, and the thing whose picture is damaged."""

    address: str
    key: str
    shop: Path
    damaged: str


class Visit:
    """A page that is looked at, with what its console said and what it asked for elsewhere."""

    def __init__(self, page: Any, site: Site) -> None:
        self.page, self.site = page, site
        self.complaints: list[str] = []
        self.elsewhere: list[str] = []
        page.set_default_timeout(15_000)
        page.on("console", self._hear)
        page.on("pageerror", lambda error: self.complaints.append(str(error)))
        page.on("request", self._watch)

    def _hear(self, message: Any) -> None:
        damaged = f"item={self.site.damaged}&field=image" in str(message.location)
        if message.type in ("error", "warning") and not damaged:
            self.complaints.append(f"{message.text} {message.location}")

    def _watch(self, request: Any) -> None:
        if not request.url.startswith(self.site.address):
            self.elsewhere.append(request.url)

    def go(self, path: str = "/") -> Any:
        """Opens a page and waits until it is still."""
        self.page.goto(self.site.address + path)
        self.page.wait_for_load_state("networkidle")
        return self.page

    def mark_words(self) -> None:
        """Puts ⟦⟧ around everything that the messages, or the browser's own dates and lists, say."""
        self.page.route("**/messages.*.json", _marked)
        self.page.add_init_script(MARK_DATES)

    def words_of_its_own(self) -> list[str]:
        """Texts that are neither from the messages, nor numbers, nor said by the shop."""
        found: list[str] = self.page.evaluate(UNMARKED)
        return found


def _marked(route: Any) -> None:
    answer = route.fetch()
    signs = ("space", "comma", "quoted")
    words = {key: text if key in signs else f"⟦{text}⟧" for key, text in answer.json().items()}
    route.fulfill(response=answer, json=words)


MARK_DATES = """for (const kind of [Intl.RelativeTimeFormat, Intl.DateTimeFormat, Intl.ListFormat]) {
    const own = Object.getOwnPropertyDescriptor(kind.prototype, "format");
    const mark = words => `⟦${words}⟧`;
    Object.defineProperty(kind.prototype, "format", own.get
        ? { get() { const format = own.get.call(this); return time => mark(format(time)); } }
        : { value(...given) { return mark(own.value.apply(this, given)); } });
}"""
UNMARKED = """() => {
    const walk = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
    const found = [];
    while (walk.nextNode()) {
        const { parentElement: parent, data } = walk.currentNode;
        let ours = data;
        while (/⟦[^⟦⟧]*⟧/.test(ours)) ours = ours.replace(/⟦[^⟦⟧]*⟧/g, "");
        if (!parent.closest("[translate=no], script, style") && /\\p{L}/u.test(ours)) found.push(data);
    }
    return found;
}"""
