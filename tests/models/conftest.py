"""Makers of small worlds, shared by the tests of the models."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))  # linear_worlds.py is beside this file
