"""MusiCNN (MagnaTagATune) as an ONNX graph, from the variables of its TensorFlow checkpoint.

Timbral filters look at 7 frames and most of the frequencies, temporal filters at one mel band and up to 128 frames;
three residual layers and a maximum and a mean over time follow, then a dense layer of 200 and one of 50 tags. Batch
normalisation (eps 1e-3) comes after the ReLU and is kept as it is.

Paper: Pons and Serra, "musicnn: Pre-trained convolutional neural networks for music audio tagging", ISMIR 2019.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import numpy as np
from onnx import TensorProto

from salon.encode.onnx_writer import GraphWriter

FRAMES, MELS = 187, 96
EPS = 1e-3
Weights = Mapping[str, np.ndarray]


def norm_of(weights: Weights, number: int) -> dict[str, np.ndarray]:
    """The four vectors of batch normalisation `number`."""
    name = f"batch_normalization_{number}" if number else "batch_normalization"
    parts = {"gamma": "gamma", "beta": "beta", "mean": "moving_mean", "variance": "moving_variance"}
    return {ours: weights[f"{name}/{theirs}"] for ours, theirs in parts.items()}


def conv_of(weights: Weights, number: int) -> tuple[np.ndarray, np.ndarray]:
    """Kernel (out, in, time, frequency) and bias of convolution `number`."""
    name = f"conv2d_{number}" if number else "conv2d"
    return weights[f"{name}/kernel"].transpose(3, 2, 0, 1), weights[f"{name}/bias"]


def write_musicnn(weights: Weights, path: Path) -> None:
    """Writes the graph: mel (n, 187, 96) -> features (n, 200), tags (n, 50) in 0..1, pooled (n, 1506)."""
    graph = GraphWriter("musicnn-mtt")
    value = graph.node("Unsqueeze", ["mel", graph.constant([1], np.int64)])  # (n, 1, time, mel)
    value = graph.batch_norm(value, norm_of(weights, 0), eps=EPS)
    front = [_front(graph, weights, value, number, timbral=number < 2) for number in range(5)]
    joined = graph.node("Concat", front, axis=1)  # (n, 561, time)
    layers = [joined, _middle(graph, weights, joined, 5)]
    for number in (6, 7):
        layers.append(graph.node("Add", [_middle(graph, weights, layers[-1], number), layers[-1]]))
    value = graph.node("Concat", layers, axis=1)  # (n, 753, time)
    ends = [graph.node(kind, [value], axes=[2], keepdims=1) for kind in ("ReduceMax", "ReduceMean")]
    pooled = graph.node("Flatten", [graph.node("Concat", ends, axis=2)], outputs=["pooled"])  # max, mean, max, mean...
    value = graph.batch_norm(pooled, norm_of(weights, 9), eps=EPS)
    value = graph.node("Relu", [_dense(graph, weights, value, "dense")])
    parts = [graph.constant(norm_of(weights, 10)[key]) for key in ("gamma", "beta", "mean", "variance")]
    graph.node("BatchNormalization", [value, *parts], outputs=["features"], epsilon=EPS)
    graph.node("Sigmoid", [_dense(graph, weights, "features", "dense_1")], outputs=["tags"])
    graph.write(
        path,
        {"mel": ([None, FRAMES, MELS], TensorProto.FLOAT)},
        {"features": [None, 200], "tags": [None, 50], "pooled": [None, 1506]},
    )


def _front(graph: GraphWriter, weights: Weights, value: str, number: int, *, timbral: bool) -> str:
    """One family of front-end filters, its maximum over the frequencies: (n, filters, time)."""
    kernel, bias = conv_of(weights, number)
    padding = {"pads": [3, 0, 3, 0]} if timbral else {"auto_pad": "SAME_UPPER"}
    inputs = [value, graph.constant(kernel), graph.constant(bias)]
    value = graph.node("Relu", [graph.node("Conv", inputs, kernel_shape=list(kernel.shape[2:]), **padding)])
    value = graph.batch_norm(value, norm_of(weights, number + 1), eps=EPS)
    return graph.node("ReduceMax", [value], axes=[3], keepdims=0)


def _middle(graph: GraphWriter, weights: Weights, value: str, number: int) -> str:
    """One layer of 64 filters over 7 frames and all channels: (n, 64, time)."""
    kernel, bias = conv_of(weights, number)  # (64, 1, 7, channels)
    inputs = [value, graph.constant(kernel[:, 0].transpose(0, 2, 1)), graph.constant(bias)]
    value = graph.node("Relu", [graph.node("Conv", inputs, kernel_shape=[7], pads=[3, 3])])
    return graph.batch_norm(value, norm_of(weights, number + 1), eps=EPS)


def _dense(graph: GraphWriter, weights: Weights, value: str, name: str) -> str:
    kernel, bias = graph.constant(weights[f"{name}/kernel"]), graph.constant(weights[f"{name}/bias"])
    return graph.node("Gemm", [value, kernel, bias])
