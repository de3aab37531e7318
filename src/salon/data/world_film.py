"""The films of the shop: a thing that moves in its manner, some with its tune."""

from __future__ import annotations

from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np
from PIL import Image

from salon.data.world_paint import backdrop
from salon.data.world_sound import RATE
from salon.types import FloatArray

SIZE, FPS, FRAMES = 192, 12, 28

MOTIONS = ("spin", "sway", "bounce", "drift", "pulse")
"""The manners of moving."""


def placement(motion: str, turn: float) -> tuple[float, float, float, float, float]:
    """Degrees, stretch x, stretch y, shift x, shift y at `turn` (1 is one cycle); shifts in sizes of the picture."""
    wave, angle = np.sin(2 * np.pi * turn), 2 * np.pi * turn
    if motion == "spin":
        stretch = np.cos(angle)
        return 0, float(np.sign(stretch) * max(abs(stretch), 0.1)), 1, 0, 0
    if motion == "sway":
        return 16 * float(wave), 1, 1, 0, 0
    if motion == "bounce":
        high = abs(float(wave))
        squash = 1 - 0.2 * max(0.0, 0.25 - high) / 0.25
        return 0, 2 - squash, squash, 0, -0.17 * high
    if motion == "drift":
        return 5 * float(np.cos(angle)), 0.9, 0.9, 0.17 * float(wave), 0.06 * float(np.sin(2 * angle))
    size = 0.86 + 0.14 * float(wave)
    return 0, size, size, 0, 0


def _moved(thing: Image.Image, motion: str, turn: float) -> Image.Image:
    """The sprite in its place at `turn`; it turns and stretches about its foot, and sways from there."""
    degrees, sx, sy, dx, dy = placement(motion, turn)
    sx, sy = 0.84 * sx, 0.84 * sy
    a, cx, cy = np.radians(degrees), SIZE / 2, SIZE * 0.86
    c, s, tx, ty = np.cos(a), np.sin(a), cx + dx * SIZE, cy + dy * SIZE
    rows = [c / sx, s / sx, cx - (c * tx + s * ty) / sx, -s / sy, c / sy, cy - (c * ty - s * tx) / sy]
    return thing.transform((SIZE, SIZE), Image.Transform.AFFINE, [float(v) for v in rows], Image.Resampling.BILINEAR)


def frames(thing: FloatArray, behind: int, motion: str, rng: np.random.Generator) -> Iterator[Image.Image]:
    """The pictures of a film.

    Args:
        thing: (h, w, 4) float sprite.
        behind: Index of the backdrop.
        motion: One of `MOTIONS`.
        rng: For pace and phase.
    """
    small = Image.fromarray(np.rint(thing * 255).astype(np.uint8))
    small = small.resize((SIZE, SIZE), Image.Resampling.BILINEAR)
    stage = Image.fromarray(np.rint(backdrop(behind, SIZE) * 255).astype(np.uint8))
    pace, phase = rng.uniform(0.75, 1.05), rng.uniform(0, 0.2)
    for number in range(FRAMES):
        shot = stage.copy()
        moved = _moved(small, motion, phase + pace * number / FPS)
        shot.paste(moved, (0, 0), moved)
        yield shot


def write_mp4(path: Path, shots: Iterator[Image.Image], sound: FloatArray | None = None) -> None:
    """The film as H.264 (MPEG-4 part 2 where FFmpeg has no x264), one thread, so that bytes repeat.

    Args:
        path: To write.
        shots: RGB pictures of `SIZE`.
        sound: (samples,) float32 at `RATE`, or None for a silent film.
    """
    with av.open(str(path), "w", options={"fflags": "+bitexact"}) as film:
        fast = "libx264" in av.codec.codecs_available
        picture: Any = film.add_stream("libx264" if fast else "mpeg4", rate=FPS)
        picture.width = picture.height = SIZE
        picture.pix_fmt = "yuv420p"
        picture.codec_context.thread_count = 1
        picture.options = {"preset": "superfast", "crf": "25"} if fast else {"qscale": "5"}
        track: Any = None if sound is None else film.add_stream("aac", rate=RATE, layout="mono")
        for shot in shots:
            film.mux(picture.encode(av.VideoFrame.from_ndarray(np.asarray(shot), format="rgb24")))
        film.mux(picture.encode())
        if track is not None and sound is not None:
            _add_sound(film, track, sound)


def _add_sound(film: Any, track: Any, sound: FloatArray) -> None:
    """The tune in frames of 1024 samples."""
    for start in range(0, len(sound) - 1023, 1024):
        frame = av.AudioFrame.from_ndarray(sound[None, start : start + 1024].astype(np.float32), "fltp", "mono")
        frame.sample_rate, frame.pts, frame.time_base = RATE, start, Fraction(1, RATE)
        film.mux(track.encode(frame))
    film.mux(track.encode())
