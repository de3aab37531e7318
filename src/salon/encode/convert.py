"""Weight files as their authors published them -> ONNX files. Imported only while weights are converted.

A converter is given the source files, whose checksums the caller has compared, and an empty folder. It writes
`model.onnx`, and for encoders with named classes `head.npz`: the last layer, which turns a stored vector into class
scores without running the network again.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np

from salon.encode.onnx_lite0 import write_lite0
from salon.encode.onnx_musicnn import norm_of, write_musicnn
from salon.encode.onnx_voice import write_voice
from salon.encode.tf_checkpoint import read_checkpoint
from salon.encode.torch_file import read_torch
from salon.errors import WeightsError


def convert_lite0(sources: Mapping[str, Path], folder: Path) -> None:
    """EfficientNet-Lite0: logits = features @ kernel + bias."""
    weights = read_torch(sources["state"])
    with _complete("EfficientNet-Lite0"):
        write_lite0(weights, folder / "model.onnx")
        np.savez(folder / "head.npz", kernel=weights["_fc.weight"].T, bias=weights["_fc.bias"])


def convert_musicnn(sources: Mapping[str, Path], folder: Path) -> None:
    """MusiCNN: tags = sigmoid(features @ kernel + bias), and the dense layer from the pooled vector to features."""
    weights = read_checkpoint(sources["index"].read_bytes(), sources["data"].read_bytes())
    with _complete("MusiCNN"):
        write_musicnn(weights, folder / "model.onnx")
        parts: dict[str, Any] = {
            f"{key}{number}": value for number in (9, 10) for key, value in norm_of(weights, number).items()
        }
        layers = {"kernel": "dense_1/kernel", "bias": "dense_1/bias", "kernel0": "dense/kernel", "bias0": "dense/bias"}
        parts |= {ours: weights[theirs] for ours, theirs in layers.items()}
        np.savez(folder / "head.npz", **parts)


def convert_voice(sources: Mapping[str, Path], folder: Path) -> None:
    """The GE2E speaker encoder."""
    weights = read_torch(sources["state"])
    with _complete("the voice encoder"):
        write_voice(weights["model_state"], folder / "model.onnx")


@contextmanager
def _complete(name: str) -> Iterator[None]:
    """Turns a missing tensor into our error."""
    try:
        yield
    except KeyError as error:
        raise WeightsError(f"The weight file of {name} lacks {error}.") from error
