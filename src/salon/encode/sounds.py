"""Sounds -> vectors: MusiCNN for music and sounds in general, a speaker encoder for voices."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property
from pathlib import Path
from typing import Any, ClassVar, Literal

import numpy as np
from pydantic import Field
from scipy.special import expit

from salon.arrays import blocks, unit_rows
from salon.config import Settings
from salon.encode.base import Encoder
from salon.encode.sessions import OnnxModel
from salon.encode.weights import known, weight_files
from salon.errors import MediaError
from salon.media.audio import Wave, decode_audio, mel_power, trim_silence
from salon.types import FloatArray, Modality

SILENCE = 10 ** (-70 / 20)
"""A sound whose loudest sample is below this (-70 dB) has nothing to encode."""
BATCH = 4
"""Patches that go through a network at once."""


def heard(path: Path, rate: int, seconds: float) -> Wave:
    """The start of a sound file, (n,) float32.

    Raises:
        MediaError: It cannot be decoded, or is silent.
    """
    wave = decode_audio(path, rate, seconds=seconds)
    if np.abs(wave).max() < SILENCE:
        raise MediaError(f"{path.name!r} is silent.", hint="Leave the value out.")
    return wave


def spread_windows(frames: FloatArray, width: int) -> FloatArray:
    """Windows of `width` frames that cover all, evenly spread; a short sound is repeated until it fills one.

    Args:
        frames: (t, bands) float32, t at least 1.
        width: Frames per window.

    Returns:
        (windows, width, bands) float32, the last window ending with the last frame.
    """
    if len(frames) < width:
        frames = np.resize(frames, (width, frames.shape[1]))
    count = -(-len(frames) // width)
    starts = np.linspace(0, len(frames) - width, count).round().astype(int)
    return np.stack([frames[start : start + width] for start in starts])


class MusiCNNSettings(Settings):
    """Settings of `MusiCNN`."""

    vector: Literal["features", "pooled"] = "features"
    """"features" is the 200 numbers of the last hidden layer; "pooled" the 1506 before it: better, and larger."""
    seconds: float = Field(60.0, gt=0, le=1800)
    """How much of a sound is listened to, from its start."""


class MusiCNN(Encoder):
    """MusiCNN trained on MagnaTagATune: 200 (or 1506) numbers, the mean over patches of three seconds.

    16 kHz mono, 96 mel bands of 512 samples every 256, log10(10000 power + 1). It knows music; sounds of animals,
    households and machines it tells apart less well. Source: Pons and Serra, "musicnn", ISMIR 2019.
    """

    modality = Modality.AUDIO
    settings: MusiCNNSettings
    weights: ClassVar[tuple[str, ...]] = ("musicnn",)
    RATE: ClassVar[int] = 16000
    FRAMES: ClassVar[int] = 187

    @property
    def dim(self) -> int:
        """200 or 1506."""
        return 200 if self.settings.vector == "features" else 1506

    @property
    def version(self) -> str:
        """Package, checksum of the weights, preprocessing."""
        return f"{known('musicnn').stamp}|spread-repeat-mean-1"

    @cached_property
    def _model(self) -> OnnxModel:
        return OnnxModel(weight_files("musicnn")["model"])

    @cached_property
    def _head(self) -> dict[str, FloatArray]:
        with np.load(weight_files("musicnn")["head"], allow_pickle=False) as stored:
            return dict(stored)

    def patches(self, wave: Wave) -> FloatArray:
        """(patches, 187, 96) float32 of a sound at 16 kHz."""
        if wave.size < 512:
            wave = np.pad(wave, (0, 512 - wave.size))
        power = mel_power(wave, self.RATE, 512, 256, 96, padding="reflect")
        return spread_windows(np.log10(10000 * power + 1), self.FRAMES)

    def prepare(self, value: Any) -> FloatArray:
        """Patches of the sound at a path; MediaError when it cannot be decoded or is silent."""
        return self.patches(heard(Path(value), self.RATE, self.settings.seconds))

    def embed(self, batch: Sequence[FloatArray]) -> FloatArray:
        """(n, dim) float32; the patches of all sounds go through the network in fours."""
        if not batch:
            return np.zeros((0, self.dim), np.float32)
        patches = np.concatenate(batch)
        parts = [self._model(self.settings.vector, mel=patches[rows]) for rows in blocks(len(patches), BATCH)]
        starts = np.cumsum([0] + [len(sound) for sound in batch[:-1]])
        sums = np.add.reduceat(np.concatenate(parts), starts, axis=0)
        return np.asarray(sums / np.array([[len(sound)] for sound in batch]), dtype=np.float32)

    def class_scores(self, vectors: FloatArray) -> FloatArray:
        """(n, 50) probabilities of the tags, from (n, dim) vectors that this encoder made.

        The last layers are applied to the mean vector, where the authors average the tags of the patches.
        """
        head = self._head
        if self.settings.vector == "pooled":
            hidden = self._normalised(vectors, "9") @ head["kernel0"] + head["bias0"]
            vectors = self._normalised(np.maximum(hidden, 0), "10")
        return np.asarray(expit(vectors @ head["kernel"] + head["bias"]), dtype=np.float32)

    def _normalised(self, values: FloatArray, number: str) -> FloatArray:
        """Batch normalisation `number` with its frozen statistics."""
        gamma, beta, mean, variance = (self._head[f"{key}{number}"] for key in ("gamma", "beta", "mean", "variance"))
        return np.asarray((values - mean) / np.sqrt(variance + 1e-3) * gamma + beta)


class GE2EVoiceSettings(Settings):
    """Settings of `GE2EVoice`."""

    seconds: float = Field(60.0, gt=0, le=1800)
    """How much of a recording is listened to, from its start."""


class GE2EVoice(Encoder):
    """Who speaks: 256 numbers of unit length, the mean over windows of 1.6 seconds.

    40 mel bands of 25 ms every 10 ms, power without logarithm; quiet recordings are raised to -30 dB and silence is
    cut from both ends. Source: Wan et al., "Generalized End-to-End Loss for Speaker Verification", ICASSP 2018, with
    the weights and windows of the package resemblyzer; its voice activity detection is left out.
    """

    modality = Modality.AUDIO
    settings: GE2EVoiceSettings
    weights: ClassVar[tuple[str, ...]] = ("voice",)
    RATE: ClassVar[int] = 16000
    FRAMES: ClassVar[int] = 160
    STEP: ClassVar[int] = 77

    @property
    def dim(self) -> int:
        """256."""
        return 256

    @property
    def version(self) -> str:
        """Package, checksum of the weights, preprocessing."""
        return f"{known('voice').stamp}|trim-raise-windows-1"

    @cached_property
    def _model(self) -> OnnxModel:
        return OnnxModel(weight_files("voice")["model"])

    def prepare(self, value: Any) -> FloatArray:
        """Windows (n, 160, 40) of the sound at a path; MediaError when it cannot be decoded or is silent."""
        return self.windows(heard(Path(value), self.RATE, self.settings.seconds))

    def windows(self, wave: Wave) -> FloatArray:
        """(windows, 160, 40) float32 of a sound at 16 kHz; the last is kept when three quarters of it are filled."""
        wave = trim_silence(wave, self.RATE)
        loudness = float(np.sqrt(np.mean(np.square(wave, dtype=np.float64))))
        wave = wave * np.float32(max(1.0, 10 ** (-30 / 20) / max(loudness, 1e-9)))
        frames = -(-(wave.size + 1) // 160)
        starts = list(range(0, max(1, frames - self.FRAMES + self.STEP + 1), self.STEP))
        if len(starts) > 1 and (wave.size - starts[-1] * 160) / (self.FRAMES * 160) < 0.75:
            starts.pop()
        needed = (starts[-1] + self.FRAMES) * 160
        power = mel_power(np.pad(wave, (0, max(0, needed - wave.size))), self.RATE, 400, 160, 40)
        return np.stack([power[start : start + self.FRAMES] for start in starts])

    def embed(self, batch: Sequence[FloatArray]) -> FloatArray:
        """(n, 256) float32 of unit length."""
        rows = [
            np.concatenate([self._model("voice", mel=windows[part]) for part in blocks(len(windows), BATCH)]).mean(0)
            for windows in batch
        ]
        return unit_rows(np.stack(rows)) if rows else np.zeros((0, self.dim), np.float32)
