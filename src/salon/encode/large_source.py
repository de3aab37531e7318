"""Where a large model lies: a short name, hub id or local folder becomes a folder of checked files and a stamp.

Only files that cannot run code are fetched or read: weights as safetensors, settings and vocabularies as JSON and text.
Every library is then given the folder, so none of them opens a network connection of its own.
"""

from __future__ import annotations

import functools
import hashlib
import re
from pathlib import Path
from typing import Any, NamedTuple

from huggingface_hub import constants, snapshot_download
from huggingface_hub.errors import (
    GatedRepoError,
    LocalEntryNotFoundError,
    RepositoryNotFoundError,
    RevisionNotFoundError,
)

from salon.artifacts import read_json, sha256
from salon.errors import ArtifactError, SettingError, WeightsError, did_you_mean

ALIASES: dict[str, str] = {
    "embeddinggemma-2": "google/embeddinggemma-2",
    "qwen3-vl-embedding-2b": "Qwen/Qwen3-VL-Embedding-2B",
    "qwen3-vl-embedding-8b": "Qwen/Qwen3-VL-Embedding-8B",
    "qwen3-embedding-0.6b": "Qwen/Qwen3-Embedding-0.6B",
    "minilm-l6": "sentence-transformers/all-MiniLM-L6-v2",
    "multilingual-minilm": "sentence-transformers/paraphrase-multilingual-MiniLM-L12-v2",
    "multilingual-e5-small": "intfloat/multilingual-e5-small",
    "multilingual-e5-large": "intfloat/multilingual-e5-large",
    "clip-vit-b-32": "laion/CLIP-ViT-B-32-laion2B-s34B-b79K",
    "siglip-base": "google/siglip-base-patch16-224",
    "siglip2-base": "google/siglip2-base-patch16-224",
    "chinese-clip": "OFA-Sys/chinese-clip-vit-base-patch16",
    "clap": "laion/clap-htsat-unfused",
    "clap-music": "laion/larger_clap_music",
    "bert": "google-bert/bert-base-uncased",
    "gpt2": "openai-community/gpt2",
    "vit-base": "google/vit-base-patch16-224-in21k",
    "dinov2-base": "facebook/dinov2-base",
    "wav2vec2-base": "facebook/wav2vec2-base",
    "wavlm-base": "microsoft/wavlm-base-plus",
    "videomae-base": "MCG-NJU/videomae-base",
    "whisper-small": "openai/whisper-small",
    "whisper-large": "openai/whisper-large-v3-turbo",
}
"""Short names of well-known models and their ids on the hub."""

PATTERNS = ["*.json", "*.txt", "*.safetensors", "*.model", "*.jinja"]
"""Files that are fetched, and whose content is the identity of a local folder."""
SKIPPED = ["onnx/*", "openvino/*", "original/*", "metal/*"]
PICKLED = {".bin", ".pt", ".pth", ".ckpt", ".pkl", ".h5", ".msgpack"}
"""Weights in formats that are not read: most can run code when they are."""
CONFIGS = ("config.json", "modules.json", "open_clip_config.json")
_HUB_ID = re.compile(r"[A-Za-z0-9][\w.-]*/[\w.-]+")


class Source(NamedTuple):
    """A model on this machine.

    Attributes:
        folder: Its files.
        stamp: What its vectors depend on: the commit of a hub model, the checksum of a local folder.
    """

    folder: Path
    stamp: str


def locate(model: str, revision: str = "") -> Source:
    """The files of a model, fetched from the hub when they are nowhere here.

    Args:
        model: A folder, a short name of `ALIASES`, or a hub id such as "google/embeddinggemma-2".
        revision: Branch, tag or commit of a hub model; empty is the main branch.

    Raises:
        SettingError: The name is neither.
        WeightsError: The folder holds no safe and whole model, or the hub cannot be reached or has no such model.
    """
    folder = Path(model).expanduser()
    if folder.is_dir():
        if revision:
            raise SettingError(f"revision = {revision!r} is for models of the hub, but {model!r} is a folder.")
        return Source(checked(folder.resolve()), f"folder-{folder_checksum(folder.resolve())}")
    if folder.is_absolute() or model.startswith((".", "~")) or model.count("/") > 1:
        raise WeightsError(f"There is no folder {model!r}.", hint="Give the folder of a saved model, or a hub id.")
    hub_id = ALIASES.get(model.lower(), model)
    if not _HUB_ID.fullmatch(hub_id):
        raise SettingError(f"{model!r} is no folder, hub id or known model.", hint=did_you_mean(model, ALIASES))
    found = _fetched(hub_id, revision)
    return Source(found, f"{hub_id}@{found.name}")


def _fetched(hub_id: str, revision: str) -> Path:
    """The snapshot of a hub model: the one that is here, or else the one that the hub gives."""
    wanted: dict[str, Any] = {
        "revision": revision or None,
        "allow_patterns": PATTERNS,
        "ignore_patterns": SKIPPED,
    }
    try:
        return checked(Path(snapshot_download(hub_id, local_files_only=True, **wanted)))
    except (LocalEntryNotFoundError, WeightsError) as error:
        if constants.HF_HUB_OFFLINE:
            hint = "Unset HF_HUB_OFFLINE once, or copy the model here and give its folder."
            raise WeightsError(f"The model {hub_id!r} is not here, and HF_HUB_OFFLINE is set.", hint=hint) from error
    try:
        return checked(Path(snapshot_download(hub_id, **wanted)))
    except GatedRepoError as error:
        hint = "Accept its licence on its page, then set HF_TOKEN, or give the folder of a copy."
        raise WeightsError(f"The model {hub_id!r} is given only to those who accept its licence.", hint=hint) from error
    except RevisionNotFoundError as error:
        raise WeightsError(f"The model {hub_id!r} has no revision {revision!r}.", hint="Look at its page.") from error
    except RepositoryNotFoundError as error:
        raise WeightsError(f"The hub has no model {hub_id!r}.", hint=did_you_mean(hub_id, ALIASES.values())) from error
    except (OSError, ValueError) as error:
        hint = "Is there a network? Otherwise copy the model here and give its folder."
        raise WeightsError(
            f"The model {hub_id!r} is not here and cannot be fetched: {_short(error)}.", hint=hint
        ) from error


def _short(error: Exception) -> str:
    return (str(error).strip() or type(error).__name__).splitlines()[0].rstrip(".")[:200]


def checked(folder: Path) -> Path:
    """The folder, when it holds a whole model that can be read without running code.

    Raises:
        WeightsError: It has no model, a part is missing, or weights are pickled.
    """
    if not any((folder / name).is_file() for name in CONFIGS):
        hint = f"It should have one of {', '.join(CONFIGS)}: what save_pretrained or save wrote."
        raise WeightsError(f"The folder {str(folder)!r} holds no model.", hint=hint)
    files = _files(folder)
    safe = {path.parent for path in files if path.suffix == ".safetensors"}
    for path in files:
        if path.suffix in PICKLED and path.parent not in safe:
            hint = "Reading such files can run code. Save the model as safetensors, or use a revision that has them."
            raise WeightsError(f"The weights of {str(folder)!r} are pickled: {path.name!r}.", hint=hint)
    if not safe:
        hint = "It should have model.safetensors; pickled weights are not fetched."
        raise WeightsError(f"The folder {str(folder)!r} has no weights.", hint=hint)
    try:
        _check_parts(folder, files)
    except (ArtifactError, AttributeError, KeyError, TypeError) as error:
        raise WeightsError(f"The folder {str(folder)!r} holds a damaged model: {_short(error)}.") from error
    return folder


def _check_parts(folder: Path, files: list[Path]) -> None:
    """Refuses weights of which a part is missing, and modules that are code of the model's own."""
    for index in (path for path in files if path.name.endswith(".safetensors.index.json")):
        for shard in sorted(set(read_json(index)["weight_map"].values())):
            if not (index.parent / shard).is_file():
                raise WeightsError(f"{shard!r} is missing in {str(folder)!r}.", hint="Copy or fetch the model again.")
    if (folder / "modules.json").is_file():
        for module in read_json(folder / "modules.json"):
            if not str(module["type"]).startswith("sentence_transformers."):
                hint = "Code that comes with a model is never run."
                raise WeightsError(f"The model {str(folder)!r} needs its own code, {module['type']!r}.", hint=hint)


def _files(folder: Path) -> list[Path]:
    """The files of a model, without hidden folders and exports to other formats."""
    skipped = {pattern.partition("/")[0] for pattern in SKIPPED}
    found = []
    for path in sorted(folder.rglob("*")):
        parts = path.relative_to(folder).parts
        if path.is_file() and not skipped & set(parts) and not any(part.startswith(".") for part in parts):
            found.append(path)
    return found


def folder_checksum(folder: Path) -> str:
    """The SHA-256 over names and contents of settings, vocabularies and weights."""
    digest = hashlib.sha256()
    suffixes = {pattern.removeprefix("*") for pattern in PATTERNS}
    for path in _files(folder):
        if path.suffix in suffixes:
            about = path.stat()
            digest.update(f"{path.relative_to(folder)}:{_checksum(path, about.st_size, about.st_mtime_ns)}".encode())
    return digest.hexdigest()[:32]


@functools.lru_cache(maxsize=4096)
def _checksum(path: Path, size: int, time: int) -> str:
    """The SHA-256 of a file, read once as long as its size and time stay."""
    return sha256(path)
