"""The foundations: errors, settings, registry, artefact folders."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from scipy import sparse

from salon import registry
from salon.artifacts import read_state, reading, write_state, writing
from salon.config import Settings, build, describe, read_toml
from salon.errors import ArtifactError, SalonError, SettingError, did_you_mean


class Example(Settings):
    reg: float = 1.0
    """Strength of the ridge."""
    name: str = "a"
    """A name."""


def all_errors(cls: type[SalonError] = SalonError) -> list[type[SalonError]]:
    return [cls, *(e for sub in cls.__subclasses__() for e in all_errors(sub))]


def test_every_error_has_its_own_code_and_is_drawn_in_the_tree() -> None:
    errors = all_errors()
    codes = [e.code for e in errors]
    assert len(codes) == len(set(codes)) > 8
    drawing = sys.modules["salon.errors"].__doc__ or ""
    for error in errors:
        assert error.__name__ in drawing
        if error is not SalonError:
            line = next(x for x in drawing.splitlines() if error.__name__ in x)
            assert error.code in line
            assert str(error.status) in line
            assert ("yes" in line) == error.retryable


def test_a_message_carries_its_hint() -> None:
    error = SettingError("k is 0.", hint="Ask for one.")
    assert str(error) == "k is 0. Ask for one."
    assert error.to_dict() == {"code": "setting", "message": "k is 0.", "hint": "Ask for one.", "retryable": False}


def test_suggestions_name_the_closest_word() -> None:
    assert did_you_mean("lineer", ["linear", "ease"]) == "Did you mean 'linear'?"
    assert did_you_mean("zzz", ["b", "a"]) == "Known: a, b."


def test_unknown_setting_is_an_error_with_a_suggestion() -> None:
    with pytest.raises(SettingError, match=r"Unknown setting 'regg' in \[model\].*'reg'"):
        build(Example, {"regg": 2}, where="[model]")


def test_bad_value_names_the_setting_and_the_value() -> None:
    with pytest.raises(SettingError, match=r"'reg'.*'much'"):
        build(Example, {"reg": "much"})


def test_settings_are_frozen_and_described_by_their_docstrings() -> None:
    settings = build(Example, {"reg": 2})
    with pytest.raises(Exception, match="frozen"):
        settings.reg = 3  # type: ignore[misc]
    assert describe(Example)[0] == ("reg", "1.0", "Strength of the ridge.")


def test_broken_toml_names_the_line(tmp_path: Path) -> None:
    path = tmp_path / "a.toml"
    path.write_text("[items]\npath = \n")
    with pytest.raises(SettingError, match="line 2"):
        read_toml(path)


def test_unknown_component_is_suggested() -> None:
    with pytest.raises(SettingError, match="'linear'"):
        registry.resolve("model", "linaer")


def test_every_registered_class_exists_and_knows_its_kind() -> None:
    for kind in registry.KINDS:
        assert registry.names(kind)
        for name in registry.names(kind):
            assert registry.about(kind, name).endswith((".", ":")), f"{kind} {name} says what it is in one sentence"
            if not registry.extra_of(kind, name):
                cls = registry.resolve(kind, name)
                assert cls.kind == kind
                assert registry.name_of(kind, cls) == name


def test_state_round_trips_arrays_sparse_and_plain(tmp_path: Path) -> None:
    matrix = sparse.csr_array(np.array([[0, 1.5], [2, 0]], np.float32))
    state = {"a_": np.arange(3), "m_": matrix, "n_": 3, "s_": "x", "l_": ["u", "v"], "z_": np.float32(2)}
    write_state(tmp_path, state)
    back = read_state(tmp_path)
    assert back.keys() == state.keys()
    assert (back["m_"] != matrix).nnz == 0
    assert back["a_"].tolist() == [0, 1, 2]
    assert (back["n_"], back["s_"], back["l_"], back["z_"]) == (3, "x", ["u", "v"], 2.0)


def test_object_arrays_are_refused(tmp_path: Path) -> None:
    with pytest.raises(TypeError, match="objects"):
        write_state(tmp_path, {"a_": np.array([{}], dtype=object)})


def make(path: Path, text: str = "one") -> None:
    with writing(path, "thing") as folder:
        (folder / "a.txt").write_text(text)


def test_artifact_is_replaced_whole_and_checked(tmp_path: Path) -> None:
    make(tmp_path / "m", "one")
    make(tmp_path / "m", "two")
    reading(tmp_path / "m", "thing")
    assert (tmp_path / "m" / "a.txt").read_text() == "two"
    assert [p.name for p in tmp_path.iterdir()] == ["m"]


def test_flipped_byte_is_named(tmp_path: Path) -> None:
    make(tmp_path / "m")
    (tmp_path / "m" / "a.txt").write_text("onf")
    with pytest.raises(ArtifactError, match=r"a\.txt.*changed or damaged"):
        reading(tmp_path / "m", "thing")


@pytest.mark.parametrize("name", ["../x", "/etc/passwd"])
def test_manifest_cannot_point_outside(tmp_path: Path, name: str) -> None:
    make(tmp_path / "m")
    manifest = json.loads((tmp_path / "m" / "manifest.json").read_text())
    manifest["files"][name] = "0" * 64
    (tmp_path / "m" / "manifest.json").write_text(json.dumps(manifest))
    with pytest.raises(ArtifactError, match="outside"):
        reading(tmp_path / "m", "thing")


def test_other_kind_and_foreign_folder_are_refused(tmp_path: Path) -> None:
    make(tmp_path / "m")
    with pytest.raises(ArtifactError, match="'thing', not a 'model'"):
        reading(tmp_path / "m", "model")
    (tmp_path / "photos").mkdir()
    with pytest.raises(ArtifactError, match="not an artefact"):
        make(tmp_path / "photos")


def test_a_failure_leaves_the_old_artifact(tmp_path: Path) -> None:
    make(tmp_path / "m")

    def fail_half_way() -> None:
        with writing(tmp_path / "m", "thing") as folder:
            (folder / "a.txt").write_text("half")
            raise RuntimeError

    with pytest.raises(RuntimeError):
        fail_half_way()
    assert (tmp_path / "m" / "a.txt").read_text() == "one"
    assert [p.name for p in tmp_path.iterdir()] == ["m"]


WRITER = """
import sys
from pathlib import Path
from salon.artifacts import writing
n = 0
while True:
    n += 1
    with writing(Path(sys.argv[1]), "thing") as folder:
        for part in range(20):
            (folder / f"{part}.txt").write_text(str(n) * 2000)
"""


def test_a_kill_at_any_moment_leaves_a_whole_artifact(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    path = tmp_path / "m"
    make(path)
    for _ in range(8):
        process = subprocess.Popen([sys.executable, "-c", WRITER, str(path)])
        time.sleep(0.35 + float(rng.uniform(0, 0.15)))
        os.kill(process.pid, signal.SIGKILL)
        process.wait()
        reading(path, "thing")
        texts = {p.read_text()[:1] for p in path.glob("*.txt")}
        assert len(texts) == 1
