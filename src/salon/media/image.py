"""Pictures: decoding within limits to RGB arrays, and the few operations that encoders and reports need.

Every picture is an (h, w, 3) uint8 array, rows from the top, red green blue. Sizes are (height, width), as in shapes.
"""

from __future__ import annotations

from pathlib import Path
from typing import BinaryIO, Literal, TypeAlias

import numpy as np
from numpy.typing import NDArray
from PIL import Image, UnidentifiedImageError
from scipy import ndimage

from salon.errors import DataError, MediaError
from salon.media.limits import DEFAULT_LIMITS, MediaLimits
from salon.media.source import as_media_error, open_source, source_name

Picture: TypeAlias = NDArray[np.uint8]
Method = Literal["nearest", "bilinear", "bicubic", "lanczos"]

_ORIENTATION = 0x0112  # the EXIF tag
_UPRIGHT = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}


def decode_image(source: Path | bytes, *, limits: MediaLimits = DEFAULT_LIMITS) -> Picture:
    """A picture as RGB: the first frame, turned upright by its EXIF orientation, transparency laid on white.

    The size is read from the header and checked before pixels are allocated; memory peaks at 15 bytes per pixel, 24
    for WebP. Palettes, grey, CMYK and 16-bit samples (the upper eight bits) become 8-bit RGB; colour profiles are not
    applied. An orientation tag that cannot be read counts as upright, since the pixels are sound.

    Args:
        source: Path of a file, or its bytes.
        limits: `max_bytes`, `max_pixels` and `image_formats`.

    Returns:
        (h, w, 3) uint8.

    Raises:
        MediaError: The file is of no allowed format, damaged, cut short, or larger than the limits.
    """
    name = source_name(source)
    with open_source(source, limits) as stream, as_media_error(name):
        _check_pixels(_declared_size(stream), name, limits)
        try:
            image = Image.open(stream, formats=limits.image_formats)
        except UnidentifiedImageError:
            allowed = ", ".join(limits.image_formats)
            raise MediaError(f"{name} is not a readable picture.", hint=f"Allowed formats: {allowed}.") from None
        except (Image.DecompressionBombError, Image.DecompressionBombWarning):
            raise MediaError(f"{name} has far too many pixels.", hint="Scale the picture down.") from None
        with image:
            _check_pixels(image.size, name, limits)
            image.load()
            turn = _UPRIGHT.get(_orientation(image))
            rgb = _to_rgb(image, name)
            return np.array(rgb.transpose(turn) if turn is not None else rgb, dtype=np.uint8)


def _check_pixels(size: tuple[int, int], name: str, limits: MediaLimits) -> None:
    """Refuse a picture whose header asks for too many pixels."""
    limits.check("max_pixels", size[0] * size[1], name, "pixels", hint="Scale the picture down.")


def _declared_size(stream: BinaryIO) -> tuple[int, int]:
    """Width and height in the header of a PNG or WebP, (0, 0) for other formats; the stream is left at its start.

    libwebp allocates the canvas when a file is merely opened, so Pillow's own size comes too late; for PNG this spares
    a warning on top of the error. Layouts: https://www.w3.org/TR/png/#11IHDR and
    https://developers.google.com/speed/webp/docs/riff_container
    """
    head = stream.read(30)
    stream.seek(0)
    if len(head) < 30:
        return 0, 0
    if head.startswith(b"\x89PNG") and head[12:16] == b"IHDR":
        return int.from_bytes(head[16:20], "big"), int.from_bytes(head[20:24], "big")
    if head[:4] != b"RIFF" or head[8:12] != b"WEBP":
        return 0, 0
    if head[12:16] == b"VP8X":
        return int.from_bytes(head[24:27], "little") + 1, int.from_bytes(head[27:30], "little") + 1
    if head[12:16] == b"VP8L":
        bits = int.from_bytes(head[21:25], "little")
        return (bits & 0x3FFF) + 1, ((bits >> 14) & 0x3FFF) + 1
    return int.from_bytes(head[26:28], "little") & 0x3FFF, int.from_bytes(head[28:30], "little") & 0x3FFF


def _orientation(image: Image.Image) -> int:
    """The EXIF orientation, 1 (upright) where there is none that can be read."""
    try:
        return int(image.getexif().get(_ORIENTATION, 1))
    except Exception:  # a parser of free-form metadata; see as_media_error
        return 1


def _to_rgb(image: Image.Image, name: str) -> Image.Image:
    """8-bit RGB of any mode."""
    if image.mode == "F":
        raise MediaError(f"{name} holds floating-point pixels.", hint="Save it with 8 bits per channel.")
    if image.mode.startswith("I"):  # 16-bit grey; 32-bit containers hold 16-bit values
        grey = (np.clip(np.asarray(image, dtype=np.int64), 0, 65535) >> 8).astype(np.uint8)
        return Image.fromarray(grey).convert("RGB")
    if image.has_transparency_data:
        white = Image.new("RGBA", image.size, (255, 255, 255, 255))
        white.alpha_composite(image.convert("RGBA"))
        return white.convert("RGB")
    return image if image.mode == "RGB" else image.convert("RGB")


def _checked(image: Picture) -> Picture:
    """`image` when it is a picture in our sense."""
    if image.ndim != 3 or image.shape[2] != 3 or image.dtype != np.uint8 or 0 in image.shape:
        raise DataError(
            f"A picture is (h, w, 3) uint8, not {image.shape} {image.dtype}.",
            hint="Use what decode_image returns.",
        )
    return image


def _checked_size(size: tuple[int, int]) -> tuple[int, int]:
    """`size` when both sides are at least 1."""
    height, width = size
    if height < 1 or width < 1:
        raise DataError(f"The size {size} is not (height, width) of at least 1.")
    return height, width


def resize(image: Picture, size: tuple[int, int], *, method: Method = "bicubic") -> Picture:
    """The picture stretched to `size`, smoothed when made smaller (Pillow's antialiased filters).

    Args:
        image: (h, w, 3) uint8.
        size: (height, width).
        method: The filter.

    Returns:
        (height, width, 3) uint8.

    Raises:
        DataError: The array is no picture, or the size is below 1.
    """
    height, width = _checked_size(size)
    resampling = Image.Resampling[method.upper()]
    return np.array(Image.fromarray(_checked(image)).resize((width, height), resampling), dtype=np.uint8)


def letterbox(image: Picture, size: tuple[int, int], *, fill: int = 255, method: Method = "bicubic") -> Picture:
    """The whole picture inside `size` with its proportions kept, centred on bars of grey level `fill`.

    Args:
        image: (h, w, 3) uint8.
        size: (height, width) of the result.
        fill: 0 black to 255 white.
        method: The filter.

    Returns:
        (height, width, 3) uint8.

    Raises:
        DataError: The array is no picture, or the size is below 1.
    """
    height, width = _checked_size(size)
    rows, columns = _checked(image).shape[:2]
    scale = min(height / rows, width / columns)
    inner = (max(1, min(height, round(rows * scale))), max(1, min(width, round(columns * scale))))
    box = np.full((height, width, 3), fill, dtype=np.uint8)
    top, left = (height - inner[0]) // 2, (width - inner[1]) // 2
    box[top : top + inner[0], left : left + inner[1]] = resize(image, inner, method=method)
    return box


def crop(image: Picture, top: int, left: int, height: int, width: int) -> Picture:
    """The box of `height` by `width` pixels whose upper left corner is (top, left), as a copy.

    Raises:
        DataError: The array is no picture, or the box is empty or reaches beyond it.
    """
    rows, columns = _checked(image).shape[:2]
    if min(top, left) < 0 or min(height, width) < 1 or top + height > rows or left + width > columns:
        raise DataError(f"The box {(top, left, height, width)} is not inside a picture of {(rows, columns)}.")
    return image[top : top + height, left : left + width].copy()


def centre_crop(image: Picture, size: tuple[int, int]) -> Picture:
    """The middle of the picture, (height, width, 3).

    Raises:
        DataError: The array is no picture, or it is smaller than `size`.
    """
    height, width = _checked_size(size)
    rows, columns = _checked(image).shape[:2]
    return crop(image, (rows - height) // 2, (columns - width) // 2, height, width)


def grayscale(image: Picture) -> Picture:
    """Luma of ITU-R BT.601 (0.299 R + 0.587 G + 0.114 B), (h, w) uint8.

    Raises:
        DataError: The array is no picture.
    """
    luma = _checked(image) @ np.array([0.299, 0.587, 0.114], dtype=np.float32)
    return np.clip(np.rint(luma), 0, 255).astype(np.uint8)


def median_denoise(image: Picture, *, size: int = 3) -> Picture:
    """Each channel's median over a square window: takes out salt and pepper, keeps edges.

    Args:
        image: (h, w, 3) uint8.
        size: Side of the window in pixels, odd.

    Returns:
        (h, w, 3) uint8.

    Raises:
        DataError: The array is no picture, or the size is even or below 1.
    """
    if size < 1 or size % 2 == 0:
        raise DataError(f"The window size {size} is not an odd number of at least 1.")
    filtered: Picture = ndimage.median_filter(_checked(image), size=(size, size, 1), mode="nearest")
    return filtered


def gaussian_denoise(image: Picture, *, sigma: float = 1.0) -> Picture:
    """Each channel smoothed by a Gaussian of `sigma` pixels: takes out fine grain.

    Args:
        image: (h, w, 3) uint8.
        sigma: Standard deviation in pixels, above 0.

    Returns:
        (h, w, 3) uint8.

    Raises:
        DataError: The array is no picture, or sigma is not above 0.
    """
    if not sigma > 0:
        raise DataError(f"The sigma {sigma} is not above 0.")
    smooth = ndimage.gaussian_filter(_checked(image).astype(np.float32), sigma=(sigma, sigma, 0), mode="nearest")
    return np.clip(np.rint(smooth), 0, 255).astype(np.uint8)
