"""Imports point down only: a file imports lower layers and its own folder, at the top of the file, without cycles."""

import ast
from pathlib import Path

SRC = Path(__file__).resolve().parent.parent / "src" / "salon"

LAYERS = {
    "errors": 0, "types": 0, "builtin": 0,
    "arrays": 1, "config": 1, "registry": 1, "artifacts": 1, "component": 1,
    "data": 2, "metrics": 2, "media": 2,
    "privacy": 3, "index": 4, "training": 4, "encode": 5, "fuse": 6, "models": 7, "rerank": 8, "language": 8,
    "explain": 9, "quality": 9, "evaluate": 9, "feedback": 9, "store": 9,
    "pipeline": 10,
    "serve": 11, "cluster": 11, "erase": 11, "federate": 11, "demo": 11, "testing": 11,
    "cli": 12, "__main__": 13,
}  # fmt: skip
"""The folder, or the first word of a top-level file, to its layer."""

ONE_FOLDER = {0, 1}
"""Layers whose files may import each other: the foundations, one folder as it were."""


def unit_of(path: Path) -> str:
    parts = path.relative_to(SRC).with_suffix("").parts
    return parts[0] if len(parts) > 1 else parts[0].split("_")[0] or parts[0]


def our_imports(path: Path) -> list[tuple[int, str, bool]]:
    """(line, imported module, at top level) of every import of our own code."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    top = set()
    for node in tree.body:
        inner = node.body if isinstance(node, ast.If) and "TYPE_CHECKING" in ast.dump(node.test) else [node]
        top |= {id(n) for n in inner}
    found = []
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom) and (node.module or "").split(".")[0] == "salon":
            found += [(node.lineno, f"{node.module}.{a.name}", id(node) in top) for a in node.names]
        elif isinstance(node, ast.Import):
            found += [(node.lineno, a.name, id(node) in top) for a in node.names if a.name.split(".")[0] == "salon"]
    return found


def target_of(module: str) -> str | None:
    parts = module.split(".")[1:]
    return parts[0] if parts and ((SRC / parts[0]).is_dir() or (SRC / f"{parts[0]}.py").is_file()) else None


def files() -> list[Path]:
    found = [p for p in SRC.rglob("*.py") if p != SRC / "__init__.py"]
    assert len(found) > 30, "the guard must see the code it guards"
    return found


def test_every_file_has_a_layer() -> None:
    assert {unit_of(p) for p in files()} <= set(LAYERS)


def test_imports_point_down() -> None:
    wrong = []
    for path in files():
        mine = unit_of(path)
        for line, module, _ in our_imports(path):
            target = target_of(module)
            if target is None or target == mine:
                continue
            theirs = target if (SRC / target).is_dir() else target.split("_")[0]
            same = theirs == mine or (LAYERS[theirs] == LAYERS[mine] and LAYERS[mine] in ONE_FOLDER)
            if not same and LAYERS[theirs] >= LAYERS[mine]:
                wrong.append(f"{path.relative_to(SRC)}:{line} ({mine}, layer {LAYERS[mine]}) imports {module}")
    assert not wrong, "\n".join(wrong)


def test_no_import_of_our_own_code_inside_a_function() -> None:
    wrong = [f"{p.relative_to(SRC)}:{line} {m}" for p in files() for line, m, top in our_imports(p) if not top]
    assert not wrong, "\n".join(wrong)


def module_file(module: str) -> Path | None:
    path = SRC.parent.joinpath(*module.split("."))
    for candidate in (path.with_suffix(".py"), path / "__init__.py"):
        if candidate.is_file():
            return candidate
    return module_file(module.rpartition(".")[0]) if "." in module else None


def test_there_are_no_cycles() -> None:
    graph = {p: {f for _, m, _ in our_imports(p) if (f := module_file(m)) not in (None, p)} for p in SRC.rglob("*.py")}
    done: set[Path] = set()

    def visit(path: Path, trail: tuple[Path, ...]) -> None:
        assert path not in trail, " -> ".join(str(p.relative_to(SRC)) for p in (*trail, path))
        if path not in done:
            for target in graph.get(path, ()):
                if not (target.name == "__init__.py" and target.parent == path.parent):
                    visit(target, (*trail, path))
            done.add(path)

    for path in graph:
        visit(path, ())
