"""Small files, small functions, a quiet library, no pickle: the limits of the house, held by reading the source."""

import ast
import re
import statistics
from pathlib import Path

SRC = Path(__file__).resolve().parent.parent / "src" / "salon"
FILES = sorted(SRC.rglob("*.py"))
FORBIDDEN_CALLS = {"eval", "exec", "print"}


def functions(tree: ast.AST) -> list[ast.FunctionDef]:
    return [n for n in ast.walk(tree) if isinstance(n, ast.FunctionDef)]


def test_the_guard_sees_the_code() -> None:
    assert len(FILES) > 40


def test_no_file_is_longer_than_400_lines() -> None:
    long = {str(p.relative_to(SRC)): n for p in FILES if (n := len(p.read_text().splitlines())) > 400}
    assert not long


def test_no_function_is_longer_than_60_lines_and_most_are_short() -> None:
    lengths, wrong = [], []
    for path in FILES:
        for function in functions(ast.parse(path.read_text())):
            length = (function.end_lineno or 0) - function.lineno + 1
            lengths.append(length)
            if length > 60:
                wrong.append(f"{path.relative_to(SRC)}:{function.lineno} {function.name} has {length} lines")
    assert not wrong, "\n".join(wrong)
    assert statistics.median(lengths) <= 14


def test_no_function_takes_more_than_8_arguments() -> None:
    wrong = []
    for path in FILES:
        if "cli" in path.parts:  # the options of a command are its surface
            continue
        for function in functions(ast.parse(path.read_text())):
            arguments = [*function.args.posonlyargs, *function.args.args, *function.args.kwonlyargs]
            count = len([a for a in arguments if a.arg not in ("self", "cls")])
            if count > 8:
                wrong.append(f"{path.relative_to(SRC)}:{function.lineno} {function.name} takes {count}")
    assert not wrong, "\n".join(wrong)


def test_every_file_says_what_it_is_for() -> None:
    assert not [str(p.relative_to(SRC)) for p in FILES if not ast.get_docstring(ast.parse(p.read_text()))]


def test_nothing_is_evaluated_unpickled_or_printed() -> None:
    wrong = []
    for path in FILES:
        quiet = "cli" not in path.parts
        for node in ast.walk(ast.parse(path.read_text())):
            if not isinstance(node, ast.Call):
                continue
            name = node.func.id if isinstance(node.func, ast.Name) else ""
            if name in FORBIDDEN_CALLS and (name != "print" or quiet):
                wrong.append(f"{path.relative_to(SRC)}:{node.lineno} calls {name}")
            if isinstance(node.func, ast.Attribute) and ast.unparse(node.func) in ("pickle.load", "pickle.loads"):
                wrong.append(f"{path.relative_to(SRC)}:{node.lineno} unpickles")
            if any(k.arg == "allow_pickle" and ast.unparse(k.value) == "True" for k in node.keywords):
                wrong.append(f"{path.relative_to(SRC)}:{node.lineno} allows pickle")
    assert not wrong, "\n".join(wrong)


def test_the_global_random_state_is_never_used() -> None:
    pattern = re.compile(r"np\.random\.(?!default_rng|Generator|SeedSequence|BitGenerator)\w+|^import random\b", re.M)
    assert not [f"{p.relative_to(SRC)}: {m.group()}" for p in FILES for m in pattern.finditer(p.read_text())]
