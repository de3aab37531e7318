"""Models of sentence-transformers: text, and for multimodal models pictures, sounds and videos in the same space."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image
from pydantic import Field
from sentence_transformers import SentenceTransformer

from salon.arrays import blocks
from salon.encode.large import LargeEncoder, LargeSettings, Loaded, TextModel
from salon.encode.large_network import as_numpy, check_finite
from salon.errors import SettingError
from salon.media.audio import Wave, decode_audio
from salon.media.image import Picture, decode_image
from salon.media.video import sample_frames
from salon.types import FloatArray, Modality


class SentenceSettings(LargeSettings):
    """Settings shared by the encoders of sentence-transformers."""

    max_tokens: int | None = Field(None, ge=8, le=131_072)
    """Tokens read of a text; what follows is ignored. Empty: as many as the model was trained for."""


class SentenceModel(LargeEncoder):
    """Base of what goes through `SentenceTransformer`: loaded once for all modalities of a model."""

    settings: SentenceSettings
    loader = "st"

    def _loaded_by(self) -> tuple[Any, ...]:
        return (self.settings.max_tokens,)

    def _load(self, folder: Path) -> Loaded:
        network = SentenceTransformer(
            str(folder),
            device=str(self._device),
            local_files_only=True,
            trust_remote_code=False,
            model_kwargs={"use_safetensors": True, "dtype": self._dtype},
        ).eval()
        if self.settings.precision == "float16" and "gemma" in str(getattr(network.config, "model_type", "")):
            hint = "Set precision to bfloat16 or float32."
            raise SettingError(f"{self.settings.model!r} overflows in float16.", hint=hint)
        check_finite(network, self.settings.model)
        if (limit := self.settings.max_tokens) is not None:
            most = network.max_seq_length
            if most is not None and limit > most:
                raise SettingError(f"max_tokens = {limit}, but {self.settings.model!r} reads {most}.")
            network.max_seq_length = limit
        return Loaded(network)

    @property
    def _network(self) -> Any:
        """The model, when it takes this modality.

        Raises:
            SettingError: It does not.
        """
        network = self._loaded.network
        if not network.supports(self.modality.value):
            takes = ", ".join(str(name) for name in network.modalities)
            raise SettingError(f"The model {self.settings.model!r} takes {takes}, not {self.modality.value}.")
        return network

    @property
    def width(self) -> int:
        """Numbers of a vector, as the last module of the model gives them."""
        return int(self._network.get_embedding_dimension())

    def _encoded(self, inputs: list[dict[str, Any]], *, query: bool = False, prompt: str | None = None) -> FloatArray:
        """(n, width) float32; media and texts are wrapped, so that a text is never taken for a path or an address."""
        encode = self._network.encode_query if query else self._network.encode_document
        size = self.settings.batch_size
        return as_numpy(encode(inputs, prompt=prompt, batch_size=size, convert_to_tensor=True, show_progress_bar=False))


class SentenceTextSettings(SentenceSettings):
    """Settings of `SentenceText`."""

    document_prompt: str | None = None
    """Put before the texts of the catalogue, such as "passage: ". Empty: what the model says, if anything."""
    query_prompt: str | None = None
    """Put before a text that searches, such as "query: ". Empty: what the model says, if anything."""


class SentenceText(SentenceModel, TextModel):
    """Text by any model of sentence-transformers: MiniLM, E5, EmbeddingGemma 2, Qwen3 and a thousand others.

    Source: Reimers and Gurevych, "Sentence-BERT", EMNLP 2019, and the page of each model.
    """

    settings: SentenceTextSettings

    def _forward(self, batch: Sequence[str]) -> FloatArray:  # the library sorts by length itself
        return self._read(list(batch))

    def _read(self, texts: list[str]) -> FloatArray:
        return self._encoded([{"text": text} for text in texts], prompt=self.settings.document_prompt)

    def _ask(self, texts: Sequence[str]) -> FloatArray:
        """The vectors of texts as queries."""
        return self._encoded([{"text": text} for text in texts], query=True, prompt=self.settings.query_prompt)

    def encode_query(self, values: Sequence[Any], *, batch_size: int = 32) -> FloatArray:
        """(n, dim) float32 of n texts that search, with the model's prompt for queries."""
        texts = [self.prepare(value) for value in values]
        parts = [self._run(texts[rows], self._ask) for rows in blocks(len(texts), batch_size)]
        return np.concatenate(parts) if parts else np.zeros((0, self.dim), np.float32)


class SentenceImage(SentenceModel):
    """Pictures by a multimodal model of sentence-transformers, in the space of its texts."""

    modality = Modality.IMAGE

    def prepare(self, value: Any) -> Picture:
        """(h, w, 3) uint8 of the picture at a path; MediaError when it cannot be decoded."""
        return decode_image(Path(value))

    def _forward(self, batch: Sequence[Picture]) -> FloatArray:
        return self._encoded([{"image": Image.fromarray(picture)} for picture in batch])


class SentenceAudioSettings(SentenceSettings):
    """Settings of `SentenceAudio`."""

    seconds: float = Field(30.0, gt=0, le=1800)
    """How much of a sound is listened to, from its start."""


class SentenceAudio(SentenceModel):
    """Sounds by a multimodal model of sentence-transformers, in the space of its texts."""

    modality = Modality.AUDIO
    settings: SentenceAudioSettings

    @property
    def rate(self) -> int:
        """Samples per second that the model was trained on."""
        processor = self._network.processor
        extractor = getattr(processor, "feature_extractor", processor)
        return int(getattr(extractor, "sampling_rate", 16000))

    def prepare(self, value: Any) -> Wave:
        """(n,) float32 of the sound at a path; MediaError when it cannot be decoded."""
        return decode_audio(Path(value), self.rate, seconds=self.settings.seconds)

    def _forward(self, batch: Sequence[Wave]) -> FloatArray:
        return self._encoded([{"audio": {"array": wave, "sampling_rate": self.rate}} for wave in batch])


class SentenceVideoSettings(SentenceSettings):
    """Settings of `SentenceVideo`."""

    frames: int = Field(8, ge=1, le=64)
    """Frames looked at, from the middles of as many equal parts."""


class SentenceVideo(SentenceModel):
    """Videos by a multimodal model of sentence-transformers, in the space of its texts; needs torchvision."""

    modality = Modality.VIDEO
    settings: SentenceVideoSettings

    def prepare(self, value: Any) -> Picture:
        """(frames, h, w, 3) uint8 of the video at a path; MediaError when it cannot be decoded."""
        return sample_frames(Path(value), self.settings.frames)

    def _forward(self, batch: Sequence[Picture]) -> FloatArray:
        return self._encoded([{"video": [Image.fromarray(frame) for frame in frames]} for frames in batch])
