"""Networks of torch: loaded quietly from safe files with every weight checked, run without gradients."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import torch
from transformers import AutoModel
from transformers.utils import logging

from salon.arrays import unit_rows
from salon.errors import MissingExtraError, ResourceError, SalonError, WeightsError
from salon.types import FloatArray

TRAINING = ("masked_spec_embed",)
"""Weights that only training uses and that files may lack."""


def read_network(folder: Path, dtype: torch.dtype, model: str, *, optional: str = "") -> Any:
    """The network of a saved transformers model, every weight of it from its files, all of them finite.

    Args:
        folder: Written by save_pretrained.
        dtype: Number format.
        model: Its name, for errors.
        optional: Weights whose names hold this may be missing, since they are not used.

    Raises:
        WeightsError: A weight is missing, which the library would fill with random numbers.
    """
    network, info = AutoModel.from_pretrained(
        str(folder),
        dtype=dtype,
        use_safetensors=True,
        local_files_only=True,
        trust_remote_code=False,
        output_loading_info=True,
    )
    unused = (*TRAINING, *([optional] if optional else []))
    missing = [name for name in sorted(info["missing_keys"]) if not any(part in name for part in unused)]
    if missing:
        raise WeightsError(
            f"The model {model!r} has no weights for {missing[0]!r} and {len(missing) - 1} others.",
            hint="They would be random numbers. Take a model of the right kind, or its full weights.",
        )
    check_finite(network, model)
    return network.eval()


def as_numpy(tensor: torch.Tensor) -> FloatArray:
    """float32 numbers of a tensor, on the processor."""
    return np.asarray(tensor.detach().to("cpu", torch.float32).numpy())


def unit_vectors(vectors: FloatArray) -> FloatArray:
    """Rows of length 1; a row with a number that is not finite becomes NaN throughout, never zero."""
    unit = unit_rows(vectors)
    unit[~np.isfinite(vectors).all(axis=1)] = np.nan
    return unit


def features_of(output: Any) -> torch.Tensor:
    """The vectors that get_text_features and its sisters give: a tensor, or an output object that holds it."""
    return output if isinstance(output, torch.Tensor) else output.pooler_output


def check_finite(network: Any, model: str) -> None:
    """Raises WeightsError when a weight is not a finite number."""
    for name, weight in network.named_parameters():
        if not torch.isfinite(weight).all():
            hint = "The file is damaged, or the numbers do not fit the precision."
            raise WeightsError(f"The weight {name!r} of the model {model!r} holds NaN or infinity.", hint=hint)


@contextmanager
def running(model: str, count: int) -> Iterator[None]:
    """No gradients, `count` threads, and a clear error when memory runs out."""
    threads = torch.get_num_threads()
    torch.set_num_threads(count)
    try:
        with torch.inference_mode():
            yield
    except torch.OutOfMemoryError as error:
        raise ResourceError(f"The model {model!r} ran out of memory.", hint="Set a smaller batch_size.") from error
    finally:
        torch.set_num_threads(threads)


@contextmanager
def loading(model: str) -> Iterator[None]:
    """Quiet libraries while a model is loaded, and what they raise as our errors.

    Raises:
        WeightsError: The files are not a model that the library can load.
    """
    level, bars = logging.get_verbosity(), logging.is_progress_bar_enabled()
    logging.set_verbosity_error()
    logging.disable_progress_bar()
    try:
        yield
    except SalonError:
        raise
    except torch.OutOfMemoryError as error:
        raise ResourceError(f"The model {model!r} does not fit the memory of the device.") from error
    except Exception as error:  # the libraries name no closed list of what a foreign folder can raise
        reason = " ".join((str(error).strip() or type(error).__name__).split())[:300].rstrip(".")
        if isinstance(error, ImportError):
            hint = "Install the package that is named, such as torchvision for video."
            raise MissingExtraError(f"The model {model!r} needs more packages: {reason}.", hint=hint) from error
        raise WeightsError(
            f"The model {model!r} cannot be loaded: {reason}.", hint="Is it of the right kind?"
        ) from error
    finally:
        logging.set_verbosity(level)
        if bars:
            logging.enable_progress_bar()
