"""open_clip on a tiny model that it wrote itself; skipped where it, or torchvision, cannot be imported."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors.torch import save_file

from salon import registry
from salon.arrays import unit_rows
from salon.encode.large_openclip import open_clip
from salon.errors import MissingExtraError, WeightsError
from salon.media.image import decode_image
from salon.testing import check_encoder
from salon.types import Modality

TEXTS = ["A red bicycle", "Blue running shoes", "a very quiet film"]
CONFIG = {
    "embed_dim": 24,
    "vision_cfg": {"image_size": 32, "layers": 1, "width": 32, "head_width": 8, "patch_size": 8},
    "text_cfg": {"context_length": 77, "vocab_size": 49408, "width": 32, "heads": 4, "layers": 1},
}
SIGHT = {"mean": [0.5, 0.5, 0.5], "std": [0.5, 0.5, 0.5], "interpolation": "bicubic", "resize_mode": "shortest"}


@pytest.fixture(scope="module")
def library() -> Any:
    try:
        return open_clip()
    except MissingExtraError as error:
        pytest.skip(str(error))


@pytest.fixture(scope="module")
def folder(library: Any, tmp_path_factory: pytest.TempPathFactory) -> Path:
    place = tmp_path_factory.mktemp("openclip")
    torch.manual_seed(3)
    save_file(library.CLIP(**CONFIG).state_dict(), place / "open_clip_model.safetensors")
    about = {"model_cfg": CONFIG, "preprocess_cfg": SIGHT}
    (place / "open_clip_config.json").write_text(json.dumps(about), encoding="utf-8")
    return place


@pytest.mark.parametrize("name", ["openclip-text", "openclip-image"])
def test_encoder_keeps_the_contract(name: str, folder: Path, raw_values: Callable[..., list[Any]]) -> None:
    cls = registry.resolve("encoder", name)
    check_encoder(cls, raw_values(cls.modality), model=str(folder), device="cpu")


def test_vectors_are_those_of_the_library_in_one_space(
    library: Any, folder: Path, raw_values: Callable[..., list[Any]]
) -> None:
    text, image = (
        registry.create("encoder", name, {"model": str(folder), "device": "cpu"})
        for name in ("openclip-text", "openclip-image")
    )
    network, _, pixels = library.create_model_and_transforms(f"local-dir:{folder}")
    tokens = library.get_tokenizer(f"local-dir:{folder}")(TEXTS)
    paths = raw_values(Modality.IMAGE)
    pictures = torch.stack([pixels(Image.fromarray(decode_image(path))) for path in paths])
    with torch.inference_mode():
        network.eval()
        assert np.allclose(text.encode(TEXTS), unit_rows(network.encode_text(tokens).numpy()), atol=1e-5)
        assert np.allclose(image.encode(paths), unit_rows(network.encode_image(pictures).numpy()), atol=1e-5)
    assert text.space == image.space
    assert text._loaded.network is image._loaded.network


def test_a_folder_of_transformers_is_told_apart(library: Any, folder: Path, tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text("{}")
    (tmp_path / "model.safetensors").write_bytes(b"x")
    with pytest.raises(WeightsError, match=r"has no open_clip_config\.json.*clip-text"):
        registry.create("encoder", "openclip-text", {"model": str(tmp_path)}).encode(TEXTS)
