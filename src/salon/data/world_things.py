"""The things of the shop: how each kind is built from parts, with a little freedom in its proportions."""

from __future__ import annotations

from collections.abc import Callable
from itertools import pairwise

import numpy as np

from salon.data.world_shapes import Part, blob, box, leaf, line, oval, poly, ring, rotated, tilted, turned

Vary = Callable[[float, float], float]
"""Draws one number between two bounds: the freedom of a maker's hand."""


def teapot(vary: Vary) -> list[Part]:
    """A round pot with spout, handle and a knob on its lid."""
    w, top = vary(21, 27), vary(36, 44)
    return [
        line([(50 + w - 4, top + 8), (92, top + 4), (90, top + 26), (50 + w - 4, 74)], 5, "accent"),
        blob([(34, 64), (50 - w - 6, 62), (12, top + 4), (7, top), (14, top - 2), (22, top + 9), (40, top + 12)]),
        turned([(10, top), (w - 5, top + 6), (w, top + 22), (w - 5, 78), (14, 84)]),
        turned([(3, top - 6), (11, top - 1), (13, top + 3)], "accent"),
        oval(50, top - 8, 4, 4, "trim"),
        turned([(13, 83), (15, 86), (15, 87)], "accent"),
    ]


def mug(vary: Vary) -> list[Part]:
    """A mug with steam."""
    w, top, foot = vary(19, 25), vary(30, 40), vary(15, 22)
    x = 46 + w
    steam = [
        line([(x0, top - 6), (x0 - 4, top - 13), (x0 + 3, top - 20), (x0, top - 27)], 1.8, "light") for x0 in (40, 51)
    ]
    return [
        *steam,
        line([(x - 3, top + 10), (x + 15, top + 10), (x + 14, 70), (x - 5, 72)], 6, "accent"),
        turned([(w, top), (w, top + 20), (w - 1, 66), (foot, 84), (foot - 2, 86)], cx=46),
        oval(46, top, w, 5, "accent", swell=0.4),
        oval(46, top + 1, w - 2.5, 3.4, "dark", swell=0),
    ]


def vase(vary: Vary) -> list[Part]:
    """A vase with a few tulips."""
    w, neck, waist = vary(15, 23), vary(6, 11), vary(52, 64)
    stems = [(vary(-24, -12), vary(16, 24)), (vary(-3, 3), vary(8, 14)), (vary(12, 24), vary(16, 24))]
    parts: list[Part] = []
    for dx, y in stems:
        parts.append(line([(50, 46), (50 + dx * 0.4, 36), (50 + dx, y + 6)], 1.6, "leaf"))
        petals = [(-5, -5), (-2.4, -1.5), (0, -7), (2.4, -1.5), (5, -5), (5, 3), (0, 7), (-5, 3)]
        parts.append(poly(rotated(np.array(petals), dx * 0.9) + np.array((50 + dx, y)), "accent", swell=1))
    parts += [leaf(48, 44, 24, -38), leaf(52, 44, 24, 40)]
    parts.append(turned([(neck + 3, 41), (neck, 45), (neck + 2, 50), (w, waist + 5), (w - 3, 76), (10, 88)]))
    return [*parts, oval(50, 41.5, neck + 3, 2, "dark", swell=0)]


def lamp(vary: Vary) -> list[Part]:
    """A table lamp with a shade that glows at its rim."""
    top, rim, y = vary(9, 17), vary(25, 32), vary(44, 50)
    foot = turned([(3, y), (3, 60), (vary(4, 11), 68), (4, 76), (15, 84), (17, 86), (17, 87)], "trim")
    shade = [(50 - top, 16), (50 + top, 16), (50 + rim, y), (50 - rim, y)]
    return [
        foot,
        oval(50, y + 0.5, rim - 1, 3.6, "glow", swell=0),
        Part(np.array(shade), "body", round=True),
        line([(50 - rim, y), (50 + rim, y)], 2.2, "accent", curved=False),
        line([(50 - top, 16), (50 + top, 16)], 2.2, "accent", curved=False),
    ]


def chair(vary: Vary) -> list[Part]:
    """A chair seen from the front, a little from above."""
    w, top, lean = vary(17, 21), vary(14, 22), vary(0, 3)
    legs = [
        line([(50 - w + 4, 66), (50 - w + 5, 84)], 3.4, curved=False),
        line([(50 + w - 4, 66), (50 + w - 5, 84)], 3.4, curved=False),
    ]
    front = [
        line([(50 - w - 1, 68), (50 - w - 3, 91)], 4.2, curved=False),
        line([(50 + w + 1, 68), (50 + w + 3, 91)], 4.2, curved=False),
    ]
    back = [
        (50 - w - lean, top),
        (50, top - vary(0, 6)),
        (50 + w + lean, top),
        (50 + w, 42),
        (50 + w - 2, 56),
        (50 - w + 2, 56),
        (50 - w, 42),
    ]
    posts = [line([(50 + s * (w - 2), 50), (50 + s * (w - 2), 64)], 3.4, curved=False) for s in (-1, 1)]
    seat = [(50 - w, 60), (50 + w, 60), (50 + w + 5, 69), (50 - w - 5, 69)]
    return [
        *legs,
        *posts,
        blob(back, swell=0.9),
        *front,
        poly(seat, swell=0.8),
        box(50 - w - 5, 68, 50 + w + 5, 73, 2.2, "accent"),
    ]


def plant(vary: Vary) -> list[Part]:
    """A house plant in a pot."""
    count, reach, fat = int(vary(6, 10)), vary(30, 42), vary(0.24, 0.5)
    spread = np.linspace(-vary(62, 88), vary(62, 88), count)
    order = np.argsort(-np.abs(spread))
    leaves = [leaf(50 + a * 0.06, 58, reach * (1.12 - abs(a) / 230), a, fat=fat) for a in spread[order]]
    w = vary(15, 19)
    return [
        *leaves,
        turned([(w, 60), (w - 1, 66), (w - 4, 88), (w - 5, 90)]),
        turned([(w + 2.5, 56), (w + 2.5, 62)], "accent"),
        oval(50, 56.5, w + 1, 1.8, "dark", swell=0),
    ]


def clock(vary: Vary) -> list[Part]:
    """A clock on two feet, its hands somewhere in the day."""
    r, hour, minute = vary(27, 32), vary(0, 360), vary(0, 360)
    bells = [oval(50 + s * 17, 22, 9, 6, "accent") for s in (-1, 1)] if vary(0, 1) > 0.4 else [ring(50, 19, 5, 3)]
    ticks = [
        line(rotated(np.array([(50, 52 - r + 9.5), (50, 52 - r + 6.5)]), 30 * i, (50, 52)), 1.6, "dark", curved=False)
        for i in range(12)
    ]
    hands = [
        line(rotated(np.array([(50, 52), (50, 52 - reach)]), turn, (50, 52)), width, "dark", curved=False)
        for reach, turn, width in ((r * 0.38, hour, 2.8), (r * 0.58, minute, 1.9))
    ]
    feet = [line([(50 + s * 17, 74), (50 + s * 23, 88)], 4.5, "accent", curved=False) for s in (-1, 1)]
    return [
        *feet,
        *bells,
        oval(50, 52, r, r),
        oval(50, 52, r - 5.5, r - 5.5, "light", swell=0.25),
        *ticks,
        *hands,
        oval(50, 52, 2.2, 2.2, "trim"),
    ]


def bag(vary: Vary) -> list[Part]:
    """A bag with a handle and a clasp."""
    w, top, flap = vary(23, 29), vary(42, 48), vary(8, 18)
    body = [
        (50 - w + 3, top),
        (50, top - 2),
        (50 + w - 3, top),
        (50 + w + 3, 68),
        (50 + w, 86),
        (50, 89),
        (50 - w, 86),
        (50 - w - 3, 68),
    ]
    cover = [
        (50 - w + 2, top),
        (50, top - 3),
        (50 + w - 2, top),
        (50 + w, top + flap * 0.5),
        (50, top + flap + 6),
        (50 - w, top + flap * 0.5),
    ]
    return [
        line(
            [(50 - w + 9, top + 2), (50 - w + 10, 22), (50, vary(12, 18)), (50 + w - 10, 22), (50 + w - 9, top + 2)],
            4,
            "accent",
        ),
        blob(body),
        blob(cover, "accent", swell=0.5),
        oval(50, top + flap + 4, 3.2, 3.2, "trim"),
    ]


def kite(vary: Vary) -> list[Part]:
    """A kite with a tail of bows."""
    w, cross = vary(22, 29), vary(28, 36)
    tail = [(50, 66), (56, 74), (47, 82), (54, 90), (62, 95)]
    bows: list[Part] = []
    for x, y in ((54, 74), (49, 83), (57, 92)):
        bows += [
            poly([(x, y), (x - 6, y - 3.5), (x - 6, y + 3.5)], "accent"),
            poly([(x, y), (x + 6, y - 3.5), (x + 6, y + 3.5)], "accent"),
        ]
    diamond = [(50, 6), (50 + w, cross), (50, 68), (50 - w, cross)]
    fold = poly([(50, 6), (50 + w, cross), (50, 68)], "shade", swell=0)
    spars = [line([(50, 6), (50, 68)], 1.5, curved=False), line([(50 - w, cross), (50 + w, cross)], 1.5, curved=False)]
    return tilted([line(tail, 1.2, "dark"), *bows, poly(diamond, swell=0.5), fold, *spars], vary(-8, 24))


def scarf(vary: Vary) -> list[Part]:
    """A scarf in a loose loop with two fringed ends."""
    left, right, w = vary(76, 84), vary(66, 80), vary(13, 16)

    def fringe(x: float, y: float, lean: float) -> list[Part]:
        return [
            line([(x + d, y - 1), (x + d + lean, y + 7)], 1.3, "accent", curved=False)
            for d in np.linspace(-w / 2 + 1, w / 2 - 1, 6)
        ]

    def end(x0: float, x1: float, y: float) -> Part:
        return poly([(x0 - w / 2, 40), (x0 + w / 2, 40), (x1 + w / 2, y), (x1 - w / 2, y)], swell=0.7)

    back = blob([(24, 32), (50, 17), (76, 32), (70, 42), (50, 31), (30, 42)], "inner")
    front = blob([(22, 30), (30, 40), (50, 46), (70, 40), (78, 30), (78, 44), (66, 56), (50, 60), (34, 56), (22, 44)])
    return [
        *fringe(60, right, 1), end(57, 60, right), *fringe(42, left, -1), end(45, 42, left), back, front,
    ]  # fmt: skip


def rug(vary: Vary) -> list[Part]:
    """A rug on the floor with fringes at its short sides."""
    near, far, top, bottom = vary(40, 43), vary(27, 33), vary(34, 40), vary(72, 78)

    def corners(inset: float) -> list[tuple[float, float]]:
        upper, lower = top + inset * 0.8, bottom - inset * 1.05
        wide = [far + (near - far) * (y - top) / (bottom - top) - inset * 1.4 for y in (upper, lower)]
        return [(50 - wide[0], upper), (50 + wide[0], upper), (50 + wide[1], lower), (50 - wide[1], lower)]

    a, b, c, d = corners(0)
    threads: list[Part] = []
    for t in np.linspace(0.03, 0.97, 16):
        for p, q, out in ((a, d, -5), (b, c, 5)):
            x, y = p[0] + (q[0] - p[0]) * t, p[1] + (q[1] - p[1]) * t
            threads.append(line([(x, y), (x + out, y + 1.5)], 1.1, "trim", curved=False))
    rows = [(0.0, "accent"), (2.4, "light"), (3.8, "body")]
    medallion = poly(
        [(50, top + 12), (64, (top + bottom) / 2), (50, bottom - 12), (36, (top + bottom) / 2)], "accent", swell=0.1
    )
    inner = poly(
        [(50, top + 15), (58, (top + bottom) / 2), (50, bottom - 15), (42, (top + bottom) / 2)], "light", swell=0.1
    )
    return [*threads, *[poly(corners(inset), role, swell=0.1) for inset, role in rows], medallion, inner]


def umbrella(vary: Vary) -> list[Part]:
    """An open umbrella with a crooked handle."""
    w, y, top = vary(36, 41), vary(48, 52), vary(12, 18)
    scallops = [(50 + w - w * 0.5 * i, y) for i in range(5)]
    edge: list[tuple[float, float]] = []
    for right, left in pairwise(scallops):
        edge += [right, ((right[0] + left[0]) / 2, y - 4.5)]
    dome = [
        (50 - w, y),
        (50 - w * 0.86, y - 16),
        (50 - w * 0.5, top + 5),
        (50, top),
        (50 + w * 0.5, top + 5),
        (50 + w * 0.86, y - 16),
    ]
    ribs = [line([(50, top), (50 + d * w * 0.36, y - 22), (50 + d * w * 0.5, y - 0.5)], 0.9, "shade") for d in (-1, 1)]
    arch = np.concatenate([np.array(dome), smooth_edge(edge)])
    return tilted(
        [
            line([(50, top), (50, 82), (47, 89), (41, 89), (39, 84)], 3, "trim"),
            Part(arch, "body", round=True),
            line([(50, top), (50, y - 2)], 0.9, "shade", curved=False),
            *ribs,
            line([(50, top + 1), (50, top - 5)], 2.4, "trim", curved=False),
        ],
        vary(-14, 14),
    )


def smooth_edge(points: list[tuple[float, float]]) -> np.ndarray:
    """The scalloped rim, its arcs rounded: every other point is the height of an arc."""
    rim: list[tuple[float, float]] = []
    for i in range(0, len(points), 2):
        (x0, y0), (xm, ym) = points[i], points[i + 1]
        rim += [(x0 + 2 * (xm - x0) * t, y0 + (ym - y0) * 4 * t * (1 - t)) for t in np.linspace(0, 1, 8)]
    return np.array(rim)


def boat(vary: Vary) -> list[Part]:
    """A toy boat with two sails."""
    mast, w, deck = vary(46, 54), vary(33, 38), vary(68, 72)
    hull = [
        (50 - w, deck),
        (50 + w, deck),
        (50 + w - 9, deck + 14),
        (50 + w - 16, deck + 17),
        (50 - w + 16, deck + 17),
        (50 - w + 7, deck + 12),
    ]
    sail, jib = vary(12, 18), vary(20, 30)
    return [
        line([(mast, 9), (mast, deck)], 2.4, "trim", curved=False),
        blob([(mast + 2, sail), (mast + 22, 44), (mast + 27, deck - 6), (mast + 2, deck - 5)], swell=0.9),
        poly([(mast - 2, jib), (mast - 2, deck - 6), (mast - 22, deck - 6)], "light"),
        poly([(mast, 9), (mast + 11, 11.5), (mast, 15)], "accent"),
        poly(hull, "accent", swell=0.9),
        line([(50 - w + 2, deck + 4), (50 + w - 2, deck + 4)], 1.8, "light", curved=False),
        *[oval(50 + d, deck + 10, 2.4, 2.4, "light", swell=0.2) for d in (-12, 0, 12)],
    ]


def bird(vary: Vary) -> list[Part]:
    """A wooden bird on thin legs."""
    tail, beak, fat = vary(36, 52), vary(7, 13), vary(0, 5)
    body = [(68, 34), (73, 46), (66, 64), (48, 73 + fat), (28, 64), (18, 54), (34, 48), (48, 36)]
    legs = [line([(x, 70), (x, 85), (x + 6, 87)], 1.8, "dark", curved=False) for x in (44, 54)]
    return [
        *legs,
        poly([(34, 54), (5, tail), (9, tail + 9), (28, 64)], "accent", swell=0.8),
        poly([(77, 30), (79 + beak, 35), (77, 38)], "trim"),
        blob(body),
        oval(65, 32, 15, 14),
        blob([(30, 54), (46, 46), (60, 52), (52, 64), (36, 64)], "accent", swell=0.9),
        oval(70, 29, 2.9, 2.9, "light", swell=0),
        oval(70.6, 29, 1.7, 1.7, "dark", swell=0),
    ]


def robot(vary: Vary) -> list[Part]:
    """A wind-up robot."""
    w, head, arm = vary(17, 21), vary(12, 15), vary(56, 70)
    eyes = [
        part
        for d in (-6, 6)
        for part in (oval(50 + d, 29, 4, 4, "light", swell=0.3), oval(50 + d, 29, 1.9, 1.9, "dark", swell=0))
    ]
    arms = [
        line([(50 + s * (w + 1), 48), (50 + s * (w + 9), 54), (50 + s * (w + 9), arm)], 5, "accent") for s in (-1, 1)
    ]
    hands = [ring(50 + s * (w + 9), arm + 4, 3, 2.2) for s in (-1, 1)]
    legs = [box(50 + s * 9 - 4.5, 74, 50 + s * 9 + 4.5, 88, 2, "accent") for s in (-1, 1)]
    feet = [box(50 + s * 10 - 7, 85, 50 + s * 10 + 7, 91, 3, "trim") for s in (-1, 1)]
    return [
        line([(50, 20), (50, 10)], 1.8, "trim", curved=False), oval(50, 9, 3, 3, "glow"),
        *legs, *feet, *arms, *hands,
        box(50 - w, 43, 50 + w, 78, 5),
        box(50 - head, 18, 50 + head, 41, 5, "accent"), *eyes,
        line([(45, 36), (50, 37.2), (55, 36)], 1.6, "dark"),
        *[oval(50 + d, 50, 1.8, 1.8, "trim") for d in (-6, 0, 6)],
    ]  # fmt: skip


def hat(vary: Vary) -> list[Part]:
    """A hat with a band, on its brim."""
    w, top, crown = vary(36, 42), vary(30, 40), vary(18, 23)
    return [
        oval(50, 72, w, 9, "body", swell=0.8),
        turned([(crown - 8, top), (crown - 2, top + 4), (crown, 58), (crown + 1, 70), (crown - 4, 73)]),
        Part(
            np.array([(50 - crown, 60), (50 + crown, 60), (50 + crown + 1, 69), (50, 72), (50 - crown - 1, 69)]),
            "accent",
            round=True,
        ),
        leaf(50 + crown - 3, 66, vary(18, 30), vary(10, 30), fat=0.3, role="trim"),
    ]


THINGS: dict[str, Callable[[Vary], list[Part]]] = {
    "teapot": teapot, "mug": mug, "vase": vase, "lamp": lamp, "chair": chair, "plant": plant, "clock": clock,
    "bag": bag, "kite": kite, "scarf": scarf, "rug": rug, "umbrella": umbrella, "boat": boat, "bird": bird,
    "robot": robot, "hat": hat,
}  # fmt: skip
"""Kind to the function that builds it."""
