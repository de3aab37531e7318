"""What every encoder, fuser, model and index has in common: settings, learned state, saving and loading.

A class declares the type of its settings by annotating `settings`; its constructor stores them and does nothing else.
Whatever it learns ends in "_", so "is it fitted" and "what is saved" need no second list.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, ClassVar, Self, get_type_hints

from salon.artifacts import read_json, read_state, reading, write_json, write_state, writing
from salon.config import Settings, build
from salon.errors import ArtifactError, NotFittedError
from salon.registry import name_of, resolve


class NoSettings(Settings):
    """For components without settings."""


class Component:
    """Base of everything that the registry can create."""

    kind: ClassVar[str]
    settings: Settings = NoSettings()

    def __init__(self, settings: Settings | None = None, **given: Any) -> None:
        """Stores the settings, given whole or as keyword arguments; no other work is done here."""
        self.settings = (
            settings if settings is not None else build(self.settings_class(), given, where=type(self).__name__)
        )

    @classmethod
    def settings_class(cls) -> type[Settings]:
        """The class of the settings, from the annotation of `settings`."""
        hint: type[Settings] = get_type_hints(cls)["settings"]
        return hint if hint is not Settings else NoSettings

    @property
    def is_fitted(self) -> bool:
        """Whether anything has been learned."""
        return any(name.endswith("_") and not name.startswith("_") for name in vars(self))

    def check_fitted(self) -> None:
        """Raises NotFittedError unless something has been learned."""
        if not self.is_fitted:
            raise NotFittedError.of(self)

    def state(self) -> dict[str, Any]:
        """Everything learned: arrays, sparse matrices and plain values by attribute name."""
        return {n: v for n, v in vars(self).items() if n.endswith("_") and not n.startswith("_")}

    def restore(self, state: Mapping[str, Any]) -> Self:
        """Takes back what `state` gave."""
        for name, value in state.items():
            setattr(self, name, value)
        return self

    def write(self, folder: Path) -> None:
        """Writes settings and state into an existing folder; `save` makes an artefact of it."""
        name = name_of(self.kind, type(self))
        about = {"kind": self.kind, "name": name, "settings": self.settings.model_dump(mode="json")}
        write_json(folder / "component.json", about)
        write_state(folder, self.state())

    def save(self, path: Path | str) -> None:
        """Writes an artefact folder that `load_component` reads."""
        with writing(Path(path), self.kind) as folder:
            self.write(folder)


def read_component(folder: Path, kind: str) -> Any:
    """The component that `Component.write` put into `folder`.

    Raises:
        ArtifactError: It is of another kind or damaged.
        SettingError: Its name or a setting is not known here.
    """
    about = read_json(folder / "component.json")
    if not isinstance(about, dict) or about.get("kind") != kind:
        raise ArtifactError(f"{str(folder)!r} holds no {kind}.")
    cls = resolve(kind, str(about.get("name")))
    component = cls(**dict(about.get("settings", {})))
    return component.restore(read_state(folder))


def load_component(path: Path | str, kind: str) -> Any:
    """The component saved at `path`; its files are compared with their checksums first."""
    reading(Path(path), kind)
    return read_component(Path(path), kind)
