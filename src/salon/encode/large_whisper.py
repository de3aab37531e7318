"""What is said: speech to text by Whisper, and the text to a vector by any text encoder.

Source: Radford et al., "Robust Speech Recognition via Large-Scale Weak Supervision", ICML 2023.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from functools import cached_property
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch
from pydantic import Field
from transformers import WhisperForConditionalGeneration, WhisperProcessor

from salon.arrays import blocks
from salon.config import Settings
from salon.encode.base import Encoder
from salon.encode.large import Loaded
from salon.encode.large_network import check_finite, loading, running
from salon.encode.large_pieces import heard, heard_in_video
from salon.encode.large_source import Source, locate
from salon.errors import MediaError, SettingError
from salon.media.audio import Wave
from salon.registry import create
from salon.training.device import pick_device
from salon.types import FloatArray, Modality

RATE = 16000
WINDOW = 30
"""Seconds that Whisper hears at once."""


class WhisperSettings(Settings):
    """Settings of the encoders that transcribe."""

    model: str = Field(min_length=1)
    """Folder of a Whisper model, hub id such as openai/whisper-small, or a short name such as whisper-small."""
    revision: str = ""
    """Branch, tag or commit of a hub model."""
    text: str | dict[str, Any] = "use"
    """The text encoder of what was said: a name, or a table with its name and settings. It must not learn from the
    catalogue."""
    language: str = Field("", pattern=r"^([a-z]{2,3})?$")
    """What is spoken, such as en or zh. Empty: Whisper decides for every window of thirty seconds."""
    seconds: float = Field(300.0, gt=0, le=1800)
    """How much of a recording is listened to, from its start."""
    max_tokens: int = Field(224, ge=1, le=440)
    """Most tokens written per window of thirty seconds."""
    precision: Literal["float32", "bfloat16", "float16"] = "float32"
    """Number format of Whisper; the 16-bit ones are for GPUs."""
    device: Literal["auto", "cpu", "cuda", "mps"] = "auto"
    """Where Whisper runs; "auto" takes a GPU where there is one."""
    threads: int = Field(1, ge=1, le=256)
    """Threads of the network on the processor."""


class Whisper(Encoder):
    """Base of encoders of what is said; vectors lie in the space of the text encoder."""

    settings: WhisperSettings

    @cached_property
    def _source(self) -> Source:
        return locate(self.settings.model, self.settings.revision)

    @cached_property
    def _text(self) -> Encoder:
        """The text encoder.

        Raises:
            SettingError: It learns from the catalogue, or does not encode texts.
        """
        chosen = self.settings.text
        table = {"name": chosen} if isinstance(chosen, str) else dict(chosen)
        name = str(table.pop("name", ""))
        encoder: Encoder = create("encoder", name, table)
        if encoder.modality != Modality.TEXT or encoder.needs_fit:
            hint = "Take a text encoder that learns nothing, such as use, minilm or st-text."
            raise SettingError(f"text = {name!r} cannot encode what was said.", hint=hint)
        return encoder

    @property
    def dim(self) -> int:
        """Numbers of the text encoder."""
        return self._text.dim

    @property
    def version(self) -> str:
        """Commit or checksum of Whisper, and the text encoder."""
        return f"whisper|{self._source.stamp}|{self._text.fingerprint}|greedy-1"

    @property
    def fingerprint(self) -> str:
        """The space of the text encoder, "#", and what transcribes."""
        chosen = self.settings
        own = (type(self).__name__, self.version, chosen.language, chosen.seconds, chosen.max_tokens, chosen.precision)
        return f"{self._text.space}#{self.modality}-{hashlib.sha256(repr(own).encode()).hexdigest()[:16]}"

    @cached_property
    def _loaded(self) -> Loaded:
        folder, dtype = str(self._source.folder), getattr(torch, self.settings.precision)
        device = pick_device(self.settings.device)
        with loading(self.settings.model):
            network = WhisperForConditionalGeneration.from_pretrained(
                folder, dtype=dtype, use_safetensors=True, local_files_only=True, trust_remote_code=False
            )
            check_finite(network, self.settings.model)
            processor = WhisperProcessor.from_pretrained(folder, local_files_only=True, trust_remote_code=False)
        network.generation_config.max_length = None  # max_tokens counts, and the library warns of two limits
        return Loaded(network.to(device).eval(), processor=processor, device=device, dtype=dtype)

    def transcribe(self, wave: Wave) -> str:
        """What is said in a sound at 16 kHz: the most likely words of each window of thirty seconds, joined.

        Args:
            wave: (n,) float32.
        """
        loaded, said = self._loaded, []
        language = {"language": self.settings.language, "task": "transcribe"} if self.settings.language else {}
        with running(self.settings.model, self.settings.threads):
            for rows in blocks(len(wave), WINDOW * RATE):
                mel = loaded.processor.feature_extractor(wave[rows], sampling_rate=RATE, return_tensors="pt")
                features = mel["input_features"].to(loaded.device, loaded.dtype)
                tokens = loaded.network.generate(
                    features, max_new_tokens=self.settings.max_tokens, do_sample=False, num_beams=1, **language
                )
                said += loaded.processor.tokenizer.batch_decode(tokens, skip_special_tokens=True)
        return " ".join(text.strip() for text in said if text.strip())

    def _said(self, wave: Wave, name: str) -> Any:
        """What was said, prepared for the text encoder.

        Raises:
            MediaError: No words were heard.
        """
        text = self.transcribe(wave)
        if not text:
            raise MediaError(f"No words were heard in {name!r}.", hint="Leave the value out.")
        return self._text.prepare(text)

    def embed(self, batch: Sequence[Any]) -> FloatArray:
        """(n, dim) float32 of n transcripts."""
        if not batch:
            return np.zeros((0, self.dim), np.float32)
        if any(text is None for text in batch):
            raise MediaError("A video without sound has no transcript.", hint="Mask it: encode_items does.")
        return self._text.embed(batch)


class WhisperAudio(Whisper):
    """What is said in a recording: Whisper's transcript through a text encoder, in the space of the texts."""

    modality = Modality.AUDIO

    def prepare(self, value: Any) -> Any:
        """The transcript of the sound at a path; MediaError when it cannot be decoded, is silent or has no words."""
        return self._said(heard(value, RATE, self.settings.seconds), Path(value).name)


class WhisperVideo(Whisper):
    """What is said in a video: Whisper's transcript of its sound through a text encoder, in the space of the texts."""

    modality = Modality.VIDEO

    def prepare(self, value: Any) -> Any:
        """The transcript of the sound track, or None when the video has none or a silent one."""
        wave = heard_in_video(value, RATE, self.settings.seconds)
        return None if wave is None else self._said(wave, Path(value).name)
