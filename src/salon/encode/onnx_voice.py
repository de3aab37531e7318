"""The GE2E speaker encoder as an ONNX graph, from the tensors of its PyTorch state dictionary.

Three LSTM layers of 256 over 40 mel bands, the last hidden state through a linear layer, ReLU, and unit length.

Paper: Wan, Wang, Papir and Lopez Moreno, "Generalized End-to-End Loss for Speaker Verification", ICASSP 2018.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import numpy as np
from onnx import TensorProto

from salon.encode.onnx_writer import GraphWriter

FRAMES, MELS, SIZE, LAYERS = 160, 40, 256, 3


def gates(weight: np.ndarray) -> np.ndarray:
    """Rows of the four gates reordered from PyTorch (i, f, g, o) to ONNX (i, o, f, c)."""
    i, f, g, o = np.split(weight, 4)
    return np.concatenate([i, o, f, g])


def write_voice(weights: Mapping[str, np.ndarray], path: Path) -> None:
    """Writes the graph: mel (n, 160, 40) power -> voice (n, 256) of unit length, all numbers >= 0."""
    graph = GraphWriter("ge2e-voice")
    value = graph.node("Transpose", ["mel"], perm=[1, 0, 2])  # (time, n, 40)
    last = ""
    for layer in range(LAYERS):
        inputs, recurrent = (gates(weights[f"lstm.weight_{kind}_l{layer}"])[None] for kind in ("ih", "hh"))
        bias = np.concatenate([gates(weights[f"lstm.bias_{kind}_l{layer}"]) for kind in ("ih", "hh")])[None]
        parts = [graph.constant(inputs), graph.constant(recurrent), graph.constant(bias)]
        last = graph.node("LSTM", [value, *parts], outputs=[f"all{layer}", f"last{layer}"], hidden_size=SIZE)
        value = graph.node("Squeeze", [f"all{layer}", graph.constant([1], np.int64)])
    value = graph.node("Squeeze", [last, graph.constant([0], np.int64)])  # (n, 256)
    head = [graph.constant(weights["linear.weight"]), graph.constant(weights["linear.bias"])]
    value = graph.node("Relu", [graph.node("Gemm", [value, *head], transB=1)])
    length = graph.node("ReduceL2", [value], axes=[1], keepdims=1)
    graph.node("Div", [value, graph.node("Max", [length, graph.constant(1e-12)])], outputs=["voice"])
    graph.write(path, {"mel": ([None, FRAMES, MELS], TensorProto.FLOAT)}, {"voice": [None, SIZE]})
