"""Where tables are and what their columns mean: the sections [items], [events] and [users] of a catalogue file."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Field, model_validator

from salon.config import Settings
from salon.types import Modality


def _as_list(value: Any) -> Any:
    return (value,) if isinstance(value, str) else value


Columns = Annotated[tuple[str, ...], BeforeValidator(_as_list)]
"""One column name or a list of them."""

Format = Literal["table", "mmrec", "recbole", "ducho"]


class TableSource(Settings):
    """What every table has."""

    path: str = Field(min_length=1)
    """File (csv, tsv, jsonl, parquet) relative to the catalogue file, a database URL, or the folder of a `format`."""
    table: str = ""
    """Name of the table, where `path` is a database URL."""
    delimiter: str = Field(default="", max_length=1)
    """Character between the columns; empty: a comma in .csv, a tab elsewhere."""
    quotes: bool = True
    """Whether '"' around a cell is a quote; false where a table is written without quoting."""
    separators: dict[str, str] = Field(default_factory=dict)
    """Character between several labels in one cell, by category column, such as {genres = "|"}."""

    @property
    def is_database(self) -> bool:
        """Whether `path` is a database URL."""
        return "://" in self.path

    @property
    def shown_name(self) -> str:
        """How messages call the table; a database URL may hold a password and is never shown."""
        return self.table or "database" if self.is_database else self.path

    @model_validator(mode="after")
    def _check(self) -> TableSource:
        if self.is_database and not self.table:
            raise ValueError("a database url needs the setting `table`")
        return self


def _check_declared(source: TableSource, names: list[str]) -> None:
    twice = sorted({n for n in names if names.count(n) > 1})
    if twice:
        raise ValueError(f"the column {twice[0]!r} is declared twice; a column has one modality")
    stray = sorted(set(source.separators) - set(names))
    if stray:
        raise ValueError(f"separators names {stray[0]!r}, which is not declared as a category")


class ItemsSource(TableSource):
    """The section [items]: the catalogue, and what each of its columns is."""

    format: Format = "table"
    """"table", or a folder as "mmrec", "recbole" (with the events in it) or "ducho" (vectors only) write it."""
    id: str = "item_id"
    """Column with the item ids."""
    text: Columns = ()
    """Columns with text, in order of importance; the first one is the title."""
    image: Columns = ()
    """Columns with paths of pictures."""
    audio: Columns = ()
    """Columns with paths of sounds."""
    video: Columns = ()
    """Columns with paths of videos."""
    series: Columns = ()
    """Columns with sensor series: paths of CSV, parquet, .npy or JSON lines files, or JSON lists of numbers."""
    category: Columns = ()
    """Columns with labels."""
    number: Columns = ()
    """Columns with numbers."""
    vector: dict[str, str] = Field(default_factory=dict)
    """Vectors made elsewhere, by name: a .npy with one row per table row, a .npz with "ids" and "vectors", or a folder
    of <id>.npy."""
    vector_row: str = ""
    """Column that holds the row of an item in the .npy files of `vector`; empty: its place in the table."""
    root: str = ""
    """Folder below which media paths are resolved; empty: the folder of the table."""

    def declared(self) -> dict[str, Modality]:
        """Column name -> modality, in the order text, image, audio, video, series, category, number."""
        kinds = (kind for kind in Modality if kind != Modality.VECTOR)
        return {name: kind for kind in kinds for name in getattr(self, kind.value)}

    @model_validator(mode="after")
    def _check_columns(self) -> ItemsSource:
        media = [*self.text, *self.image, *self.audio, *self.video, *self.series]
        names = [*media, *self.category, *self.number, *self.vector]
        _check_declared(self, names)
        if self.vector_row and not self.vector:
            raise ValueError("vector_row is set, but no vector is declared")
        if self.format != "table":
            columns = (
                {kind.value for kind in Modality if kind != Modality.VECTOR} if self.format == "recbole" else set()
            )
            unused = sorted(self.model_fields_set - columns - {"path", "format"})
            if unused:
                raise ValueError(f"`{unused[0]}` means nothing to a folder of {self.format}")
        return self


class UsersSource(TableSource):
    """The section [users]: attributes of the people."""

    id: str = "user_id"
    """Column with the user ids."""
    category: Columns = ()
    """Columns with labels."""
    number: Columns = ()
    """Columns with numbers."""

    def declared(self) -> dict[str, Modality]:
        """Column name -> modality."""
        return dict.fromkeys(self.category, Modality.CATEGORY) | dict.fromkeys(self.number, Modality.NUMBER)

    @model_validator(mode="after")
    def _check_columns(self) -> UsersSource:
        _check_declared(self, [*self.category, *self.number])
        return self


class Weighing(Settings):
    """What an action says about taste. Without any of these settings every event counts as one like."""

    positive: dict[str, float] = Field(default_factory=dict)
    """Weight of each kind of action that is a like, such as {click = 1, buy = 3}; kinds that are in no list count as
    seen and nothing more. Empty: every kind that is in no other list is a like of weight 1."""
    negative: Columns = ()
    """Kinds that are a dislike."""
    shown: Columns = ()
    """Kinds that are an exposure only: the item was shown, nothing was done."""
    like: float | None = None
    """Values from here on are a like; values below it are not."""
    dislike: float | None = None
    """Values up to here are a dislike."""
    repeat: Literal["max", "sum", "last"] = "max"
    """How repeated actions of a user on an item merge."""

    @model_validator(mode="after")
    def _check_weights(self) -> Weighing:
        if any(weight <= 0 for weight in self.positive.values()):
            raise ValueError("weights of positive kinds must be above 0; list dislikes under `negative`")
        lists = [*self.positive, *self.negative, *self.shown]
        twice = sorted({n for n in lists if lists.count(n) > 1})
        if twice:
            raise ValueError(f"the kind {twice[0]!r} is in two of the lists positive, negative and shown")
        if self.like is not None and self.dislike is not None and self.dislike >= self.like:
            raise ValueError("`dislike` must be below `like`")
        return self


class EventsSource(TableSource, Weighing):
    """The section [events]: who did what with which item."""

    user: str = "user_id"
    """Column with the user ids."""
    item: str = "item_id"
    """Column with the item ids."""
    time: str = ""
    """Column with the time of the action."""
    time_format: Literal["unix", "unix_ms", "iso"] = "unix"
    """How times are written: seconds or milliseconds since 1970, or ISO 8601 (UTC where no zone is given)."""
    order: str = ""
    """Column with a position, where there is an order but no time."""
    kind: str = ""
    """Column with the kind of the action."""
    value: str = ""
    """Column with an explicit value, such as a rating."""
    text: str = ""
    """Column with what the person wrote about the item, such as a review."""
    propensity: str = ""
    """Column with the chance (0 < p <= 1) with which the item was shown, as the policy that showed it logged it."""
    context: Columns = ()
    """Further columns to keep, such as the device."""

    @model_validator(mode="after")
    def _check_roles(self) -> EventsSource:
        if self.time and self.order:
            raise ValueError("both `time` and `order` are set; give one")
        if not self.kind and (self.positive or self.negative or self.shown):
            raise ValueError("`positive`, `negative` and `shown` name kinds, but no column is set as `kind`")
        if not self.value and (self.like is not None or self.dislike is not None):
            raise ValueError("`like` and `dislike` are thresholds of values, but no column is set as `value`")
        if self.propensity and "propensity" in self.context:
            raise ValueError("the column 'propensity' is named under `context`; `propensity` keeps it already")
        if self.separators:
            raise ValueError("`separators` belong to the sections [items] and [users]")
        return self
