"""What networks that see or hear are given: pixels of pictures and frames, windows of sounds, tokens of texts."""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from transformers import AutoFeatureExtractor, AutoImageProcessor, AutoTokenizer

from salon.encode.large import Arrays
from salon.errors import MediaError, SettingError
from salon.media.audio import Wave, decode_audio
from salon.media.image import Picture
from salon.media.video import sample_frames, video_sound

SILENCE = 10 ** (-70 / 20)
"""A sound whose loudest sample is below this (-70 dB) has nothing to encode."""
SHORTEST = 0.1
"""Seconds that a sound is filled up to: networks need some samples to begin with."""


def tokenizer_of(folder: Path) -> Any:
    """The tokenizer of a saved model, padding on the right; one without a padding token gets its end token."""
    tokenizer = AutoTokenizer.from_pretrained(str(folder), local_files_only=True, trust_remote_code=False)
    tokenizer.padding_side = "right"
    tokenizer.truncation_side = "right"
    if tokenizer.pad_token is None:
        tokenizer.pad_token = tokenizer.eos_token or tokenizer.unk_token
    return tokenizer


def token_limit(tokenizer: Any, config: Any, asked: int | None, model: str) -> int:
    """How many tokens are read of a text: as asked, or as the positions of the network and the tokenizer allow.

    Raises:
        SettingError: More are asked for than the network has positions.
    """
    positions = getattr(config, "max_position_embeddings", None) or getattr(config, "n_positions", None)
    if positions is not None and ("roberta" in config.model_type or config.model_type == "clap_text_model"):
        positions -= (config.pad_token_id or 0) + 1  # their positions start after that of padding
    most = min(positions or 1 << 30, tokenizer.model_max_length or 1 << 30)
    if asked is not None and asked > most:
        raise SettingError(f"max_tokens = {asked}, but {model!r} reads {most}.", hint="Leave max_tokens out.")
    return min(asked or most, 8192)


def pixels_of(folder: Path) -> Any:
    """The image processor of a saved model, the one on Pillow, so that vectors are the same on every machine."""
    return AutoImageProcessor.from_pretrained(
        str(folder), backend="pil", local_files_only=True, trust_remote_code=False
    )


def picture_piece(processor: Any, picture: Picture) -> Arrays:
    """The inputs of a network for one picture (h, w, 3) uint8."""
    found = processor(images=picture, input_data_format="channels_last", return_tensors="np")
    return {name: np.asarray(array[0]) for name, array in found.items()}


def video_frames(value: Any, count: int) -> list[Picture]:
    """Frames of the video at a path; MediaError when it cannot be decoded."""
    return list(sample_frames(Path(value), count))


def extractor_of(folder: Path) -> Any:
    """The feature extractor of a saved model that hears."""
    return AutoFeatureExtractor.from_pretrained(str(folder), local_files_only=True, trust_remote_code=False)


def heard(value: Any, rate: int, seconds: float) -> Wave:
    """The start of the sound file at a path, (n,) float32.

    Raises:
        MediaError: It cannot be decoded, or is silent.
    """
    path = Path(value)
    wave = decode_audio(path, rate, seconds=seconds)
    if np.abs(wave).max(initial=0.0) < SILENCE:
        raise MediaError(f"{path.name!r} is silent.", hint="Leave the value out.")
    return wave


def heard_in_video(value: Any, rate: int, seconds: float) -> Wave | None:
    """The start of the sound of the video at a path, or None when it has none: nothing is wrong with it."""
    return video_sound(Path(value), rate, seconds=seconds)


def windows(wave: Wave, rate: int, seconds: float) -> list[Wave]:
    """A sound as windows of equal length that cover it, evenly spread; a short one is one window of its own length.

    Args:
        wave: (n,) float32.
        rate: Samples per second.
        seconds: Length of a window.
    """
    length = int(seconds * rate)
    shortest = math.ceil(SHORTEST * rate)
    if wave.size < shortest:
        wave = np.pad(wave, (0, shortest - wave.size))
    if wave.size <= length:
        return [wave]
    count = -(-wave.size // length)
    starts = np.linspace(0, wave.size - length, count).round().astype(int)
    return [wave[start : start + length] for start in starts]


def clip_piece(processor: Any, frames: Sequence[Picture], count: int) -> Arrays:
    """The input of a video network: (count, 3, side, side); frames are repeated evenly where there are fewer."""
    chosen = np.linspace(0, len(frames) - 1, count).round().astype(int)
    pixels = [picture_piece(processor, frame)["pixel_values"] for frame in frames]
    return {"pixel_values": np.stack([pixels[row].reshape(pixels[row].shape[-3:]) for row in chosen])}
