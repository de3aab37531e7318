"""Docs are tests: their code runs, their links lead somewhere, and everything public is in them."""

import contextlib
import importlib.util
import io
import re
import subprocess
import sys
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
FILE = re.compile(r"# \w+\.py\n")
BLOCK = re.compile(r"^```(\w+)\n(.*?)^```", re.M | re.S)


def blocks(language: str) -> list[tuple[str, str]]:
    found = [(p.name, text) for p in PAGES for kind, text in BLOCK.findall(p.read_text()) if kind == language]
    assert found, f"no {language} block was found"
    return found


def verbs() -> dict[str, typer.main.TyperCommand]:
    return dict(typer.main.get_command(program()).commands)  # type: ignore[attr-defined]


def python_pages() -> dict[Path, list[str]]:
    found = {page: [text for kind, text in BLOCK.findall(page.read_text()) if kind == "python"] for page in PAGES}
    return {page: texts for page, texts in found.items() if texts}


def is_file(text: str) -> bool:
    return FILE.match(text) is not None


def is_plugin(page: Path) -> bool:
    return any(is_file(text) for text in python_pages()[page])


@pytest.mark.parametrize(
    "page", [p for p in python_pages() if not is_plugin(p)], ids=lambda page: str(page.relative_to(REPO))
)
def test_python_blocks_run(
    page: Path, make_shop: Callable[..., Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    make_shop(tmp_path)
    monkeypatch.chdir(tmp_path)
    names: dict[str, object] = {}
    if "pip install 'salon[torch]'" in page.read_text():
        pytest.importorskip("torch", reason="this page is about models that need torch")
    with contextlib.redirect_stdout(io.StringIO()) as printed:
        for text in python_pages()[page]:
            exec(compile(text.replace('"17", "256", "901"', '"thing-02", "thing-04"'), page.name, "exec"), names)
    assert page.name != "README.md" or "thing number" in printed.getvalue()


def test_the_plugin_of_the_docs_keeps_the_contract(make_shop: Callable[..., Path], tmp_path: Path) -> None:
    pages = [page for page in python_pages() if is_plugin(page)]
    assert pages
    for number, page in enumerate(pages):
        folder = tmp_path / str(number)
        make_shop(folder)
        run = []
        for text in python_pages()[page]:
            if is_file(text):
                (folder / text.splitlines()[0].removeprefix("# ")).write_text(text, encoding="utf-8")
            else:
                run.append(text)
        write_installed(folder, page)
        (folder / "run_blocks.py").write_text("\n".join(run), encoding="utf-8")
        command = [sys.executable, "-W", "error", "run_blocks.py"]
        done = subprocess.run(command, cwd=folder, capture_output=True, timeout=300, check=False)
        assert done.returncode == 0, done.stderr.decode("utf-8")


def write_installed(folder: Path, page: Path) -> None:
    """What `pip install` makes of the entry points in the page's pyproject.toml."""
    tables = [tomllib.loads(text) for kind, text in BLOCK.findall(page.read_text()) if kind == "toml"]
    (project,) = [table["project"] for table in tables if "project" in table]
    info = folder / f"{project['name'].replace('-', '_')}-{project['version']}.dist-info"
    info.mkdir()
    about = f"Metadata-Version: 2.1\nName: {project['name']}\nVersion: {project['version']}\n"
    (info / "METADATA").write_text(about, encoding="utf-8")
    entries = project["entry-points"][registry.GROUP]
    lines = [f"[{registry.GROUP}]", *(f"{name} = {target}" for name, target in entries.items())]
    (info / "entry_points.txt").write_text("\n".join(lines), encoding="utf-8")


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


@pytest.mark.parametrize("deep", [False, True])
def test_the_reference_is_up_to_date(deep: bool) -> None:
    if deep:
        pytest.importorskip("sentence_transformers")
    spec = importlib.util.spec_from_file_location("build", REPO / "docs" / "build.py")
    assert spec is not None
    assert spec.loader is not None
    build = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(build)
    stale = [n for n, text in build.pages(deep=deep).items() if (REPO / "docs" / "reference" / n).read_text() != text]
    assert not stale, f"run: make docs ({', '.join(stale)})"


def test_every_verb_and_component_is_in_the_docs() -> None:
    text = "\n".join(p.read_text() for p in PAGES if p.parent.name != "reference")
    assert not [verb for verb in verbs() if f"salon {verb}" not in text]
    assert not [name for kind in registry.KINDS for name in registry.names(kind) if f"`{name}`" not in text]


def test_the_index_lists_every_page() -> None:
    index = (REPO / "docs" / "index.md").read_text()
    pages = [p.relative_to(REPO / "docs").as_posix() for p in (REPO / "docs").rglob("*.md") if p.name != "index.md"]
    assert len(pages) > 10
    assert not [page for page in pages if f"({page})" not in index and not page.startswith("decisions/")]


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
