"""The surface that users rely on, and that importing it is light."""

import inspect
import subprocess
import sys
from pathlib import Path

import salon

SNAPSHOT = Path(__file__).parent / "public_api.txt"


def surface() -> str:
    lines = [f"salon {name}" for name in sorted(salon.__all__)]
    for name in sorted(salon.__all__):
        value = getattr(salon, name)
        if inspect.isclass(value):
            for member, function in sorted(vars(value).items()):
                bare = function.__func__ if isinstance(function, classmethod | staticmethod) else function
                if not member.startswith("_") and inspect.isfunction(bare):
                    lines.append(f"{name}.{member}{inspect.signature(bare)}")
        elif callable(value):
            lines.append(f"{name}{inspect.signature(value)}")
    return "\n".join(lines) + "\n"


def test_the_public_surface_is_the_committed_one() -> None:
    """If the change is meant: python -c "import tests.test_public_api as t; t.SNAPSHOT.write_text(t.surface())"."""
    assert surface() == SNAPSHOT.read_text(encoding="utf-8")


def test_unknown_names_are_attribute_errors() -> None:
    assert not hasattr(salon, "nothing")
    assert set(salon.__all__) <= set(dir(salon))


def loaded_by(code: str) -> set[str]:
    script = f"import sys; {code}; print(' '.join(m.partition('.')[0] for m in sys.modules))"
    result = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    return set(result.stdout.split())


def test_importing_salon_loads_nothing_heavy() -> None:
    assert not loaded_by("import salon") & {"polars", "onnxruntime", "torch", "matplotlib", "av", "PIL", "pydantic"}


def test_using_the_data_values_needs_numpy_and_scipy_alone() -> None:
    heavy = {"polars", "onnxruntime", "torch", "matplotlib", "av", "PIL", "sqlalchemy", "implicit", "typer"}
    assert not loaded_by("from salon import Items, Events, Dataset, Queries") & heavy


def test_the_version_agrees_with_the_changelog() -> None:
    changelog = Path(__file__).parent.parent / "CHANGELOG.md"
    first = next(line for line in changelog.read_text().splitlines() if line.startswith("## ["))
    assert first.startswith(f"## [{salon.__version__}]")
