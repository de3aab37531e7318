"""ONNX Runtime sessions as every bundled encoder uses them: one thread, on the processor.

Encoders scale by processes, not by threads: with the default thread settings they were up to 1.7 times slower on a
busy machine than with one thread.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime

from salon.errors import WeightsError
from salon.types import FloatArray


class OnnxModel:
    """A loaded ONNX file with one intra-op and one inter-op thread.

    Args:
        path: The file, whose checksum the caller has compared.

    Raises:
        WeightsError: onnxruntime cannot load it.
    """

    def __init__(self, path: Path) -> None:
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = 1
        options.inter_op_num_threads = 1
        options.log_severity_level = 3
        try:
            self.session = onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
        except Exception as error:  # onnxruntime has no public base class for its errors
            raise WeightsError(f"{path.name!r} cannot be loaded: {error}.", hint="Run: salon weights") from error

    def __call__(self, output: str, **inputs: np.ndarray) -> FloatArray:
        """One named output for the given inputs; what only other outputs need is not computed."""
        result: Any = self.session.run([output], inputs)[0]
        return np.asarray(result, dtype=np.float32)
