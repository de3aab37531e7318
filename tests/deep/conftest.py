"""Tests that need torch; `make test-torch` installs it and runs them."""

import importlib.util

collect_ignore_glob = [] if importlib.util.find_spec("torch") else ["*"]

if not collect_ignore_glob:
    import torch

    torch.set_num_threads(1)
