"""Matplotlib figures as inline SVG that takes its colours and its font from the page around it.

Colours are drawn as marker values that become CSS variables, so one figure serves light and dark. Names are drawn as
marker words and put in afterwards, escaped: no name is read as mathematics, and no font has to hold its script.
"""

from __future__ import annotations

import html
import re
import unicodedata
from io import BytesIO
from itertools import count
from threading import Lock

from markupsafe import Markup
from matplotlib import rc_context
from matplotlib.axes import Axes
from matplotlib.figure import Figure

INK, MUTED, LINE, CARD = "#010102", "#010103", "#010104", "#010105"
SERIES = tuple(f"#0c0c{i:02x}" for i in range(1, 11))
"""Marker values of the colours; the style sheet defines the variables of `VARIABLES`."""
VARIABLES = {INK: "--ink", MUTED: "--muted", LINE: "--line", CARD: "--card"} | {
    c: f"--c{i}" for i, c in enumerate(SERIES)
}
PX = 1 / 72
"""Inches per unit: the SVG writer counts 72 units to the inch."""
_LOCK = Lock()
_SERIAL = count()


class Canvas:
    """A figure measured in pixels, and the names that are put in after drawing.

    Args:
        width: Width in pixels.
        height: Height in pixels.
    """

    def __init__(self, width: float, height: float) -> None:
        self.width, self.height = width, height
        self.figure = Figure(figsize=(width * PX, height * PX), dpi=72, facecolor="none")
        self.words: dict[str, str] = {}

    def axes(self, left: float, top: float, width: float, height: float) -> Axes:
        """Plain axes in a box given in pixels from the upper left corner."""
        box = (left / self.width, 1 - (top + height) / self.height, width / self.width, height / self.height)
        axes = self.figure.add_axes(box, facecolor="none")
        axes.spines[:].set_visible(False)
        axes.tick_params(which="both", length=0, labelsize=11.5, colors=MUTED, pad=5)
        axes.grid(axis="x", color=LINE, linewidth=1)
        axes.set_axisbelow(True)
        return axes

    def word(self, text: str, width: int = 22) -> str:
        """A marker to draw in place of `text`, which is cut to `width` columns."""
        marker = f"zq{len(self.words)}qz"
        self.words[marker] = shorten(text, width)
        return marker

    def svg(self, title: str) -> Markup:
        """The drawing as one `<svg>` element with no script, style sheet, outside reference or fixed size."""
        buffer = BytesIO()
        with _LOCK, rc_context({"svg.fonttype": "none", "svg.hashsalt": "salon"}):
            self.figure.savefig(buffer, format="svg", metadata={"Date": None})
        return Markup(_themed(buffer.getvalue().decode("utf-8"), self.words, title))  # noqa: S704 - escaped in _themed


def shorten(text: str, width: int) -> str:
    """Text of at most `width` columns, wide characters counting two, "…" where it was cut."""
    text = " ".join(text.split())
    used = 0
    for place, sign in enumerate(text):
        used += 2 if unicodedata.east_asian_width(sign) in "WF" else 1
        if used > width:
            return text[: max(place - 1, 1)] + "…"
    return text


def _themed(svg: str, words: dict[str, str], title: str) -> str:
    svg = svg[svg.index("<svg") :]
    svg = re.sub(r"<metadata>.*?</metadata>|<style[^>]*>.*?</style>|<defs>\s*</defs>|<!--.*?-->", "", svg, flags=re.S)
    root = r'<svg \1 role="img" aria-label="zqtqz" class="plot">'
    svg = re.sub(r"<svg [^>]*?(viewBox=\"[^\"]*\")[^>]*>", root, svg, count=1)
    svg = re.sub(r"font(-family)?: ?[^;\"]*DejaVu Sans[^;\"]*", _font, svg)
    prefix = f"f{next(_SERIAL)}-"
    svg = re.sub(r'\bid="([^"]+)"', rf'id="{prefix}\1"', svg)
    svg = re.sub(r'(xlink:href="#|url\(#)', rf"\g<1>{prefix}", svg).replace("xlink:href", "href")
    for colour, variable in VARIABLES.items():
        svg = svg.replace(colour, f"var({variable})")
    return re.sub(r"zq(\d+|t)qz", lambda m: html.escape(words.get(m.group(), title)), svg)


def _font(found: re.Match[str]) -> str:
    """The size and weight of a font, its family left to the page."""
    size = re.search(r"[\d.]+px", found.group())
    weight = "font-weight: 600; " if re.search(r"\b(bold|600|700)\b", found.group()) else ""
    return f"{weight}font-size: {size.group()}" if size else "font-style: normal"
