"""Paths that stay inside the folder of a catalogue."""

from __future__ import annotations

from pathlib import Path, PurePosixPath, PureWindowsPath

from salon.errors import MediaError


def safe_join(root: Path, relative: str) -> Path:
    """The file `relative` inside the folder `root`; whether it exists is not asked.

    Args:
        root: The folder of the catalogue.
        relative: A path as written in a table, with `/` between the parts.

    Returns:
        The path with all links followed.

    Raises:
        MediaError: The path is empty, absolute (on any system), climbs by "..", or leaves the folder through a link.
    """
    hint = "Write media paths relative to the folder of the catalogue, without '..'."
    windows = PureWindowsPath(relative)
    parts = [*PurePosixPath(relative).parts, *windows.parts]
    if not relative.strip() or "\0" in relative:
        raise MediaError(f"The media path {relative!r} is empty or holds a zero character.", hint=hint)
    if PurePosixPath(relative).is_absolute() or windows.drive or windows.root:
        raise MediaError(f"The media path {relative!r} is absolute.", hint=hint)
    if ".." in parts:
        raise MediaError(f"The media path {relative!r} climbs out of its folder.", hint=hint)
    try:
        base = root.resolve()
        path = (base / relative).resolve()
    except (OSError, RuntimeError, ValueError) as error:  # a loop of links, a name that is too long
        raise MediaError(f"The media path {relative!r} cannot be followed: {error}.", hint=hint) from error
    if not path.is_relative_to(base):
        raise MediaError(f"The media path {relative!r} leaves its folder through a link.", hint=hint)
    return path
