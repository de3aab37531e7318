"""Makers of real small files, shared by the tests of salon.media."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))  # media_makers.py is beside this file
