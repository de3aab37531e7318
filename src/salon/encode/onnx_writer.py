"""Writing small ONNX graphs node by node; needed once per machine, when weights are converted."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

OPSET = 17
IR_VERSION = 8
"""Old enough for every onnxruntime that we allow."""


class GraphWriter:
    """Collects nodes and constants; names are made up as they come."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.nodes: list[Any] = []
        self.constants: list[Any] = []

    def constant(self, value: Any, dtype: type[np.generic] = np.float32) -> str:
        """The name of a constant array."""
        name = f"c{len(self.constants)}"
        self.constants.append(numpy_helper.from_array(np.ascontiguousarray(value, dtype=dtype), name))
        return name

    def node(self, kind: str, inputs: Sequence[str], *, outputs: Sequence[str] = (), **attributes: Any) -> str:
        """Adds an operation and gives the name of its last output."""
        names = list(outputs) or [f"v{len(self.nodes)}"]
        self.nodes.append(helper.make_node(kind, list(inputs), names, **attributes))
        return names[-1]

    def batch_norm(self, value: str, weights: dict[str, np.ndarray], *, eps: float) -> str:
        """Frozen batch normalisation from gamma, beta, mean and variance."""
        parts = [self.constant(weights[key]) for key in ("gamma", "beta", "mean", "variance")]
        return self.node("BatchNormalization", [value, *parts], epsilon=eps)

    def write(self, path: Path, inputs: dict[str, tuple[Any, int]], outputs: dict[str, Sequence[Any]]) -> None:
        """Checks the graph and writes the file.

        Args:
            path: Where to write.
            inputs: Name -> (shape with None for the free size, element type of `TensorProto`).
            outputs: Name -> shape; all outputs are float32.
        """
        given = [helper.make_tensor_value_info(name, kind, shape) for name, (shape, kind) in inputs.items()]
        made = [helper.make_tensor_value_info(name, TensorProto.FLOAT, shape) for name, shape in outputs.items()]
        graph = helper.make_graph(self.nodes, self.name, given, made, self.constants)
        opset = [helper.make_opsetid("", OPSET)]
        model = helper.make_model(graph, opset_imports=opset, producer_name="salon", ir_version=IR_VERSION)
        onnx.checker.check_model(model, full_check=True)
        onnx.save(model, str(path))
