"""CLIP-like pairs loaded by open_clip: OpenCLIP, SigLIP, MobileCLIP, Perception Encoder and others.

open_clip needs torchvision, which it imports at once; it is imported here when a model is loaded. Source: Cherti et
al., "Reproducible Scaling Laws for Contrastive Language-Image Learning", CVPR 2023.
"""

from __future__ import annotations

import importlib
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image

from salon.artifacts import read_json
from salon.encode.large import Arrays, LargeEncoder, Loaded, PieceModel, TextModel
from salon.encode.large_network import as_numpy, check_finite
from salon.errors import MissingExtraError, WeightsError
from salon.media.image import decode_image
from salon.types import FloatArray, Modality


def open_clip() -> Any:
    """The package open_clip.

    Raises:
        MissingExtraError: It, or torchvision that fits torch, is not installed.
    """
    try:
        return importlib.import_module("open_clip")
    except (ImportError, OSError, RuntimeError) as error:  # torchvision of another build raises the latter two
        raise MissingExtraError.of("An encoder openclip-*", "openclip") from error


class OpenClip(LargeEncoder):
    """Base of both halves; the model is a folder or hub id with open_clip_config.json and weights as safetensors."""

    loader = "openclip"

    def _load(self, folder: Path) -> Loaded:
        library, place = open_clip(), f"local-dir:{folder}"
        if not (folder / "open_clip_config.json").is_file():
            hint = "clip-text and clip-image load models of transformers."
            raise WeightsError(f"{self.settings.model!r} has no open_clip_config.json.", hint=hint)
        network, _, pixels = library.create_model_and_transforms(place, device=self._device)
        check_finite(network, self.settings.model)
        width = read_json(folder / "open_clip_config.json")["model_cfg"]["embed_dim"]
        tokenizer = library.get_tokenizer(place)
        return Loaded(network.to(self._dtype).eval(), pixels=pixels, tokenizer=tokenizer, width=width)

    @property
    def width(self) -> int:
        """Numbers of the shared space."""
        return int(self._loaded.width)


class OpenClipText(OpenClip, TextModel):
    """Text by a model of open_clip, in the space of its pictures."""

    def _read(self, texts: list[str]) -> FloatArray:
        tokens = self._loaded.tokenizer(texts).to(self._device)
        return as_numpy(self._loaded.network.encode_text(tokens))


class OpenClipImage(OpenClip, PieceModel):
    """Pictures by a model of open_clip, in the space of its texts."""

    modality = Modality.IMAGE

    @cached_property
    def _pixels(self) -> Any:
        return self._loaded.pixels

    def prepare(self, value: Any) -> list[Arrays]:
        """The pixels of the picture at a path; MediaError when it cannot be decoded."""
        return [{"pixels": np.asarray(self._pixels(Image.fromarray(decode_image(Path(value)))))}]

    def _look(self, pieces: dict[str, torch.Tensor]) -> torch.Tensor:
        return self._loaded.network.encode_image(pieces["pixels"])
