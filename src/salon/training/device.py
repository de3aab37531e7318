"""Where networks run: the processor or a GPU, never in silence on another than was asked for."""

from __future__ import annotations

import torch

from salon.errors import SettingError


def pick_device(name: str) -> torch.device:
    """The device for "auto", "cpu", "cuda" or "mps".

    Raises:
        SettingError: A GPU was asked for and is not there.
    """
    there = {"cpu": True, "cuda": torch.cuda.is_available(), "mps": torch.backends.mps.is_available()}
    if name == "auto":
        name = next(kind for kind in ("cuda", "mps", "cpu") if there[kind])
    if not there.get(name, False):
        found = ", ".join(kind for kind, here in there.items() if here)
        raise SettingError(f"The device {name!r} is not on this machine.", hint=f"Found: {found}. Set device to one.")
    return torch.device(name)
