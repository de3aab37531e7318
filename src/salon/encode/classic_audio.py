"""Sound statistics that need no pretrained network: how mel bands and cepstra are distributed over time."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Sequence
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
from pydantic import Field

from salon.config import Settings
from salon.encode.base import Encoder
from salon.encode.sounds import heard
from salon.media.audio import Wave, log_mel, mfcc
from salon.types import FloatArray, Modality


class SoundStatistics(Encoder):
    """Base: mean and standard deviation over time of what `frames` gives."""

    modality = Modality.AUDIO
    RATE: ClassVar[int] = 16000
    seconds: ClassVar[float] = 60.0

    @abstractmethod
    def frames(self, wave: Wave) -> FloatArray:
        """(frames, numbers) float32 of a sound at 16 kHz."""

    def prepare(self, value: Any) -> FloatArray:
        """(dim,) statistics of the first minute of the sound at a path; MediaError when it has none."""
        wave = heard(Path(value), self.RATE, self.seconds)
        frames = self.frames(np.pad(wave, (0, max(0, 2048 - wave.size))))
        return np.concatenate([frames.mean(axis=0), frames.std(axis=0)])

    def embed(self, batch: Sequence[FloatArray]) -> FloatArray:
        """(n, dim) float32."""
        return np.stack(batch).astype(np.float32) if batch else np.zeros((0, self.dim), np.float32)


class LogMelSettings(Settings):
    """Settings of `LogMel`."""

    bands: int = Field(64, ge=4, le=128)
    """Mel bands."""


class LogMel(SoundStatistics):
    """Mean and standard deviation of each mel band in decibels."""

    settings: LogMelSettings

    @property
    def dim(self) -> int:
        """Twice the bands."""
        return 2 * self.settings.bands

    @property
    def version(self) -> str:
        """Version of the formula."""
        return "logmel-statistics-1"

    def frames(self, wave: Wave) -> FloatArray:
        """(frames, bands) decibels, 80 dB range; FFT of 1024 samples every 256."""
        return log_mel(wave, self.RATE, n_fft=1024, hop=256, bands=self.settings.bands, top_db=80.0)


class MfccSettings(Settings):
    """Settings of `Mfcc`."""

    count: int = Field(20, ge=2, le=64)
    """Cepstral coefficients."""


class Mfcc(SoundStatistics):
    """Mean and standard deviation of mel-frequency cepstral coefficients: timbre without rhythm.

    Source: Davis and Mermelstein, "Comparison of Parametric Representations for Monosyllabic Word Recognition", IEEE
    Transactions on Acoustics, Speech, and Signal Processing, 1980.
    """

    settings: MfccSettings

    @property
    def dim(self) -> int:
        """Twice the coefficients."""
        return 2 * self.settings.count

    @property
    def version(self) -> str:
        """Version of the formula."""
        return "mfcc-statistics-1"

    def frames(self, wave: Wave) -> FloatArray:
        """(frames, count) cepstra."""
        return mfcc(wave, self.RATE, count=self.settings.count)
