"""salon: recommendations that have read, seen and heard your catalogue.

The public names are imported when they are first used, so that `import salon` is fast.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

__version__ = "0.1.0"

if TYPE_CHECKING:
    from salon import errors
    from salon.data import Dataset, Events, Items, Queries, Users, worlds
    from salon.encode.base import Features, FeatureSet
    from salon.pipeline import Pipeline, load
    from salon.registry import names as components

__all__ = [
    "Dataset",
    "Events",
    "FeatureSet",
    "Features",
    "Items",
    "Pipeline",
    "Queries",
    "Users",
    "components",
    "errors",
    "load",
    "worlds",
]

_HOME = {
    "Dataset": "salon.data:Dataset",
    "Events": "salon.data:Events",
    "FeatureSet": "salon.encode.base:FeatureSet",
    "Features": "salon.encode.base:Features",
    "Items": "salon.data:Items",
    "Pipeline": "salon.pipeline:Pipeline",
    "Queries": "salon.data:Queries",
    "Users": "salon.data:Users",
    "components": "salon.registry:names",
    "errors": "salon.errors",
    "load": "salon.pipeline:load",
    "worlds": "salon.data.worlds",
}


def __getattr__(name: str) -> Any:
    if name not in _HOME:
        raise AttributeError(f"module 'salon' has no attribute {name!r}")
    module, _, attribute = _HOME[name].partition(":")
    loaded = import_module(module)
    value = getattr(loaded, attribute) if attribute else loaded
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
