"""Light, colour and pattern: from the parts of a thing to a picture of it on the shelf of the shop."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from PIL import Image, ImageDraw
from scipy import ndimage

from salon.data.world_shapes import Part
from salon.types import FloatArray

SIZE = 256
"""Width and height of a picture in pixels."""

FINE = 2
"""Outlines are drawn this much larger and reduced, so that edges are smooth."""

LIGHT = np.array([-0.46, -0.62, 0.64], np.float32)
HALF = np.array([-0.254, -0.342, 0.905], np.float32)
"""Towards the lamp, and half way between it and the eye."""

COLOURS: dict[str, tuple[tuple[int, int, int], tuple[int, int, int]]] = {
    "crimson": ((186, 32, 48), (255, 226, 205)),
    "orange": ((226, 112, 38), (255, 240, 214)),
    "amber": ((232, 176, 48), (120, 66, 24)),
    "green": ((74, 142, 70), (236, 240, 200)),
    "teal": ((24, 134, 136), (222, 244, 232)),
    "blue": ((46, 86, 172), (232, 238, 250)),
    "violet": ((122, 74, 160), (240, 222, 248)),
    "pink": ((232, 128, 158), (255, 244, 240)),
    "ivory": ((238, 226, 200), (150, 118, 92)),
    "charcoal": ((62, 66, 76), (214, 208, 196)),
}
"""Colour family to its main colour and the colour of its pattern."""

MATERIALS: dict[str, tuple[float, float, tuple[int, int, int]]] = {
    "porcelain": (0.55, 26.0, (206, 164, 82)),
    "wood": (0.10, 8.0, (110, 70, 42)),
    "wool": (0.0, 4.0, (172, 138, 98)),
    "canvas": (0.04, 6.0, (132, 92, 60)),
    "tin": (0.75, 14.0, (176, 182, 188)),
    "leather": (0.22, 12.0, (196, 152, 74)),
}
"""Material to (gloss, sharpness of the gloss, colour of its trim)."""

BACKDROPS = ((244, 238, 228), (232, 238, 240), (240, 232, 234), (234, 238, 226), (238, 236, 244))


@dataclass(frozen=True)
class Look:
    """How a thing is coloured.

    Attributes:
        colour: A key of `COLOURS`.
        pattern: A key of `PATTERNS`.
        material: A key of `MATERIALS`.
        scale: Repeats of the pattern across the picture.
        angle: Of the pattern, in degrees.
        shift: (3,) added to the main colour, so that no two crimsons are quite the same.
        backdrop: Index into `BACKDROPS`.
    """

    colour: str
    pattern: str
    material: str
    scale: float = 9.0
    angle: float = 0.0
    shift: tuple[float, float, float] = (0.0, 0.0, 0.0)
    backdrop: int = 0


def _band(x: FloatArray, share: float) -> FloatArray:
    """1 on `share` of every unit of x, 0 elsewhere, with soft edges."""
    return np.asarray(np.clip((share / 2 - np.abs(x - np.round(x))) * 14 + 0.5, 0, 1))


def _cells(u: FloatArray, v: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Offsets from the middle of the cells of a grid whose odd rows are shifted by half."""
    row = np.round(v)
    shifted = u + 0.5 * (row % 2)
    return shifted - np.round(shifted), v - row


def _dots(u: FloatArray, v: FloatArray) -> FloatArray:
    x, y = _cells(u, v * 1.12)
    return np.asarray(np.clip((0.27 - np.hypot(x, y)) * 14 + 0.5, 0, 1))


def _stars(u: FloatArray, v: FloatArray) -> FloatArray:
    x, y = _cells(u * 0.8, v * 0.9)
    reach = 0.2 + 0.12 * np.cos(5 * np.arctan2(x, -y))
    return np.asarray(np.clip((reach - np.hypot(x, y)) * 14 + 0.5, 0, 1))


def _zigzag(u: FloatArray, v: FloatArray) -> FloatArray:
    return _band(v * 0.9 + np.abs(u - np.round(u)), 0.5)


def _checks(u: FloatArray, v: FloatArray) -> FloatArray:
    return np.asarray(0.5 * (_band(u * 0.8, 0.5) + _band(v * 0.8, 0.5)))


PATTERNS: dict[str, Callable[[FloatArray, FloatArray], FloatArray]] = {
    "plain": lambda u, v: np.zeros(np.broadcast(u, v).shape, np.float32),
    "striped": lambda u, v: _band(u + 0 * v, 0.46),
    "dotted": _dots,
    "checked": _checks,
    "zigzag": _zigzag,
    "starry": _stars,
}
"""Pattern to the share of its second colour at (u, v), where 1 is one repeat."""


def mask_of(part: Part) -> FloatArray:
    """(SIZE, SIZE) float32 cover of a part, 0 to 1."""
    big = SIZE * FINE
    image = Image.new("L", (big, big))
    pen = ImageDraw.Draw(image)
    points = [(float(x) * big / 100, float(y) * big / 100) for x, y in part.points]
    if part.width:
        width = part.width * big / 100
        pen.line(points, fill=255, width=round(width), joint="curve")
        for x, y in (points[0], points[-1]):
            pen.ellipse((x - width / 2, y - width / 2, x + width / 2, y + width / 2), fill=255)
    else:
        pen.polygon(points, fill=255)
    return np.asarray(image.reduce(FINE), np.float32) / 255


def _normals(mask: FloatArray, swell: float) -> tuple[FloatArray, FloatArray]:
    """Slopes (x, y) of the part, as if it were blown up like a cushion."""
    half = _halved(mask)
    quarter = _halved(half)
    wide = 6 * ndimage.gaussian_filter(quarter, 2.0, truncate=2.5)
    wide += 13.5 * ndimage.gaussian_filter(quarter, 4.5, truncate=2.5)
    height = 2.25 * ndimage.gaussian_filter(half, 1.5, truncate=2.5) + _double(wide)
    gy, gx = np.gradient(height)
    return _double(-swell * gx), _double(-swell * gy)


def _halved(mask: FloatArray) -> FloatArray:
    """Half as large, by means of 2 by 2."""
    return np.asarray(0.25 * (mask[::2, ::2] + mask[1::2, ::2] + mask[::2, 1::2] + mask[1::2, 1::2]))


def _double(small: FloatArray) -> FloatArray:
    """Twice as large, between the values bilinear."""
    image = Image.fromarray(np.asarray(small, np.float32))
    return np.asarray(image.resize((image.width * 2, image.height * 2), Image.Resampling.BILINEAR))


def _wrap(mask: FloatArray, x: FloatArray) -> FloatArray:
    """x in pixels as it would be unrolled from a round thing: squeezed towards both edges."""
    solid = mask > 0.5
    left = np.where(solid.any(1), solid.argmax(1), 0)
    right = np.where(solid.any(1), mask.shape[1] - 1 - solid[:, ::-1].argmax(1), 1)
    radius = np.maximum((right - left) / 2 + 1, 4)
    across = np.clip((x - ((left + right) / 2)[:, None]) / radius[:, None], -0.98, 0.98)
    unrolled = np.arcsin(across) * np.median(radius[solid.any(1)]) if solid.any() else x
    return np.asarray(unrolled, np.float32)


def _flat_colour(part: Part, look: Look, mask: FloatArray, corner: tuple[int, int]) -> FloatArray:
    """(h, w, 3) or (3,) colour of a part before light, 0 to 1."""
    main, second = (np.array(c, np.float32) / 255 for c in COLOURS[look.colour])
    main = np.clip(main + np.array(look.shift, np.float32), 0.02, 1)
    dark = float(main.mean()) < 0.3
    fixed: dict[str, FloatArray] = {
        "trim": np.array(MATERIALS[look.material][2], np.float32) / 255,
        "accent": np.clip(main * (0.72 if not dark else 1.0) + (0.16 if dark else 0.0), 0, 1),
        "inner": main * 0.62,
        "dark": np.array((0.20, 0.16, 0.15), np.float32),
        "light": np.array((0.97, 0.95, 0.90), np.float32),
        "leaf": np.array((0.28, 0.52, 0.27), np.float32),
        "glow": np.array((1.0, 0.93, 0.66), np.float32),
        "shade": main * 0.3,
    }
    if part.role != "body":
        return fixed[part.role]
    y, x = np.mgrid[0 : mask.shape[0], 0 : mask.shape[1]].astype(np.float32)
    u = _wrap(mask, x) if part.round else x + corner[1] - SIZE / 2
    v = y + corner[0] - SIZE / 2
    unit, angle = look.scale / SIZE, math.radians(look.angle)
    c, s = unit * math.cos(angle), unit * math.sin(angle)
    share = PATTERNS[look.pattern](u * c + v * s, v * c - u * s)
    return np.asarray(main + share[..., None] * (second - main))


def _grain(look: Look, shape: tuple[int, ...], rng: np.random.Generator) -> FloatArray:
    """(h, w, 1) the surface of a material as a factor near 1."""
    noise = rng.standard_normal(shape).astype(np.float32)
    if look.material == "wood":
        lines = ndimage.gaussian_filter(noise, (0.7, 14), truncate=2)
        return np.asarray(1 + 0.32 * lines[..., None])
    if look.material == "wool":
        y, x = np.mgrid[0 : shape[0], 0 : shape[1]]
        knit = 1 + 0.10 * np.sin(1.25 * (x + np.abs(y % 6 - 3))) + 0.03 * noise
        return np.asarray(knit[..., None], np.float32)
    if look.material in ("canvas", "leather"):
        return np.asarray(1 + 0.12 * ndimage.gaussian_filter(noise, 0.9, truncate=2)[..., None])
    return np.ones((*shape, 1), np.float32)


def _lit(part: Part, look: Look, mask: FloatArray, colour: FloatArray, grain: FloatArray) -> FloatArray:
    """(h, w, 3) the part in the light of the shop."""
    if not part.swell or 0 < part.width < 1.7:
        return np.broadcast_to(colour, (*mask.shape, 3))
    gloss, sharp, _ = MATERIALS[look.material]
    nx, ny = _normals(mask, part.swell * (0.55 if part.width else 0.42))
    length = np.sqrt(nx * nx + ny * ny + 1)
    lambert = np.clip((nx * LIGHT[0] + ny * LIGHT[1] + LIGHT[2]) / length, 0, 1)
    shine = gloss * np.clip((nx * HALF[0] + ny * HALF[1] + HALF[2]) / length, 0, 1) ** (sharp * 3)
    bounce = 0.07 * np.clip(ny / length, 0, 1)
    light = 0.42 + 0.86 * lambert + bounce
    return np.asarray(np.clip(colour * light[..., None] * grain + shine[..., None] * part.swell, 0, 1))


def _frame(mask: FloatArray) -> tuple[slice, slice]:
    """The window around what is drawn, with room for the light; its sides divide by 4."""
    rows, columns = np.flatnonzero(mask.any(1)), np.flatnonzero(mask.any(0))
    if not len(rows):
        return slice(0, 4), slice(0, 4)
    down, across = (
        slice(max(int(found[0]) - 4, 0) // 4 * 4, min((int(found[-1]) + 8) // 4 * 4, SIZE)) for found in (rows, columns)
    )
    return down, across


def sprite(parts: list[Part], look: Look, rng: np.random.Generator) -> FloatArray:
    """The thing alone.

    Args:
        parts: From back to front.
        look: Its colours, pattern and material.
        rng: For the grain of its material.

    Returns:
        (SIZE, SIZE, 4) float32, 0 to 1, colours not multiplied by alpha.
    """
    picture = np.zeros((SIZE, SIZE, 3), np.float32)
    alpha = np.zeros((SIZE, SIZE, 1), np.float32)
    grain = _grain(look, (SIZE, SIZE), rng)
    plain = np.ones((1, 1, 1), np.float32)
    for part in parts:
        whole = mask_of(part)
        window = _frame(whole)
        mask = whole[window]
        cover = mask[..., None] * (0.55 if part.role == "light" and part.width > 1.7 else 1.0)
        if part.role == "shade":
            cover = cover * 0.22
        under = np.roll(ndimage.uniform_filter(mask, 7), (3, 2), (0, 1))[..., None] * alpha[window]
        picture[window] *= 1 - 0.20 * under
        colour = _flat_colour(part, look, mask, (window[0].start, window[1].start))
        lit = _lit(part, look, mask, colour, grain[window] if part.role in ("body", "accent", "inner") else plain)
        edge = 1 - 0.30 * (1 - np.clip(2 * ndimage.uniform_filter(mask, 5) - 1, 0, 1))[..., None]
        over = alpha[window] + cover * (1 - alpha[window])
        share = np.divide(cover, over, out=np.zeros_like(cover), where=over > 0)
        picture[window] += share * (lit * edge - picture[window])
        alpha[window] = over
    return np.concatenate([picture, alpha], axis=2)


@lru_cache(maxsize=32)
def backdrop(index: int, size: int = SIZE) -> FloatArray:
    """(size, size, 3) float32, a wall and a shelf in a quiet colour."""
    base = np.array(BACKDROPS[index % len(BACKDROPS)], np.float32) / 255
    y, x = np.mgrid[0:size, 0:size].astype(np.float32) / size
    floor = np.clip((y - 0.78) * 9, 0, 1)
    vignette = 1.02 - 0.16 * ((x - 0.45) ** 2 + (y - 0.4) ** 2)
    return np.asarray(np.clip(base * (vignette - 0.06 * floor + 0.05 * floor * (y - 0.78) / 0.22)[..., None], 0, 1))


def shadow(alpha: FloatArray) -> FloatArray:
    """(h, w, 1) how much darker the backdrop is behind and below the thing."""
    alpha = _halved(alpha)
    size = len(alpha)
    wall = np.zeros_like(alpha)
    down, right = size // 40, size // 26
    wall[down:, right:] = ndimage.gaussian_filter(alpha, size / 28, truncate=2)[:-down, :-right]
    rows = np.flatnonzero(alpha.max(1) > 0.3)
    ground = np.zeros_like(alpha)
    if len(rows):
        low = alpha[max(rows[-1] - size // 12, 0) : rows[-1] + 1].max(0)
        thick = max(size // 60, 2)
        ground[min(rows[-1] - 1, size - thick) : rows[-1] + thick] = low
        ground = ndimage.gaussian_filter(ground, (size / 70, size / 36), truncate=2.5)
    return _double(np.clip(0.20 * wall + 0.45 * ground, 0, 0.6))[..., None]


def compose(thing: FloatArray, behind: FloatArray) -> FloatArray:
    """(h, w, 3) uint8 of a sprite before a backdrop of the same size, with its shadow."""
    alpha = thing[..., 3:]
    ground = behind * (1 - shadow(thing[..., 3]))
    return np.asarray(np.rint(255 * (ground + alpha * (thing[..., :3] - ground))), np.uint8)
