"""The catalogue in the plane: the two directions in which the media vectors of its items differ most."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from scipy.linalg import eigh

from salon.serve.live import Live
from salon.serve.values import media_address
from salon.types import FloatArray, IntArray, Modality


def map_of(live: Live, most: int) -> Mapping[str, Any]:
    """Items with places between -1 and 1: {"items": [{id, title, x, y, label, image}], "label": field}.

    The most liked items are shown where there are more than `most`. The same snapshot gives the same map.
    """
    catalogue = live.catalogue
    label = next((name for name, one in catalogue.declared.items() if one is Modality.CATEGORY), "")
    picture = next((name for name, one in catalogue.declared.items() if one is Modality.IMAGE), "")
    rows = _chosen(live, most)
    places = plane(live.content(rows))
    items = []
    for row, (x, y) in zip(rows.tolist(), places.tolist(), strict=True):
        media = catalogue.media(row)
        items.append(
            {
                "id": catalogue.ids[row],
                "title": catalogue.title(row),
                "x": round(x, 4),
                "y": round(y, 4),
                "label": _label(catalogue.items[row].fields.get(label)),
                "image": media_address(catalogue.ids[row], picture) if picture in media else "",
            }
        )
    return {"items": items, "label": label}


def _chosen(live: Live, most: int) -> IntArray:
    """Rows of the shown items that have vectors, the most liked ones where they are too many, in order."""
    there = live.catalogue.shown[: live.features.n_items] & live.features.having_any()
    rows = np.flatnonzero(there)
    order = np.lexsort((rows, -live.popularity[rows]))
    return np.sort(rows[order[: max(most, 0)]])


def plane(vectors: FloatArray) -> FloatArray:
    """(n, 2) float64 first two principal components of (n, d) vectors, scaled into -1..1.

    Signs are fixed by the largest entry of each component being positive.
    """
    n, d = vectors.shape
    found = np.zeros((n, 2))
    if n < 2 or not d:
        return found
    centred = np.asarray(vectors, np.float64) - vectors.mean(axis=0, dtype=np.float64)
    kept = min(2, n, d)
    if d <= n:
        _, axes = eigh(centred.T @ centred, subset_by_index=[d - kept, d - 1])
        found[:, :kept] = (centred @ axes)[:, ::-1]
    else:
        values, scores = eigh(centred @ centred.T, subset_by_index=[n - kept, n - 1])
        found[:, :kept] = (scores * np.sqrt(np.maximum(values, 0.0)))[:, ::-1]
    largest = np.abs(found).argmax(axis=0)
    signs = np.sign(found[largest, np.arange(2)])
    size = np.abs(found).max()
    return found * np.where(signs == 0, 1.0, signs) / (size if size > 0 else 1.0)


def _label(value: Any) -> str:
    if isinstance(value, (list, tuple)):
        value = value[0] if value else ""
    return "" if value is None else str(value)
