"""What every suite asks of every component: settings, a constructor that only stores, saving and loading."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from salon.component import Component, load_component
from salon.errors import NotFittedError, SettingError
from salon.types import TopK


def expect(holds: bool | np.bool_, sentence: str) -> None:
    """Raises AssertionError with `sentence` unless it holds; unlike `assert` it also works under python -O."""
    if not holds:
        raise AssertionError(sentence)


def expect_raises(error: type[Exception], call: Callable[[], object], sentence: str) -> Exception:
    """The error that `call` raises, which must be an `error`."""
    try:
        call()
    except error as raised:
        return raised
    raise AssertionError(sentence)


def expect_close(one: Any, other: Any, sentence: str, tolerance: float = 1e-4) -> None:
    """Both arrays have the same shape and, within tolerance of their scale, the same numbers; -inf equals -inf."""
    one, other = np.asarray(one), np.asarray(other)
    expect(one.shape == other.shape, f"{sentence} Shapes {one.shape} and {other.shape}.")
    finite = np.abs(one[np.isfinite(one)])
    margin = tolerance * max(1.0, float(finite.max(initial=0)))
    expect(np.allclose(one, other, rtol=tolerance, atol=margin), sentence)


def check_settings(cls: type[Component], settings: Mapping[str, Any]) -> None:
    """Settings survive a round trip, the constructor stores and does nothing else, unknown settings are refused."""
    made = cls(**settings)
    expect(set(vars(made)) == {"settings"}, "The constructor stores its settings and nothing else.")
    expect(not made.is_fitted, "A new object is not fitted.")
    again = cls(**made.settings.model_dump(mode="json"))
    expect(again.settings == made.settings, "Settings survive being written as JSON and read back.")
    expect(cls(made.settings).settings == made.settings, "Settings may be given whole.")
    names = list(cls.settings_class().model_fields)
    wrong = f"{names[0]}x" if names else "nonsense"
    raised = expect_raises(SettingError, lambda: cls(None, **{wrong: 1}), "An unknown setting is a SettingError.")
    expect(not names or repr(names[0]) in str(raised), f"The error about {wrong!r} suggests {names[:1]}.")


def check_unfitted(calls: Mapping[str, Callable[[], object]]) -> None:
    """Every named call of an unfitted object raises NotFittedError."""
    for name, call in calls.items():
        expect_raises(NotFittedError, call, f"{name} raises NotFittedError before the first fit.")


def saved_and_loaded(component: Component) -> Any:
    """The component after a trip through an artefact folder."""
    with tempfile.TemporaryDirectory() as folder:
        component.save(Path(folder) / "component")
        loaded = load_component(Path(folder) / "component", component.kind)
    expect(type(loaded) is type(component), "Loading gives an object of the same class.")
    expect(loaded.settings == component.settings, "Loading gives back the settings.")
    expect(set(loaded.state()) == set(component.state()), "Loading gives back everything learned.")
    return loaded


def expect_padded(found: TopK, n: int, k: int) -> None:
    """An answer has the right shape and types, falls along its rows, repeats nothing, and pads with -1 and -inf."""
    expect(found.ids.shape == (n, k) == found.scores.shape, f"An answer has {n} rows of {k}.")
    expect(found.ids.dtype == np.int64 and found.scores.dtype == np.float32, "Ids are int64 and scores float32.")
    expect(np.array_equal(found.ids == -1, found.scores == -np.inf), "The id is -1 exactly where the score is -inf.")
    with np.errstate(invalid="ignore"):
        rises = np.diff(found.scores, axis=1) > 0
    expect(not rises.any(), "Scores fall along a row, and padding comes last.")
    for row in found.ids:
        real = row[row >= 0]
        expect(len(np.unique(real)) == len(real), "No id comes twice in a row.")


def touches(state: Mapping[str, Any], arrays: list[np.ndarray[Any, Any]]) -> str:
    """The name of a learned array that shares memory with one of `arrays`, or ""."""
    for name, value in state.items():
        for part in (
            [value] if isinstance(value, np.ndarray) else list(vars(value).values()) if hasattr(value, "indptr") else []
        ):
            if isinstance(part, np.ndarray) and any(np.shares_memory(part, array) for array in arrays):
                return name
    return ""
