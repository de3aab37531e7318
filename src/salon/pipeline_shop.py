"""The catalogue file: one TOML file that says where things are, what they are, and what to learn from them."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal

from pydantic import Field

from salon import registry
from salon.config import Settings, build, read_toml
from salon.data.sources import EventsSource, ItemsSource, UsersSource
from salon.errors import SettingError
from salon.fuse.base import Fuser
from salon.models.base import Recommender


class EncodeSection(Settings):
    """The section [encode]: how media become vectors.

    Besides these settings it takes the name of a modality (text, image, audio, video, series, category, number, vector)
    or of a field, with the encoder to use instead of the default: a name, a table with its name and settings, a list
    of these, or "none" to leave it out, such as image = {name = "colour"} or audio = ["musicnn", "voice"].
    """

    specs: dict[str, Any] = Field(default_factory=dict)
    """Modality or field to encoder; written as keys of the section itself."""
    reviews: bool = True
    """Whether what people wrote about an item is a modality of its own, made of training events only."""
    workers: int = Field(default=0, ge=0, le=64)
    """Processes that encode at once, each with one thread. 0: one, but the command line takes one per core where there
    are 1,000 items or more. A script that asks for more than one must keep its own code under `if __name__ == ...`."""
    cache: str = ""
    """File of the vector cache; empty: vectors.sqlite in the user's cache folder."""


class Shop(Settings):
    """A catalogue file.

    A catalogue without events is allowed: things can then be compared by their content.
    """

    items: ItemsSource
    """The catalogue."""
    events: EventsSource | None = None
    """What people did."""
    users: UsersSource | None = None
    """Attributes of the people."""
    repair: dict[str, Literal["drop", "mean", "median", "mode", "knn"]] = Field(default_factory=dict)
    """Item field to what is done about its missing values: drop the items, or fill in the mean, median or mode of the
    field, or what the most similar items have. Fields not named keep their gaps, which models know how to live with."""
    encode: EncodeSection = EncodeSection()
    """How media become vectors."""
    fuse: dict[str, Any] = Field(default_factory=dict)
    """How modalities are joined: a name and its settings; the default keeps them apart."""
    model: dict[str, Any] = Field(default_factory=dict)
    """What learns tastes: a name and its settings; the default is `linear`."""

    def fuser(self) -> Fuser:
        """The fuser that [fuse] names."""
        fuser: Fuser = component("fuser", {"name": "none", **self.fuse}, "[fuse]")
        return fuser

    def recommender(self) -> Recommender:
        """The model that [model] names."""
        model: Recommender = component("model", {"name": "linear", **self.model}, "[model]")
        return model


def component(kind: str, choice: Mapping[str, Any] | str, where: str) -> Any:
    """The component that a name, or a table with a name and settings, describes.

    Raises:
        SettingError: The name or a setting is unknown.
    """
    table = {"name": choice} if isinstance(choice, str) else dict(choice)
    name = table.pop("name", None)
    if not isinstance(name, str):
        raise SettingError(f"{where} needs a name.", hint=f"Known: {', '.join(registry.names(kind))}.")
    cls = registry.resolve(kind, name)
    return cls(build(cls.settings_class(), table, where=where))


def read_shop(path: Path) -> Shop:
    """Reads and checks a catalogue file, down to the settings of its components.

    The folder of a pretrained model is told from the folder of the file, as its tables are.

    Raises:
        SettingError: It cannot be read, or has an unknown section, key, component or setting.
    """
    tables = read_toml(path)
    model = tables.get("model")
    if isinstance(model, dict) and isinstance(model.get("pretrained"), str) and model["pretrained"]:
        tables["model"] = {**model, "pretrained": str(path.parent / model["pretrained"])}
    shop = _sections(tables, path.name)
    shop.fuser()
    shop.recommender()
    return shop


def _sections(tables: Mapping[str, Any], name: str) -> Shop:
    """Builds each section by itself, so that a misspelt key is told with its section."""
    classes: dict[str, type[Settings]] = {
        "items": ItemsSource,
        "events": EventsSource,
        "users": UsersSource,
        "encode": EncodeSection,
    }
    values = {}
    for section, table in tables.items():
        if section == "encode" and isinstance(table, dict):
            settings = set(EncodeSection.model_fields) - {"specs"}
            specs = {key: value for key, value in table.items() if key not in settings}
            table = {**{key: value for key, value in table.items() if key not in specs}, "specs": specs}
        if section in classes and isinstance(table, dict):
            values[section] = build(classes[section], table, where=f"[{section}] of {name}")
        else:
            values[section] = table
    return build(Shop, values, where=name)


def shop_json(shop: Shop) -> str:
    """The settings as JSON, without the password of a database URL."""
    plain = shop.model_dump(mode="json")
    for section in ("items", "events", "users"):
        if plain.get(section) and "://" in plain[section]["path"]:
            plain[section]["path"] = "database://"
    return json.dumps(plain, ensure_ascii=False, indent=1)


def shop_from_json(text: str) -> Shop:
    """What `shop_json` wrote."""
    return build(Shop, json.loads(text), where="shop.json")
