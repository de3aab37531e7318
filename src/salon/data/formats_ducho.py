"""Output folders of Ducho: <output>/<backend>/<model>/<layer>/<item id>.npy, one vector of 1 x d per file."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from salon.data.dataset import Dataset
from salon.data.events import Events
from salon.data.ids import IdMap
from salon.data.items import Field, Items, Users
from salon.data.result import ReadResult
from salon.data.vectors import read_ducho_layer
from salon.errors import DataError
from salon.types import Modality


def read_ducho(path: Path | str) -> ReadResult:
    """The items of an output folder, with a vector field per layer, named by its path: "torch/ResNet50/avgpool".

    Item ids are the file names; Ducho cut them at the first dot. To give the vectors to a catalogue that has a table,
    name a layer's folder under `vector` in the section [items] instead: then the ids of the table are matched.

    Args:
        path: The folder that Ducho calls `output_path`.

    Raises:
        DataError: The folder holds no vectors of items, or those of a layer differ in length.
    """
    root = Path(path)
    layers = sorted({p.parent for p in root.rglob("*.npy")})
    if not layers:
        raise DataError(f"{str(root)!r} holds no .npy file.", hint="Give the output_path of Ducho.")
    for layer in layers:
        if all("__" in p.stem for p in layer.glob("*.npy")):
            raise DataError(f"{str(layer)!r} holds vectors of interactions.", hint="Vectors of items are read only.")
    names = sorted({p.stem for layer in layers for p in layer.glob("*.npy")})
    fields = {}
    for layer in layers:
        matrix, present = read_ducho_layer(layer, names)
        values: Any = matrix
        name = layer.relative_to(root).as_posix()
        fields[name] = Field.of(name, Modality.VECTOR, values, present)
    items = Items(IdMap(names), fields, root)
    return ReadResult(Dataset(items, Events.of(np.zeros(0), np.zeros(0)), Users(IdMap((), what="user"))))
