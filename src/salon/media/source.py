"""Opening a medium: a regular file or bytes in memory, of a bounded size, with every failure made a `MediaError`."""

from __future__ import annotations

import io
import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

from salon.errors import MediaError, SalonError
from salon.media.limits import MediaLimits


def source_name(source: Path | bytes) -> str:
    """How errors call a medium: its path, or how many bytes were given."""
    return f"{str(source)!r}" if isinstance(source, Path) else f"The medium of {len(source):,} bytes"


@contextmanager
def open_source(source: Path | bytes, limits: MediaLimits) -> Iterator[BinaryIO]:
    """A medium as a binary stream, closed at the end of the block.

    Args:
        source: Path of a regular file (a pipe or a device would block), or the bytes themselves.
        limits: `max_bytes` is checked before anything is read.

    Raises:
        MediaError: The file is absent, unreadable, not a regular file, empty, or too large.
    """
    if not isinstance(source, Path | bytes):
        raise MediaError(f"A medium is a Path or bytes, not {type(source).__name__}.", hint="Wrap it: Path(...).")
    name = source_name(source)
    if isinstance(source, bytes):
        _check_size(len(source), name, limits)
        yield io.BytesIO(source)
        return
    try:
        if not stat.S_ISREG(os.stat(source).st_mode):
            raise MediaError(f"{name} is not a regular file.", hint="Give the path of a media file.")
        stream = source.open("rb")
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or str(error)
        raise MediaError(f"{name} cannot be opened: {reason}.", hint="Check the path and its permissions.") from error
    with stream:
        _check_size(os.fstat(stream.fileno()).st_size, name, limits)
        yield stream


def _check_size(size: int, name: str, limits: MediaLimits) -> None:
    """Refuse no bytes at all, and more than the limit."""
    if size == 0:
        raise MediaError(f"{name} is empty.", hint="Upload the file again, or leave the value out.")
    limits.check("max_bytes", size, name, "bytes")


@contextmanager
def as_media_error(name: str) -> Iterator[None]:
    """Turn whatever a decoder raises into a `MediaError`; our own errors pass.

    Decoders document no closed list of what a broken file can raise (struct.error, SyntaxError, IndexError and
    MemoryError have all been seen), so this one place catches every `Exception`.
    """
    try:
        yield
    except SalonError:
        raise
    except MemoryError as error:
        raise MediaError(f"{name} asks for more memory than there is.", hint="Lower MediaLimits.") from error
    except Exception as error:
        reason = getattr(error, "strerror", None) or str(error) or type(error).__name__
        raise MediaError(
            f"{name} cannot be decoded: {str(reason).strip().rstrip('.')}.",
            hint="The file is damaged, cut short, or of another kind.",
        ) from error
