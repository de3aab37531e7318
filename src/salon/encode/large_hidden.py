"""Networks that give hidden states, pooled to one vector: BERT, GPT, ViT, DINO, wav2vec 2.0, VideoMAE and their like.

Loaded by transformers as AutoModel; of a network with encoder and decoder, the encoder. Sources: Devlin et al., "BERT",
NAACL 2019; Dosovitskiy et al., "An Image is Worth 16x16 Words", ICLR 2021; Oquab et al., "DINOv2", TMLR 2024; Baevski
et al., "wav2vec 2.0", NeurIPS 2020; Tong et al., "VideoMAE", NeurIPS 2022.
"""

from __future__ import annotations

from functools import cached_property
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch
from pydantic import Field
from transformers import AutoConfig

from salon.encode.large import Arrays, LargeEncoder, LargeSettings, Loaded, PieceModel, TextModel
from salon.encode.large_network import as_numpy, read_network
from salon.encode.large_pieces import (
    clip_piece,
    extractor_of,
    heard,
    picture_piece,
    pixels_of,
    token_limit,
    tokenizer_of,
    video_frames,
    windows,
)
from salon.errors import SettingError
from salon.media.image import decode_image
from salon.types import FloatArray, Modality

Pooling = Literal["mean", "cls", "pooler", "last"]


class HiddenSettings(LargeSettings):
    """Settings of encoders that pool hidden states."""

    pooling: Pooling = "mean"
    """"mean" over the states, "cls" the first, "last" the last (for decoders), "pooler" the network's own."""
    layer: int = Field(-1, ge=-200, le=200)
    """Layer whose states are pooled: -1 the last, -2 the one before, 0 the inputs of the first."""


class HiddenModel(LargeEncoder):
    """Base of what pools hidden states."""

    settings: HiddenSettings
    loader = "hidden"
    space_settings = (*LargeEncoder.space_settings, "pooling", "layer")

    def _loaded_by(self) -> tuple[Any, ...]:
        return (self.settings.pooling == "pooler",)

    def _load(self, folder: Path) -> Loaded:
        unused = "" if self.settings.pooling == "pooler" else "pooler"
        network = read_network(folder, self._dtype, self.settings.model, optional=unused)
        if hasattr(network, "get_text_features"):
            kind = network.config.model_type
            hint = "Use clip-text, clip-image, clap-text or clap-audio."
            raise SettingError(f"{self.settings.model!r} of type {kind!r} is a pair of networks.", hint=hint)
        if network.config.is_encoder_decoder:
            network = network.get_encoder()
        return Loaded(network.to(self._device))

    @property
    def width(self) -> int:
        """Numbers per hidden state."""
        config = self._loaded.network.config
        sizes = getattr(config, "hidden_sizes", None) or getattr(config, "hidden_size", None)
        return int(sizes[-1] if isinstance(sizes, list | tuple) else sizes or config.d_model)

    def _pooled(self, inputs: dict[str, torch.Tensor], mask: torch.Tensor | None = None) -> torch.Tensor:
        """(n, width) from inputs, over the states where `mask` (n, t) is 1; maps (n, width, h, w) count as states.

        Raises:
            SettingError: The network has no such layer or no pooler.
        """
        layer, pooling = self.settings.layer, self.settings.pooling
        output = self._loaded.network(**inputs, **({} if layer == -1 else {"output_hidden_states": True}))
        if pooling == "pooler":
            if getattr(output, "pooler_output", None) is None:
                raise SettingError(f"{self.settings.model!r} has no pooler.", hint="Set pooling to mean, cls or last.")
            return output.pooler_output.flatten(1)
        states = output.last_hidden_state if layer == -1 else self._layer(output.hidden_states)
        if states.ndim == 4:
            if pooling != "mean":
                raise SettingError(f"{self.settings.model!r} gives a map, which has no {pooling} state: set 'mean'.")
            states = states.flatten(2).transpose(1, 2)
        if pooling == "cls":
            return states[:, 0]
        if mask is None:
            return states[:, -1] if pooling == "last" else states.mean(dim=1)
        if pooling == "last":
            places = (mask * torch.arange(1, mask.shape[1] + 1, device=mask.device)).argmax(dim=1)
            return states[torch.arange(len(states), device=states.device), places]
        weights = mask[:, :, None].to(states.dtype)
        return (states * weights).sum(dim=1) / weights.sum(dim=1)

    def _layer(self, states: tuple[torch.Tensor, ...]) -> torch.Tensor:
        layer = self.settings.layer
        if not -len(states) <= layer < len(states):
            raise SettingError(f"layer = {layer}, but {self.settings.model!r} has {len(states)} (0 is the input).")
        return states[layer]


class HiddenTextSettings(HiddenSettings):
    """Settings of `HiddenText`."""

    max_tokens: int | None = Field(None, ge=8, le=8192)
    """Tokens read of a text; what follows is ignored. Empty: as many as the network has positions, at most 8,192."""


class HiddenText(HiddenModel, TextModel):
    """Text by the pooled states of any BERT, GPT or T5: set pooling to "mean", "cls" or, for decoders, "last"."""

    settings: HiddenTextSettings

    @cached_property
    def _tokenizer(self) -> Any:
        return tokenizer_of(self._source.folder)

    def _read(self, texts: list[str]) -> FloatArray:
        config, chosen = self._loaded.network.config, self.settings
        limit = token_limit(self._tokenizer, config.get_text_config(), chosen.max_tokens, chosen.model)
        tokens = self._tokenizer(texts, padding=True, truncation=True, max_length=limit, return_tensors="pt")
        inputs = self._tensors({name: tokens[name] for name in ("input_ids", "attention_mask")})
        return as_numpy(self._pooled(inputs, inputs["attention_mask"]))


class PixelSettings(HiddenSettings):
    """Settings of `HiddenImage`."""

    pooling: Pooling = "cls"
    """"cls" the first state, "mean" over all states or places of the picture, "pooler" the network's own."""


class HiddenPixels(HiddenModel, PieceModel):
    """Base of what pools the states of a network that sees single pictures."""

    settings: PixelSettings

    @cached_property
    def _pixels(self) -> Any:
        return pixels_of(self._source.folder)

    def _look(self, pieces: dict[str, torch.Tensor]) -> torch.Tensor:
        return self._pooled(pieces)


class HiddenImage(HiddenPixels):
    """Pictures by the pooled states of any ViT, DINO, ConvNeXt or ResNet; networks of convolutions need "mean"."""

    modality = Modality.IMAGE

    def prepare(self, value: Any) -> list[Arrays]:
        """The pixels of the picture at a path; MediaError when it cannot be decoded."""
        return [picture_piece(self._pixels, decode_image(Path(value)))]


class HiddenFramesSettings(PixelSettings):
    """Settings of `HiddenFrames`."""

    frames: int = Field(8, ge=1, le=64)
    """Frames looked at, from the middles of as many equal parts."""


class HiddenFrames(HiddenPixels):
    """Videos as the mean over frames by any network for pictures, in the space of `hf-image`."""

    modality = Modality.VIDEO
    settings: HiddenFramesSettings

    def prepare(self, value: Any) -> list[Arrays]:
        """The pixels of frames of the video at a path; MediaError when it cannot be decoded."""
        return [picture_piece(self._pixels, frame) for frame in video_frames(value, self.settings.frames)]


class HiddenAudioSettings(HiddenSettings):
    """Settings of `HiddenAudio`."""

    seconds: float = Field(60.0, gt=0, le=1800)
    """How much of a sound is listened to, from its start."""
    window: float = Field(10.0, ge=0.5, le=30)
    """Seconds that go through the network at once."""


class HiddenAudio(HiddenModel, PieceModel):
    """Sounds by the pooled states of any wav2vec 2.0, HuBERT, WavLM, AST or the encoder of Whisper."""

    modality = Modality.AUDIO
    settings: HiddenAudioSettings

    @cached_property
    def _extractor(self) -> Any:
        return extractor_of(self._source.folder)

    def prepare(self, value: Any) -> list[Arrays]:
        """Windows of the sound at a path; MediaError when it cannot be decoded or is silent."""
        extractor, rate = self._extractor, int(self._extractor.sampling_rate)
        name = extractor.model_input_names[0]
        wave = heard(value, rate, self.settings.seconds)
        pieces = windows(wave, rate, self.settings.window)
        found = [extractor(piece, sampling_rate=rate, return_tensors="np")[name][0] for piece in pieces]
        return [{name: np.asarray(piece, np.float32)} for piece in found]

    def _look(self, pieces: dict[str, torch.Tensor]) -> torch.Tensor:
        return self._pooled(pieces)


class HiddenVideo(HiddenModel, PieceModel):
    """Videos by the pooled states of VideoMAE, TimeSformer or ViViT, over as many frames as each was trained on."""

    modality = Modality.VIDEO

    @cached_property
    def _pixels(self) -> Any:
        return pixels_of(self._source.folder)

    @cached_property
    def _frames(self) -> int:
        config = AutoConfig.from_pretrained(str(self._source.folder), local_files_only=True, trust_remote_code=False)
        if (count := getattr(config, "num_frames", None)) is None:
            raise SettingError(
                f"{self.settings.model!r} sees no videos.", hint="hf-frames takes networks for pictures."
            )
        return int(count)

    def prepare(self, value: Any) -> list[Arrays]:
        """The pixels of frames of the video at a path; MediaError when it cannot be decoded."""
        return [clip_piece(self._pixels, video_frames(value, self._frames), self._frames)]

    def _look(self, pieces: dict[str, torch.Tensor]) -> torch.Tensor:
        return self._pooled(pieces)
