"""Outlines of the things of the shop, in a square of 100 by 100: parts from back to front, each with a role.

A part says what it is (body, trim, leaf ...), never its colour; `world_paint` gives it light, colour and pattern.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

import numpy as np

from salon.types import FloatArray

Point = tuple[float, float]


@dataclass(frozen=True)
class Part:
    """One piece of a thing.

    Attributes:
        points: (n, 2) float outline; x to the right, y down.
        role: What the piece is: "body", "inner", "trim", "accent", "dark", "light", "leaf", "glow".
        width: 0 fills the outline, more draws it as a line of that width.
        round: Whether the pattern bends around it as around a pot.
        swell: How far it bulges towards the eye; 0 is flat.
    """

    points: FloatArray
    role: str = "body"
    width: float = 0.0
    round: bool = False
    swell: float = 1.0


def smooth(points: Sequence[Point] | FloatArray, *, closed: bool, steps: int = 10) -> FloatArray:
    """A Catmull-Rom curve through `points`, (m, 2)."""
    knots = np.asarray(points, np.float64)
    if closed:
        knots = np.concatenate([knots[-1:], knots, knots[:2]])
    else:
        knots = np.concatenate([2 * knots[:1] - knots[1:2], knots, 2 * knots[-1:] - knots[-2:-1]])
    p0, p1, p2, p3 = (knots[i : len(knots) - 3 + i, None] for i in range(4))
    t = np.linspace(0, 1, steps, endpoint=False)[None, :, None]
    curve = p1 + t / 2 * ((p2 - p0) + t * ((2 * p0 - 5 * p1 + 4 * p2 - p3) + t * (3 * (p1 - p2) + p3 - p0)))
    flat = curve.reshape(-1, 2)
    return flat if closed else np.concatenate([flat, knots[-2:-1]])


def turned(profile: Sequence[Point], role: str = "body", *, cx: float = 50, swell: float = 1.0) -> Part:
    """A thing of the potter's wheel: `profile` lists (half width, y) from top to bottom."""
    right = smooth(profile, closed=False)
    left = right[::-1] * (-1, 1)
    return Part(np.concatenate([right, left]) + np.array((cx, 0)), role, round=True, swell=swell)


def blob(points: Sequence[Point], role: str = "body", *, swell: float = 1.0, round: bool = False) -> Part:
    """A soft closed shape through `points`."""
    return Part(smooth(points, closed=True), role, round=round, swell=swell)


def poly(points: Sequence[Point] | FloatArray, role: str = "body", *, swell: float = 0.6) -> Part:
    """A shape with straight edges."""
    return Part(np.asarray(points, np.float64), role, swell=swell)


def line(points: Sequence[Point] | FloatArray, width: float, role: str = "trim", *, curved: bool = True) -> Part:
    """A rod, handle or thread along `points`."""
    path = smooth(points, closed=False) if curved else np.asarray(points, np.float64)
    return Part(path, role, width=width)


def oval(
    cx: float, cy: float, rx: float, ry: float, role: str = "body", *, swell: float = 1.0, round: bool = False
) -> Part:
    """An ellipse."""
    t = np.linspace(0, 2 * np.pi, 60, endpoint=False)
    return Part(np.stack([cx + rx * np.cos(t), cy + ry * np.sin(t)], 1), role, swell=swell, round=round)


def ring(cx: float, cy: float, radius: float, width: float, role: str = "trim") -> Part:
    """A circle drawn as a line."""
    t = np.linspace(0, 2 * np.pi, 61)
    return Part(np.stack([cx + radius * np.cos(t), cy + radius * np.sin(t)], 1), role, width=width)


def box(x0: float, y0: float, x1: float, y1: float, corner: float, role: str = "body", *, swell: float = 0.8) -> Part:
    """A rectangle with round corners."""
    t = np.linspace(0, np.pi / 2, 8)
    arc = np.stack([np.cos(t), np.sin(t)], 1) * corner
    centres = [(x1 - corner, y1 - corner), (x0 + corner, y1 - corner), (x0 + corner, y0 + corner)]
    centres.append((x1 - corner, y0 + corner))
    turns = [arc, arc[:, ::-1] * (-1, 1), arc * (-1, -1), arc[:, ::-1] * (1, -1)]
    return Part(np.concatenate([c + a for c, a in zip(np.array(centres), turns, strict=True)]), role, swell=swell)


def leaf(x: float, y: float, length: float, degrees: float, *, fat: float = 0.32, role: str = "leaf") -> Part:
    """A leaf that grows from (x, y) towards `degrees` (0 is up, 90 to the right)."""
    t = np.linspace(0, 1, 14)
    half = fat * length * np.sin(np.pi * t**0.8) * 0.5
    outline = np.concatenate([np.stack([half, -t * length], 1), np.stack([-half, -t * length], 1)[::-1]])
    return Part(rotated(outline, degrees) + np.array((x, y)), role, swell=0.7)


def rotated(points: FloatArray, degrees: float, centre: Point = (0.0, 0.0)) -> FloatArray:
    """The points turned clockwise (y is down) about `centre`."""
    a = np.radians(degrees)
    matrix = np.array([[np.cos(a), np.sin(a)], [-np.sin(a), np.cos(a)]])
    return np.asarray((np.asarray(points) - centre) @ matrix + centre)


def tilted(parts: Iterable[Part], degrees: float, centre: Point = (50.0, 50.0)) -> list[Part]:
    """All parts turned together."""
    return [replace(part, points=rotated(part.points, degrees, centre)) for part in parts]
