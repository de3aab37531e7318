"""Versions of the model: which there are, which one is live, and how their folders are read and thrown away."""

from __future__ import annotations

import os
import shutil
import time
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from salon.artifacts import MANIFEST, sha256
from salon.errors import ArtifactError, UnknownIdError, did_you_mean
from salon.pipeline import Pipeline
from salon.store import Store
from salon.store.values import Version


@dataclass(frozen=True)
class Registry:
    """The versions of one store.

    Attributes:
        store: Where they are listed.
        home: Folder that their paths start from.
        keep: Folders of versions no longer used that are kept.
    """

    store: Store
    home: Path
    keep: int

    def get(self, version: str) -> Version:
        """One version.

        Raises:
            UnknownIdError: There is none of that name.
        """
        found = self.store.versions.get(version)
        if found is None:
            known = [one.version for one in self.all()]
            raise UnknownIdError(f"There is no version {version!r}.", hint=did_you_mean(version, known))
        return found

    def all(self) -> list[Version]:
        """All versions, newest first."""
        return sorted(self.store.versions.all(), key=lambda one: (one.created, one.version), reverse=True)

    def live(self) -> Version | None:
        """The version that is live."""
        return next((one for one in self.store.versions.all() if one.state == "live"), None)

    def before(self) -> Version:
        """The version that was live before.

        Raises:
            UnknownIdError: There is none.
        """
        usable = [one for one in self.all() if one.state == "retired" and one.activated is not None]
        if not usable:
            raise UnknownIdError("There is no version to go back to.", hint="Only a version that was live can be.")
        return max(usable, key=lambda one: one.activated or 0.0)

    def add(self, folder: Path, metrics: Mapping[str, Any], *, name: str = "") -> Version:
        """Lists the artefact in a folder as a candidate."""
        about = {**metrics, "manifest": sha256(folder / MANIFEST)}
        path = os.path.relpath(folder, self.home)
        version = Version(name or self.fresh(), path, "candidate", about, time.time())
        self.store.versions.add(version)
        return version

    def fail(self, version: str, error: Mapping[str, Any]) -> Version:
        """Lists a version that could not be made."""
        failed = Version(version, "", "failed", {"error": dict(error)}, time.time())
        self.store.versions.add(failed)
        return failed

    def fresh(self) -> str:
        """A name for a new version, growing with time."""
        return datetime.now(UTC).strftime("%Y%m%d-%H%M%S-%f")

    def folder(self, version: Version) -> Path:
        """Where the artefact of a version is."""
        return Path(os.path.normpath(self.home / version.path))

    def load(self, version: Version) -> Pipeline:
        """The pipeline of a version.

        Raises:
            ArtifactError: There is none, it is damaged, or its folder holds another model by now.
        """
        if version.state == "failed" or not version.path:
            raise ArtifactError(f"The version {version.version!r} was never made.", hint="Its metrics tell the error.")
        folder = self.folder(version)
        pipeline = Pipeline.load(folder)
        if sha256(folder / MANIFEST) != version.metrics.get("manifest"):
            raise ArtifactError(
                f"{str(folder)!r} holds another model than version {version.version!r}.",
                hint="It was fitted again; activate the version that came of it.",
            )
        return pipeline

    def tidy(self) -> None:
        """Removes folders of our own making that belong to the oldest unused versions; the list of versions stays."""
        idle = [one for one in self.all() if one.state not in ("live", "candidate") and one.path]
        for one in idle[self.keep :]:
            folder = self.folder(one)
            if folder.is_relative_to(self.home) and (folder / MANIFEST).is_file():
                shutil.rmtree(folder, ignore_errors=True)
