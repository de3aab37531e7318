"""A few different raw values of every modality; media are real files."""

import wave
from collections.abc import Callable
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest
from PIL import Image

from salon.types import Modality

N = 3


def picture(seed: int, side: int = 64) -> np.ndarray:
    """(side, side, 3) uint8 smooth waves of colour."""
    rows, columns = np.mgrid[0:side, 0:side]
    waves = np.random.default_rng(seed).uniform(0.05, 0.4, (3, 2))
    return np.stack([127.5 + 127.5 * np.sin(a * rows + b * columns) for a, b in waves], axis=-1).astype(np.uint8)


def sound(seed: int, rate: int, seconds: float = 4.0) -> np.ndarray:
    """(n,) float32 of a chord with a beat and some noise."""
    time = np.arange(int(rate * seconds)) / rate
    chord = sum(np.sin(2 * np.pi * 110 * (seed + 1) * k * time) / k for k in (1, 2, 3))
    noise = np.random.default_rng(seed).standard_normal(len(time))
    return (0.2 * chord * (1 + np.sin(2 * np.pi * (seed + 1) * time)) / 2 + 0.02 * noise).astype(np.float32)


def write_wav(path: Path, seed: int) -> None:
    with wave.open(str(path), "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(16000)
        file.writeframes((sound(seed, 16000) * 32767).astype("<i2").tobytes())


def write_video(path: Path, seed: int) -> None:
    with av.open(str(path), "w") as file:
        film = file.add_stream("mpeg4", rate=8)
        film.width = film.height = 64
        film.pix_fmt = "yuv420p"
        track = file.add_stream("aac", rate=16000, layout="mono")
        for number in range(32):
            image = np.roll(picture(seed), number, axis=1)
            file.mux(film.encode(av.VideoFrame.from_ndarray(image, format="rgb24")))
        file.mux(film.encode())
        heard = av.AudioFrame.from_ndarray(sound(seed, 16000)[None], format="fltp", layout="mono")
        heard.sample_rate, heard.pts, heard.time_base = 16000, 0, Fraction(1, 16000)
        fifo = av.AudioFifo()
        fifo.write(heard)
        while (part := fifo.read(1024)) is not None:
            file.mux(track.encode(part))
        file.mux(track.encode())


@pytest.fixture(scope="session")
def raw_values(tmp_path_factory: pytest.TempPathFactory) -> Callable[[Modality], list[Any]]:
    folder = tmp_path_factory.mktemp("media")

    def values(modality: Modality) -> list[Any]:
        if modality == Modality.TEXT:
            return ["A red bicycle for the city", "Blue running shoes", "红色的城市自行车 bicycle"]
        if modality == Modality.CATEGORY:
            return [("red", "city"), ("blue",), ("city",)]
        if modality == Modality.NUMBER:
            return [1.5, -2.0, 30.0]
        if modality == Modality.VECTOR:
            return list(np.random.default_rng(0).standard_normal((N, 5)).astype(np.float32))
        if modality == Modality.SERIES:
            return [f"[{', '.join(str((i * k) % 7) for i in range(60))}]" for k in (1, 2, 3)]
        paths = [
            folder / f"{seed}.{ {'image': 'png', 'audio': 'wav', 'video': 'mp4'}[modality.value] }" for seed in range(N)
        ]
        for seed, path in enumerate(paths):
            if path.exists():
                continue
            if modality == Modality.IMAGE:
                Image.fromarray(picture(seed)).save(path)
            else:
                (write_wav if modality == Modality.AUDIO else write_video)(path, seed)
        return paths

    return values
