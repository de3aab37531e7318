"""Pairs of networks trained into one space: CLIP, SigLIP and their like for text and pictures, CLAP for text and sound.

Loaded by transformers, any model with get_text_features and get_image_features or get_audio_features. Sources: Radford
et al., "Learning Transferable Visual Models From Natural Language Supervision", ICML 2021; Zhai et al., "Sigmoid Loss
for Language Image Pre-Training", ICCV 2023; Tschannen et al., "SigLIP 2", 2025; Yang et al., "Chinese CLIP", 2022; Wu
et al., "Large-Scale Contrastive Language-Audio Pretraining", ICASSP 2023.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import torch
from pydantic import Field

from salon.encode.large import Arrays, LargeEncoder, LargeSettings, Loaded, PieceModel, TextModel
from salon.encode.large_network import as_numpy, features_of, read_network
from salon.encode.large_pieces import (
    extractor_of,
    heard,
    heard_in_video,
    picture_piece,
    pixels_of,
    token_limit,
    tokenizer_of,
    video_frames,
    windows,
)
from salon.errors import MediaError, SettingError
from salon.media.audio import Wave
from salon.media.image import decode_image
from salon.types import FloatArray, Modality


class DualModel(LargeEncoder):
    """Base of one half of a pair; both halves, and all modalities, share the network and the space."""

    loader = "dual"
    method: ClassVar[str]
    """What the network calls the half, such as get_text_features."""

    def _load(self, folder: Path) -> Loaded:
        network = read_network(folder, self._dtype, self.settings.model)
        if not hasattr(network, self.method) or not hasattr(network, "get_text_features"):
            kind = network.config.model_type
            raise SettingError(
                f"The model {self.settings.model!r} of type {kind!r} has no {self.method}.",
                hint="clip-* take CLIP, SigLIP and their like, clap-* take CLAP; st-* and hf-* take other models.",
            )
        return Loaded(network.to(self._device))

    def _half(self, **inputs: torch.Tensor) -> torch.Tensor:
        """(n, width) of inputs through this half of the network."""
        return features_of(getattr(self._loaded.network, self.method)(**inputs))

    @property
    def width(self) -> int:
        """Numbers of the shared space."""
        config = self._loaded.network.config
        size = getattr(config, "projection_dim", None) or getattr(config.text_config, "projection_size", None)
        return int(size or config.text_config.hidden_size)


class DualTextSettings(LargeSettings):
    """Settings of the text halves."""

    max_tokens: int | None = Field(None, ge=8, le=8192)
    """Tokens read of a text; what follows is ignored. Empty: as many as the network has positions."""


class DualText(DualModel, TextModel):
    """Base of the text halves of CLIP-like and CLAP-like models."""

    settings: DualTextSettings
    method = "get_text_features"

    @cached_property
    def _tokenizer(self) -> Any:
        return tokenizer_of(self._source.folder)

    @cached_property
    def _tokens(self) -> dict[str, Any]:
        """How texts are cut and filled; SigLIP was trained on texts filled up to its length."""
        config = self._loaded.network.config
        limit = token_limit(self._tokenizer, config.text_config, self.settings.max_tokens, self.settings.model)
        fill = "max_length" if self._is_siglip else True
        return {"padding": fill, "truncation": True, "max_length": limit, "return_tensors": "pt"}

    @property
    def _is_siglip(self) -> bool:
        return str(self._loaded.network.config.model_type).startswith("siglip")

    def _read(self, texts: list[str]) -> FloatArray:
        tokens = self._tokenizer(texts, **self._tokens)
        names = ["input_ids"] if self._is_siglip else ["input_ids", "attention_mask"]
        return as_numpy(self._half(**self._tensors({name: tokens[name] for name in names})))


class ClipText(DualText):
    """Text by CLIP, SigLIP, SigLIP 2 or Chinese CLIP, in the space of the pictures."""

    loader = "clip"


class ClapText(DualText):
    """Text by CLAP, in the space of the sounds."""

    loader = "clap"


class ClipPixels(DualModel, PieceModel):
    """Base of what looks through the picture half."""

    loader = "clip"
    method = "get_image_features"

    @cached_property
    def _pixels(self) -> Any:
        return pixels_of(self._source.folder)

    def _look(self, pieces: dict[str, torch.Tensor]) -> torch.Tensor:
        return self._half(**pieces)


class ClipImage(ClipPixels):
    """Pictures by CLIP, SigLIP, SigLIP 2 or Chinese CLIP, in the space of the texts."""

    modality = Modality.IMAGE

    def prepare(self, value: Any) -> list[Arrays]:
        """The pixels of the picture at a path; MediaError when it cannot be decoded."""
        return [picture_piece(self._pixels, decode_image(Path(value)))]


class FramesSettings(LargeSettings):
    """Settings of encoders that look at single frames of a video."""

    frames: int = Field(8, ge=1, le=64)
    """Frames looked at, from the middles of as many equal parts."""


class ClipVideo(ClipPixels):
    """Videos as the mean over frames by CLIP or SigLIP, in the space of the texts and pictures."""

    modality = Modality.VIDEO
    settings: FramesSettings

    def prepare(self, value: Any) -> list[Arrays]:
        """The pixels of frames of the video at a path; MediaError when it cannot be decoded."""
        return [picture_piece(self._pixels, frame) for frame in video_frames(value, self.settings.frames)]


class SoundSettings(LargeSettings):
    """Settings of encoders that listen."""

    seconds: float = Field(60.0, gt=0, le=1800)
    """How much of a sound is listened to, from its start."""


class ClapSound(DualModel, PieceModel):
    """Base of what listens through the sound half, in windows as long as the model was trained on."""

    loader = "clap"
    method = "get_audio_features"
    settings: SoundSettings

    @cached_property
    def _extractor(self) -> Any:
        return extractor_of(self._source.folder)

    def pieces(self, wave: Wave) -> list[Arrays]:
        """The mel spectrograms of a sound; windows are never longer than the model's, which would cut at random."""
        extractor = self._extractor
        rate = int(extractor.sampling_rate)
        found = []
        for window in windows(wave, rate, extractor.nb_max_samples / rate):
            mel = extractor(window, sampling_rate=rate, return_tensors="np")["input_features"][0]
            found.append({"input_features": np.asarray(mel, np.float32), "is_longer": np.zeros(1, bool)})
        return found

    def _look(self, pieces: dict[str, torch.Tensor]) -> torch.Tensor:
        return self._half(**pieces)


class ClapAudio(ClapSound):
    """Sounds by CLAP, the mean over windows of ten seconds, in the space of the texts."""

    modality = Modality.AUDIO

    def prepare(self, value: Any) -> list[Arrays]:
        """Spectrograms of the sound at a path; MediaError when it cannot be decoded or is silent."""
        return self.pieces(heard(value, int(self._extractor.sampling_rate), self.settings.seconds))


class ClapVideo(ClapSound):
    """The sound track of a video by CLAP, in the space of the texts."""

    modality = Modality.VIDEO

    def prepare(self, value: Any) -> list[Arrays] | None:
        """Spectrograms of the sound, or None when the video has none or a silent one."""
        wave = heard_in_video(value, int(self._extractor.sampling_rate), self.settings.seconds)
        return None if wave is None else self.pieces(wave)

    def embed(self, batch: Sequence[Any]) -> FloatArray:
        """(n, dim) float32."""
        if any(pieces is None for pieces in batch):
            raise MediaError("A video without sound has no sound vector.", hint="Mask it: encode_items does.")
        return super().embed(batch)
