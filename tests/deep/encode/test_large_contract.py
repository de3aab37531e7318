"""Every large-model encoder keeps the contract, on tiny models that its own library wrote."""

from collections.abc import Callable
from typing import Any

import pytest

from salon import registry
from salon.testing import check_encoder

CASES: list[tuple[str, str, dict[str, Any]]] = [
    ("st-text", "sentences", {}),
    ("st-text", "sentences", {"dim": 16, "normalise": False}),
    ("st-image", "clip", {}),
    ("st-audio", "clap", {"seconds": 2}),
    ("clip-text", "clip", {}),
    ("clip-text", "chinese_clip", {}),
    ("clip-text", "siglip", {}),
    ("clip-text", "siglip2", {}),
    ("clip-image", "clip", {}),
    ("clip-image", "chinese_clip", {}),
    ("clip-image", "siglip", {"dim": 8}),
    ("clip-image", "siglip2", {}),
    ("clip-video", "clip", {"frames": 3}),
    ("clap-text", "clap", {}),
    ("clap-audio", "clap", {}),
    ("clap-audio", "clap_fusion", {}),
    ("clap-video", "clap", {}),
    ("hf-text", "bert", {"pooling": "cls"}),
    ("hf-text", "bert", {"pooling": "pooler"}),
    ("hf-text", "gpt2", {"pooling": "last"}),
    ("hf-text", "gpt2", {"layer": -2}),
    ("hf-text", "t5", {}),
    ("hf-image", "vit", {}),
    ("hf-image", "dinov2", {"pooling": "mean"}),
    ("hf-image", "resnet", {"pooling": "mean"}),
    ("hf-frames", "vit", {"frames": 2}),
    ("hf-audio", "wav2vec2", {}),
    ("hf-audio", "hubert", {"window": 1.5}),
    ("hf-audio", "wavlm", {}),
    ("hf-audio", "whisper", {"window": 30}),
    ("hf-video", "videomae", {}),
    ("whisper-audio", "whisper", {"text": {"name": "hashing", "dim": 64}, "max_tokens": 12}),
    ("whisper-video", "whisper", {"text": {"name": "hashing", "dim": 64}, "max_tokens": 12}),
]


@pytest.mark.parametrize(("name", "model", "settings"), CASES)
def test_encoder_keeps_the_contract(
    name: str, model: str, settings: dict[str, Any], tiny: Callable[[str], str], raw_values: Callable[..., list[Any]]
) -> None:
    cls = registry.resolve("encoder", name)
    check_encoder(cls, raw_values(cls.modality), model=tiny(model), device="cpu", **settings)


def test_every_large_encoder_that_can_run_here_is_checked() -> None:
    """st-video needs a model whose processor needs torchvision; openclip-* have tests of their own."""
    deep = {name for name in registry.names("encoder") if registry.extra_of("encoder", name) == "large"}
    assert deep - {name for name, _, _ in CASES} == {"st-video"}
