"""The formats of the field: MMRec and RecBole read and written, the vectors of Ducho read."""

from __future__ import annotations

from salon.data.formats_ducho import read_ducho
from salon.data.formats_mmrec import looks_missing, read_mmrec, write_mmrec
from salon.data.formats_recbole import read_recbole
from salon.data.formats_recbole_write import write_recbole

__all__ = ["looks_missing", "read_ducho", "read_mmrec", "read_recbole", "write_mmrec", "write_recbole"]
