"""Which folder a large model is in, what makes it unfit, and what becomes of a hub that is not there."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from salon.encode.large_source import ALIASES, PATTERNS, locate
from salon.errors import SettingError, WeightsError


@pytest.fixture
def saved(tmp_path: Path) -> Path:
    """A folder that looks like a model; nothing here opens the weights."""
    folder = tmp_path / "model"
    (folder / "1_Pooling").mkdir(parents=True)
    (folder / "config.json").write_text('{"model_type": "bert"}')
    (folder / "1_Pooling" / "config.json").write_text("{}")
    (folder / "tokenizer.json").write_text("{}")
    (folder / "model.safetensors").write_bytes(b"weights")
    (folder / "README.md").write_text("about")
    return folder


def test_a_folder_is_found_and_stamped_by_its_content(saved: Path, tmp_path: Path) -> None:
    found = locate(str(saved))
    assert found.folder == saved
    shutil.copytree(saved, tmp_path / "copy")
    assert locate(str(tmp_path / "copy")).stamp == found.stamp
    (saved / "README.md").write_text("another word")
    assert locate(str(saved)).stamp == found.stamp
    for name in ("model.safetensors", "config.json", "tokenizer.json", "1_Pooling/config.json"):
        before = locate(str(saved)).stamp
        (saved / name).write_bytes(b'{"changed": 1}')
        assert locate(str(saved)).stamp != before, name


def test_a_folder_without_a_model_is_refused(tmp_path: Path, saved: Path) -> None:
    with pytest.raises(WeightsError, match=r"holds no model.*config\.json"):
        locate(str(tmp_path))
    (saved / "model.safetensors").unlink()
    with pytest.raises(WeightsError, match="has no weights"):
        locate(str(saved))


@pytest.mark.parametrize("name", ["pytorch_model.bin", "model.pt", "weights.pth", "tf_model.h5", "m.pkl"])
def test_pickled_weights_are_refused(saved: Path, name: str) -> None:
    (saved / "model.safetensors").rename(saved / name)
    with pytest.raises(WeightsError, match=f"are pickled: '{name}'.*safetensors"):
        locate(str(saved))


def test_a_pickle_in_a_module_of_its_own_is_refused(saved: Path) -> None:
    (saved / "2_Dense").mkdir()
    (saved / "2_Dense" / "pytorch_model.bin").write_bytes(b"x")
    with pytest.raises(WeightsError, match="are pickled"):
        locate(str(saved))


def test_a_pickle_beside_safe_weights_is_left_alone(saved: Path) -> None:
    (saved / "training_args.bin").write_bytes(b"x")
    assert locate(str(saved)).folder == saved


def test_a_missing_part_of_the_weights_is_named(saved: Path) -> None:
    index = {"weight_map": {"a": "model-00001-of-00002.safetensors", "b": "model-00002-of-00002.safetensors"}}
    (saved / "model.safetensors.index.json").write_text(json.dumps(index))
    (saved / "model-00001-of-00002.safetensors").write_bytes(b"x")
    with pytest.raises(WeightsError, match=r"'model-00002-of-00002\.safetensors' is missing"):
        locate(str(saved))


def test_code_that_comes_with_a_model_is_never_run(saved: Path) -> None:
    (saved / "modules.json").write_text(json.dumps([{"idx": 0, "type": "custom_module.Thing", "path": ""}]))
    with pytest.raises(WeightsError, match=r"needs its own code, 'custom_module\.Thing'"):
        locate(str(saved))
    (saved / "modules.json").write_text("{broken")
    with pytest.raises(WeightsError, match="damaged"):
        locate(str(saved))
    assert not {"*.py", "*.bin", "*"} & set(PATTERNS)


def test_names_that_are_nothing_get_a_suggestion() -> None:
    with pytest.raises(SettingError, match=r"'embeddinggema-2' is no folder.*Did you mean 'embeddinggemma-2'"):
        locate("embeddinggema-2")
    with pytest.raises(WeightsError, match="There is no folder '/nowhere/model'"):
        locate("/nowhere/model")
    with pytest.raises(WeightsError, match=r"There is no folder '\./model'"):
        locate("./model")


def test_a_revision_is_for_the_hub(saved: Path) -> None:
    with pytest.raises(SettingError, match="revision = 'main' is for models of the hub"):
        locate(str(saved), "main")


def test_short_names_stand_for_hub_ids() -> None:
    assert ALIASES["embeddinggemma-2"] == "google/embeddinggemma-2"
    assert all(hub_id.count("/") == 1 and name == name.lower() for name, hub_id in ALIASES.items())


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"HF_HUB_OFFLINE": "1"}, "is not here, and HF_HUB_OFFLINE is set"),
        ({"HF_ENDPOINT": "http://127.0.0.1:9"}, "is not here and cannot be fetched"),
    ],
)
def test_a_missing_hub_is_a_clear_error(settings: dict[str, str], words: str, tmp_path: Path) -> None:
    script = (
        "from salon.encode.large_source import locate\n"
        "from salon.errors import WeightsError\n"
        "try:\n    locate('embeddinggemma-2')\nexcept WeightsError as error:\n    print(error)\n"
    )
    environment = {**os.environ, "HF_HOME": str(tmp_path), "HF_HUB_DISABLE_TELEMETRY": "1", **settings}
    for name in ("http_proxy", "https_proxy", "HTTP_PROXY", "HTTPS_PROXY"):
        environment.pop(name, None)
    done = subprocess.run(
        [sys.executable, "-c", script], env=environment, capture_output=True, text=True, timeout=120, check=True
    )
    assert "'google/embeddinggemma-2'" in done.stdout
    assert words in done.stdout
    assert "its folder" in done.stdout


def test_a_model_in_the_cache_of_the_hub_needs_no_network(saved: Path, tmp_path: Path) -> None:
    commit = "0123456789abcdef0123456789abcdef01234567"
    place = tmp_path / "hub" / "models--someone--model"
    (place / "refs").mkdir(parents=True)
    (place / "refs" / "main").write_text(commit)
    shutil.copytree(saved, place / "snapshots" / commit)
    script = "from salon.encode.large_source import locate; print(locate('someone/model').stamp)"
    environment = {**os.environ, "HF_HUB_CACHE": str(tmp_path / "hub"), "HF_ENDPOINT": "http://127.0.0.1:9"}
    done = subprocess.run(
        [sys.executable, "-c", script], env=environment, capture_output=True, text=True, timeout=120, check=False
    )
    assert done.stdout.strip() == f"someone/model@{commit}", done.stderr
