"""Words for pictures and sounds: what the network sees in them, and text that finds them.

The picture network names 1,000 classes and the music network 50 tags. ConSE turns such scores into a vector of a text
space: the mean of the text vectors of the likeliest names, weighted by their probabilities. Text and pictures then
live in one space, although neither encoder ever saw the other's data. It is approximate: with an English sentence as
the query and 403 pictures, the right one came first for one in four, and among the first ten for one in two.

Source: Norouzi et al., "Zero-Shot Learning by Convex Combination of Semantic Embeddings", ICLR 2014. We differ in
that the text vectors are centred on the mean of all names, and the probabilities are softened by a temperature.
Class names: our own list, nouns of WordNet, made plain where the first one misleads ("crane", "organ").
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache, cached_property
from importlib import resources
from pathlib import Path
from typing import Literal, NamedTuple

import numpy as np
from scipy.special import softmax

from salon.arrays import top_k, unit_rows
from salon.encode.base import Encoder
from salon.encode.pictures import Lite0
from salon.encode.sounds import MusiCNN
from salon.errors import SettingError
from salon.types import FloatArray

Names = Literal["imagenet_classes", "mtt_tags"]


class Label(NamedTuple):
    """A name and its probability."""

    name: str
    score: float


@cache
def class_names(names: Names) -> tuple[str, ...]:
    """The 1,000 class names of the picture network, or the 50 tags of the music network, in order of their scores."""
    text = (resources.files("salon.encode") / f"{names}.txt").read_text(encoding="utf-8")
    return tuple(text.splitlines())


def conse_vectors(scores: FloatArray, class_vectors: FloatArray, *, top: int = 100) -> FloatArray:
    """Vectors in the space of the class names.

    Args:
        scores: (n, classes) weights >= 0, such as probabilities.
        class_vectors: (classes, d) text vectors of the names; they are centred on their mean here.
        top: How many of the highest weights count.

    Returns:
        (n, d) float32 of unit length.
    """
    best = top_k(scores, min(top, scores.shape[1]))
    weights = np.maximum(best.scores, 0)
    centred = np.asarray(class_vectors - class_vectors.mean(axis=0), dtype=np.float32)
    mixed = np.zeros((len(scores), centred.shape[1]), np.float32)
    for column in range(best.k):
        mixed += weights[:, column, None] * centred[best.ids[:, column]]
    return unit_rows(mixed)


class Words:
    """Names and text vectors for what one encoder made of pictures or sounds.

    Both come from the stored vectors: the last layer of the network is applied to them again, nothing is decoded.

    Args:
        encoder: `EfficientNetLite0` or `VideoFrames` (class names), `MusiCNN` or `VideoSound` (tags).
        text: A text encoder, fitted if it learns; the one that encoded the texts of the catalogue, so that all share
            its space.
        temperature: Softens the class probabilities of pictures before they weigh names.
    """

    def __init__(self, encoder: Encoder, text: Encoder | None = None, *, temperature: float = 2.0) -> None:
        if not isinstance(encoder, Lite0 | MusiCNN):
            raise SettingError(f"{type(encoder).__name__} names no classes.", hint="Use lite0, video or musicnn.")
        self.encoder = encoder
        self.text = text
        self.temperature = temperature

    @property
    def names(self) -> tuple[str, ...]:
        """What can be named."""
        return class_names("imagenet_classes" if isinstance(self.encoder, Lite0) else "mtt_tags")

    def probabilities(self, vectors: FloatArray, *, temperature: float = 1.0) -> FloatArray:
        """(n, classes) float32: of pictures, shares that sum to 1; of sounds, one probability per tag."""
        scores = self.encoder.class_scores(vectors)
        return softmax(scores / temperature, axis=1) if isinstance(self.encoder, Lite0) else scores

    def labels(self, vectors: FloatArray, k: int = 5) -> list[list[Label]]:
        """The likeliest names for each of (n, dim) vectors, best first."""
        best = top_k(self.probabilities(vectors), k)
        return [
            [Label(self.names[i], float(score)) for i, score in zip(ids, scores, strict=True)]
            for ids, scores in zip(best.ids.tolist(), best.scores, strict=True)
        ]

    def top_labels(self, path: Path, k: int = 5) -> list[Label]:
        """The likeliest names for a file: "running shoe", "choir".

        Raises:
            MediaError: The file cannot be decoded.
        """
        return self.labels(self.encoder.encode([path]), k)[0]

    @cached_property
    def name_vectors(self) -> FloatArray:
        """(classes, d) text vectors of the names."""
        return self._text().encode(list(self.names))

    def text_vectors(self, vectors: FloatArray) -> FloatArray:
        """(n, d) float32 of unit length in the text space, for (n, dim) vectors of pictures or sounds."""
        scores = self.probabilities(vectors, temperature=self.temperature)
        return conse_vectors(scores, self.name_vectors, top=100 if isinstance(self.encoder, Lite0) else 10)

    def query_vectors(self, texts: Sequence[str], *, mean: FloatArray | None = None) -> FloatArray:
        """(n, d) float32 of unit length, to be compared with `text_vectors`.

        Args:
            texts: What is looked for.
            mean: (d,) the centre of such texts, such as the mean of many queries; by default that of the names.
        """
        vectors = self._text().encode(list(texts))
        return unit_rows(vectors - (self.name_vectors.mean(axis=0) if mean is None else mean))

    def _text(self) -> Encoder:
        if self.text is None:
            raise SettingError("Words(...) was made without a text encoder.", hint="Pass text=MiniLM().")
        return self.text
