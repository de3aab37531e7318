"""The verb that shows how modalities were joined."""

from __future__ import annotations

from typing import Annotated

import typer

from salon.cli.model_verbs import ModelPath
from salon.cli.show import Json, emit, say, table
from salon.fuse.inspect import modality_weights
from salon.pipeline import Pipeline
from salon.registry import name_of


def fusion(
    model: ModelPath,
    item: Annotated[str, typer.Option("--item", "-i", help="Id of an item whose weights are shown too.")] = "",
    json: Json = "",
) -> None:
    """Show how much each modality counts in the fused vectors, overall and for one item.

    Fusers that learn weights tell them; for others it is measured how far a vector moves when the modality is hidden.

    Example: salon fusion model/ --item 17
    """
    pipeline = Pipeline.load(model)
    assert pipeline.fuser is not None
    features, items = pipeline.features, pipeline.dataset.items
    found = modality_weights(pipeline.fuser, features)
    overall = found.overall()
    told = {"fuser": name_of("fuser", type(pipeline.fuser)), "method": found.method, "overall": overall}
    columns = ["modality", "items", "share"]
    rows = [[name, int(features[name].present.sum()), f"{100 * overall[name]:.1f} %"] for name in found.names]
    if item:
        row = int(items.ids.index([item])[0])
        own = found.of_item(row)
        told["item"] = {"id": item, "title": items.title(row), "shares": own}
        columns.append(f"in {items.title(row)}")
        rows = [[*line, f"{100 * own[name]:.1f} %"] for line, name in zip(rows, found.names, strict=True)]
    if emit(told, json):
        return
    how = "as the fuser weighs them" if found.method == "learned" else "by hiding one at a time"
    say(f"What counts in the vectors of {told['fuser']!r}, {how}:")
    table("", columns, rows, right=range(1, len(columns)))
    say(f"Means over the {int(found.choice.sum())} items that have at least two modalities.")
