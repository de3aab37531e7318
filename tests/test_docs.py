"""Docs are tests: their code runs, their links lead somewhere, and everything public is in them."""

import contextlib
import importlib.util
import io
import re
import tomllib
from collections.abc import Callable
from pathlib import Path

import pytest
import typer

from salon import registry
from salon.cli.main import program
from salon.data.catalogue import read_dataset
from salon.pipeline_shop import Shop, read_shop

REPO = Path(__file__).resolve().parent.parent
PAGES = sorted([REPO / "README.md", *(REPO / "docs").rglob("*.md"), *(REPO / "benchmarks").rglob("*.md")])
BLOCK = re.compile(r"^```(\w+)\n(.*?)^```", re.M | re.S)


def blocks(language: str) -> list[tuple[str, str]]:
    found = [(p.name, text) for p in PAGES for kind, text in BLOCK.findall(p.read_text()) if kind == language]
    assert found, f"no {language} block was found"
    return found


def verbs() -> dict[str, typer.main.TyperCommand]:
    return dict(typer.main.get_command(program()).commands)  # type: ignore[attr-defined]


def test_python_blocks_run(make_shop: Callable[..., Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    make_shop(tmp_path)
    monkeypatch.chdir(tmp_path)
    for page, text in blocks("python"):
        code = text.replace('"17", "256", "901"', '"thing-02", "thing-04"')
        with contextlib.redirect_stdout(io.StringIO()) as printed:
            exec(compile(code, page, "exec"), {})
        assert "thing number" in printed.getvalue(), page


def test_toml_blocks_are_catalogue_files(tmp_path: Path) -> None:
    for _, text in blocks("toml"):
        if "[items]" in text:
            (tmp_path / "shop.toml").write_text(text)
            assert isinstance(read_shop(tmp_path / "shop.toml"), Shop)
        else:
            tomllib.loads(text)


def test_commands_in_the_docs_exist_with_their_options() -> None:
    seen = 0
    for page, text in blocks("bash"):
        for line in text.replace("\\\n", " ").splitlines():
            words = line.split("#")[0].split()
            if words[:1] != ["salon"] or len(words) < 2 or words[1].startswith("-"):
                continue
            assert words[1] in verbs(), f"{page}: {line}"
            known = {option for p in verbs()[words[1]].params for option in p.opts + p.secondary_opts}
            given = {word.split("=")[0] for word in words if word.startswith("-")}
            assert given <= known, f"{page}: {line}: {given - known}"
            seen += 1
    assert seen > 8


def test_make_targets_in_the_docs_exist() -> None:
    targets = set(re.findall(r"^([a-z]+):", (REPO / "Makefile").read_text(), re.M))
    named = {t for page in PAGES for t in re.findall(r"`make ([a-z]+)`|^make ([a-z]+)$", page.read_text(), re.M)}
    flat = {name for pair in named for name in pair if name}
    assert flat
    assert flat <= targets


def test_links_lead_to_files() -> None:
    wrong = []
    for page in PAGES:
        targets = re.findall(r"\]\(([^)#\s]+)[^)]*\)", page.read_text())
        local = [target for target in targets if "://" not in target]
        wrong += [f"{page.relative_to(REPO)}: {t}" for t in local if not (page.parent / t).exists()]
    assert not wrong


def test_the_reference_is_up_to_date() -> None:
    spec = importlib.util.spec_from_file_location("build", REPO / "docs" / "build.py")
    assert spec is not None
    assert spec.loader is not None
    build = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(build)
    stale = [n for n, text in build.pages().items() if (REPO / "docs" / "reference" / n).read_text() != text]
    assert not stale, f"run: make docs ({', '.join(stale)})"


def test_every_verb_and_component_is_in_the_docs() -> None:
    text = "\n".join(p.read_text() for p in PAGES if p.parent.name != "reference")
    assert not [verb for verb in verbs() if f"salon {verb}" not in text]
    models = [name for name in registry.names("model") if f"`{name}`" not in text]
    encoders = [name for name in registry.names("encoder") if f"`{name}`" not in text]
    assert not models + encoders


def test_the_tree_in_the_readme_names_every_folder() -> None:
    readme = (REPO / "README.md").read_text()
    folders = [p.name for p in (REPO / "src" / "salon").iterdir() if p.is_dir() and (p / "__init__.py").is_file()]
    assert folders
    assert not [name for name in folders if f"{name}/" not in readme]


def test_examples_are_catalogue_files() -> None:
    found = sorted((REPO / "examples").glob("*.toml"))
    assert len(found) >= 5
    for path in found:
        read_shop(path)


@pytest.mark.shared
@pytest.mark.parametrize("name", [p.stem for p in sorted((REPO / "examples").glob("*.toml"))])
def test_examples_read_the_real_sets(name: str, shared_data: Path) -> None:
    path = REPO / "examples" / f"{name}.toml"
    shop = read_shop(path)
    assert shared_data.is_dir()
    result = read_dataset(shop.items, shop.events, shop.users, path.parent)
    assert result.dataset.n_items > 5
    assert len(result.rejects) == 0
