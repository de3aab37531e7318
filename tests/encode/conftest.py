"""Real small media files, and the question whether the fetched weights are here."""

from __future__ import annotations

import wave
from collections.abc import Callable
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest
from PIL import Image

from salon.data.ids import IdMap
from salon.data.items import Field, Items
from salon.encode.weights import weights_status


@pytest.fixture(autouse=True)
def _skip_without_weights(request: pytest.FixtureRequest) -> None:
    """Tests marked `weights` are skipped where `salon weights` was never run."""
    if request.node.get_closest_marker("weights"):
        missing = [line.name for line in weights_status() if not line.ready and line.name in ("musicnn", "voice")]
        if missing:
            pytest.skip(f"the weights of {', '.join(missing)} are not here; run: salon weights")


@pytest.fixture(scope="session")
def make_picture() -> Callable[[Path, int], Path]:
    """Writes a smooth colourful PNG; the seed chooses colours and waves."""

    def write(path: Path, seed: int = 0, size: tuple[int, int] = (60, 80)) -> Path:
        rows, columns = np.mgrid[0 : size[0], 0 : size[1]]
        rng = np.random.default_rng(seed)
        waves, shifts = rng.uniform(0.02, 0.4, (3, 2)), rng.uniform(0, 6, 3)
        channels = [127.5 + 127.5 * np.sin(a * rows + b * columns + c) for (a, b), c in zip(waves, shifts, strict=True)]
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(np.stack(channels, axis=-1).astype(np.uint8)).save(path)
        return path

    return write


@pytest.fixture(scope="session")
def make_sound() -> Callable[..., Path]:
    """Writes a WAV of a chord with a beat; the seed chooses pitch and beat."""

    def write(path: Path, seed: int = 0, *, seconds: float = 1.0, level: float = 0.3, rate: int = 16000) -> Path:
        path.parent.mkdir(parents=True, exist_ok=True)
        time = np.arange(int(seconds * rate)) / rate
        chord = sum(np.sin(2 * np.pi * 110 * (1 + seed) * part * time) / part for part in (1, 2, 3))
        samples = level * chord * (1 + np.sin(2 * np.pi * (1 + seed) * time)) / 4
        with wave.open(str(path), "wb") as file:
            file.setnchannels(1)
            file.setsampwidth(2)
            file.setframerate(rate)
            file.writeframes((samples * 32767).astype("<i2").tobytes())
        return path

    return write


@pytest.fixture(scope="session")
def make_video() -> Callable[..., Path]:
    """Writes an MP4 of a shifting picture, with or without a sound track (silent at level 0)."""

    def write(path: Path, seed: int = 0, *, level: float | None = None) -> Path:
        path.parent.mkdir(parents=True, exist_ok=True)
        base = np.random.default_rng(seed).integers(0, 255, (8, 8, 3), dtype=np.uint8)
        picture = np.kron(base, np.ones((8, 8, 1), np.uint8))
        with av.open(str(path), "w") as file:
            film = file.add_stream("mpeg4", rate=8)
            film.width = film.height = 64
            film.pix_fmt = "yuv420p"
            track = file.add_stream("aac", rate=16000, layout="mono") if level is not None else None
            for number in range(24):
                file.mux(film.encode(av.VideoFrame.from_ndarray(np.roll(picture, number, axis=1), format="rgb24")))
            file.mux(film.encode())
            if track is not None:
                tone = level * np.sin(2 * np.pi * 220 * (1 + seed) * np.arange(48 * 1024) / 16000)
                for start in range(0, len(tone), 1024):
                    samples = tone[None, start : start + 1024].astype(np.float32)
                    frame = av.AudioFrame.from_ndarray(samples, format="fltp", layout="mono")
                    frame.sample_rate, frame.pts, frame.time_base = 16000, start, Fraction(1, 16000)
                    file.mux(track.encode(frame))
                file.mux(track.encode())
        return path

    return write


@pytest.fixture(scope="session")
def make_items() -> Callable[..., Items]:
    """A catalogue from field name -> (modality, values)."""

    def make(root: Path | None = None, **fields: tuple[str, list]) -> Items:
        columns = {name: Field.of(name, modality, values) for name, (modality, values) in fields.items()}
        count = len(next(iter(columns.values())))
        return Items(IdMap([f"item-{number}" for number in range(count)]), columns, root)

    return make
