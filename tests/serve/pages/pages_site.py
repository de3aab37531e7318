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
