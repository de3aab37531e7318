"""Picture statistics that need no pretrained network: colours, directions of edges, and local texture."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from salon.arrays import unit_rows
from salon.encode.base import Encoder
from salon.media.image import Picture, decode_image, grayscale, resize
from salon.types import FloatArray, Modality

SIDE, CELLS, DIRECTIONS = 128, 4, 8
_AROUND = ((-1, -1), (-1, 0), (-1, 1), (0, 1), (1, 1), (1, 0), (1, -1), (0, -1))


def colour_histogram(picture: Picture) -> FloatArray:
    """(64,) square roots of the shares of 4 x 4 x 4 RGB bins."""
    small = (picture >> 6).astype(np.int64)
    bins = (small[..., 0] * 4 + small[..., 1]) * 4 + small[..., 2]
    return np.sqrt(np.bincount(bins.ravel(), minlength=64) / bins.size)


def edge_histogram(grey: FloatArray) -> FloatArray:
    """(128,) strength of edges in 8 unsigned directions in each of 4 x 4 cells, unit length.

    Source: Dalal and Triggs, "Histograms of Oriented Gradients for Human Detection", CVPR 2005, without overlap.
    """
    down, right = np.gradient(grey)
    direction = (np.arctan2(down, right) % np.pi / np.pi * DIRECTIONS).astype(int) % DIRECTIONS
    side = SIDE // CELLS
    cell = (np.arange(SIDE) // side)[:, None] * CELLS + np.arange(SIDE) // side
    places = (cell * DIRECTIONS + direction).ravel()
    total = CELLS * CELLS * DIRECTIONS
    strength: FloatArray = np.bincount(places, np.hypot(down, right).ravel(), total).astype(np.float32)
    return unit_rows(strength[None])[0]


def texture_histogram(grey: FloatArray) -> FloatArray:
    """(10,) square roots of the shares of rotation-invariant uniform local binary patterns.

    Source: Ojala, Pietikainen and Maenpaa, "Multiresolution Gray-Scale and Rotation Invariant Texture Classification
    with Local Binary Patterns", PAMI 2002.
    """
    inner = grey[1:-1, 1:-1]
    rows, columns = inner.shape
    around = [grey[1 + y : 1 + y + rows, 1 + x : 1 + x + columns] >= inner for y, x in _AROUND]
    bits = np.stack(around).astype(np.int64)  # (8, rows, columns)
    changes = np.abs(bits - np.roll(bits, 1, axis=0)).sum(axis=0)
    pattern = np.where(changes <= 2, bits.sum(axis=0), 9)
    return np.sqrt(np.bincount(pattern.ravel(), minlength=10) / pattern.size)


class ColourTexture(Encoder):
    """Colours, edge directions and texture of a picture: 202 numbers, each of the three parts of unit length."""

    modality = Modality.IMAGE

    @property
    def dim(self) -> int:
        """202."""
        return 64 + CELLS * CELLS * DIRECTIONS + 10

    @property
    def version(self) -> str:
        """Version of the formula."""
        return "colour-edge-texture-1"

    def prepare(self, value: Any) -> FloatArray:
        """(202,) of the picture at a path; MediaError when it cannot be decoded."""
        picture = resize(decode_image(Path(value)), (SIDE, SIDE), method="bilinear")
        grey = grayscale(picture).astype(np.float32)
        return np.concatenate([colour_histogram(picture), edge_histogram(grey), texture_histogram(grey)])

    def embed(self, batch: Sequence[FloatArray]) -> FloatArray:
        """(n, 202) float32."""
        return np.stack(batch).astype(np.float32) if batch else np.zeros((0, self.dim), np.float32)
