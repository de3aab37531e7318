"""EfficientNet-Lite0 as an ONNX graph, from the tensors of its PyTorch state dictionary.

The network: a 3x3 stem, 16 inverted-bottleneck blocks in 7 stages, a 1x1 head to 1280 channels, the mean over all
places, and a linear layer to 1000 classes; ReLU6, no squeeze-and-excitation. What makes it right: "same" padding as
in TensorFlow (more at the end), batch-norm eps 1e-3, and RGB pixels scaled by (x - 127) / 128, which the graph does.

Paper: Tan and Le, "EfficientNet: Rethinking Model Scaling for Convolutional Neural Networks", ICML 2019; the Lite
variants are from the TensorFlow TPU repository, 2020.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import numpy as np
from onnx import TensorProto

from salon.encode.onnx_writer import GraphWriter

SIDE = 224
STAGES = (  # kernel, stride, expansion, channels out, repeats
    (3, 1, 1, 16, 1),
    (3, 2, 6, 24, 2),
    (5, 2, 6, 40, 2),
    (3, 2, 6, 80, 3),
    (5, 1, 6, 112, 3),
    (5, 2, 6, 192, 4),
    (3, 1, 6, 320, 1),
)
EPS = 1e-3
Weights = Mapping[str, np.ndarray]


def folded(weights: Weights, conv: str, norm: str) -> tuple[np.ndarray, np.ndarray]:
    """Kernel and bias of a convolution with its batch normalisation folded in."""
    scale = weights[f"{norm}.weight"] / np.sqrt(weights[f"{norm}.running_var"].astype(np.float64) + EPS)
    kernel = weights[f"{conv}.weight"] * scale[:, None, None, None]
    return kernel, weights[f"{norm}.bias"] - weights[f"{norm}.running_mean"] * scale


def write_lite0(weights: Weights, path: Path) -> None:
    """Writes the graph: pixels (n, 224, 224, 3) uint8 -> features (n, 1280) and logits (n, 1000)."""
    graph = GraphWriter("efficientnet-lite0")
    value = graph.node("Cast", ["pixels"], to=TensorProto.FLOAT)
    value = graph.node("Transpose", [value], perm=[0, 3, 1, 2])
    value = graph.node("Div", [graph.node("Sub", [value, graph.constant(127.0)]), graph.constant(128.0)])
    value = _conv(graph, weights, value, "_conv_stem", "_bn0", stride=2)
    block, channels = 0, 32
    for kernel, first_stride, expansion, out, repeats in STAGES:
        del kernel  # told by the shape of the weights
        for repeat in range(repeats):
            stride = first_stride if repeat == 0 else 1
            value = _block(graph, weights, value, block, stride, expansion, add=stride == 1 and channels == out)
            block, channels = block + 1, out
    value = _conv(graph, weights, value, "_conv_head", "_bn1")
    value = graph.node("GlobalAveragePool", [value])
    features = graph.node("Flatten", [value], outputs=["features"])
    head = [graph.constant(weights["_fc.weight"]), graph.constant(weights["_fc.bias"])]
    graph.node("Gemm", [features, *head], outputs=["logits"], transB=1)
    graph.write(
        path,
        {"pixels": ([None, SIDE, SIDE, 3], TensorProto.UINT8)},
        {"features": [None, 1280], "logits": [None, 1000]},
    )


def _block(
    graph: GraphWriter, weights: Weights, value: str, number: int, stride: int, expansion: int, *, add: bool
) -> str:
    """One inverted bottleneck: expand, depthwise, project, and the shortcut where the shapes agree."""
    name, start = f"_blocks.{number}", value
    if expansion != 1:
        value = _conv(graph, weights, value, f"{name}._expand_conv", f"{name}._bn0")
    value = _conv(graph, weights, value, f"{name}._depthwise_conv", f"{name}._bn1", stride=stride, depthwise=True)
    value = _conv(graph, weights, value, f"{name}._project_conv", f"{name}._bn2", relu=False)
    return graph.node("Add", [value, start]) if add else value


def _conv(
    graph: GraphWriter,
    weights: Weights,
    value: str,
    conv: str,
    norm: str,
    *,
    stride: int = 1,
    depthwise: bool = False,
    relu: bool = True,
) -> str:
    kernel, bias = folded(weights, conv, norm)
    value = graph.node(
        "Conv",
        [value, graph.constant(kernel), graph.constant(bias)],
        strides=[stride, stride],
        group=len(kernel) if depthwise else 1,
        kernel_shape=list(kernel.shape[2:]),
        auto_pad="SAME_UPPER",
    )
    return graph.node("Clip", [value, graph.constant(0.0), graph.constant(6.0)]) if relu else value
