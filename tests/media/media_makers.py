"""Real small media files for the tests of salon.media, made with the encoders of Pillow and FFmpeg."""

from __future__ import annotations

import io
import struct
import zlib
from fractions import Fraction

import av
import numpy as np
from PIL import Image


def picture(height: int = 48, width: int = 64, seed: int = 0) -> np.ndarray:
    """A smooth colourful picture, (h, w, 3) uint8, whose corners differ."""
    rows, columns = np.mgrid[0:height, 0:width]
    waves = np.random.default_rng(seed).uniform(0.02, 0.2, (3, 2))
    channels = [127.5 + 127.5 * np.sin(a * rows + b * columns) for a, b in waves]
    return np.stack(channels, axis=-1).astype(np.uint8)


def encoded(image: Image.Image | np.ndarray, kind: str, **options) -> bytes:
    """A picture as the bytes of a file."""
    buffer = io.BytesIO()
    image = Image.fromarray(image) if isinstance(image, np.ndarray) else image
    image.save(buffer, kind, **options)
    return buffer.getvalue()


def png_header(width: int, height: int) -> bytes:
    """A PNG that promises pixels which it does not hold."""

    def chunk(kind: bytes, body: bytes) -> bytes:
        return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))

    head = chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0))
    return b"\x89PNG\r\n\x1a\n" + head + chunk(b"IDAT", zlib.compress(bytes(1000))) + chunk(b"IEND", b"")


def webp_header(width: int, height: int) -> bytes:
    """An animated WebP that promises a canvas and holds nothing."""
    canvas = (width - 1).to_bytes(3, "little") + (height - 1).to_bytes(3, "little")
    body = b"WEBPVP8X" + struct.pack("<I", 10) + b"\x02\0\0\0" + canvas + b"ANIM" + struct.pack("<I", 6) + bytes(6)
    return b"RIFF" + struct.pack("<I", len(body)) + body


def tone(seconds: float = 1.0, rate: int = 16000, hz: float = 440.0) -> np.ndarray:
    """A sine of half the full scale, (n,) float32."""
    return (0.5 * np.sin(2 * np.pi * hz * np.arange(round(seconds * rate)) / rate)).astype(np.float32)


def wav_bytes(wave: np.ndarray, rate: int = 16000, *, declared: int | None = None) -> bytes:
    """A 16-bit WAV of (n,) or (n, channels), whose header may claim another number of data bytes."""
    data = np.round(np.clip(wave, -1, 1) * 32767).astype("<i2")
    channels = 1 if wave.ndim == 1 else wave.shape[1]
    size = data.nbytes if declared is None else declared
    form = struct.pack("<IHHIIHH", 16, 1, channels, rate, rate * 2 * channels, 2 * channels, 16)
    head = b"RIFF" + struct.pack("<I", min(36 + size, 2**32 - 1)) + b"WAVEfmt " + form
    return head + b"data" + struct.pack("<I", size) + data.tobytes()


def _mux_sound(container, stream, wave: np.ndarray, rate: int) -> None:
    size = stream.codec_context.frame_size or 1024
    for start in range(0, len(wave), size):
        samples = wave[start : start + size]
        frame = av.AudioFrame.from_ndarray(samples[None].astype(np.float32), format="fltp", layout="mono")
        frame.sample_rate, frame.pts, frame.time_base = rate, start, Fraction(1, rate)
        container.mux(stream.encode(frame))
    container.mux(stream.encode(None))


def sound_bytes(wave: np.ndarray, rate: int, container_format: str, codec: str) -> bytes:
    """A sound encoded by FFmpeg, such as ("ogg", "libopus"), ("flac", "flac"), ("mp4", "aac")."""
    buffer = io.BytesIO()
    with av.open(buffer, "w", format=container_format) as container:
        stream = container.add_stream(codec, rate=rate, layout="mono")
        _mux_sound(container, stream, wave, rate)
    return buffer.getvalue()


def video_bytes(
    frames: list[np.ndarray],
    *,
    fps: int = 10,
    container_format: str = "mp4",
    codec: str = "mpeg4",
    sound: np.ndarray | None = None,
    rate: int = 16000,
    keyframes: int = 12,
    live: bool = False,
) -> bytes:
    """A video of RGB frames, with a mono AAC track when `sound` is given; `live` writes no duration (Matroska)."""
    buffer = io.BytesIO()
    options = {"live": "1"} if live else {}
    with av.open(buffer, "w", format=container_format, options=options) as container:
        video = container.add_stream(codec, rate=fps)
        video.height, video.width = frames[0].shape[:2]
        video.pix_fmt, video.gop_size, video.bit_rate = "yuv420p", keyframes, 2_000_000
        audio = container.add_stream("aac", rate=rate, layout="mono") if sound is not None else None
        for number, pixels in enumerate(frames):
            frame = av.VideoFrame.from_ndarray(np.ascontiguousarray(pixels), format="rgb24")
            frame.pts, frame.time_base = number, Fraction(1, fps)
            container.mux(video.encode(frame))
        container.mux(video.encode(None))
        if audio is not None:
            _mux_sound(container, audio, sound, rate)
    return buffer.getvalue()


def grey_ramp(count: int, height: int = 48, width: int = 64) -> list[np.ndarray]:
    """Plain grey frames that grow brighter, so that a frame's place can be read off its level."""
    return [np.full((height, width, 3), round(20 + 215 * i / max(1, count - 1)), np.uint8) for i in range(count)]
