"""One text space for a whole catalogue, chosen by the language of its texts when the catalogue is first seen."""

from __future__ import annotations

import re
from collections.abc import Sequence
from functools import cached_property
from typing import Any, Literal, Self

from pydantic import Field

from salon.config import Settings
from salon.encode.sentences import MiniLM, MultilingualUSE, TextEncoder
from salon.errors import NotFittedError
from salon.media.text import language_of
from salon.types import FloatArray

Choice = Literal["minilm", "use"]
SAMPLE = 2000
"""Texts looked at, evenly spread over the catalogue."""

_WORD = re.compile(r"[^\W\d_]+")
_ENGLISH = "the of and with for to from by your you is are that this it its his her their at or be as"
_OTHERS = """
el los las del una por que con para como su y os das dos uma um não em ao le les des du et une est dans pour avec qui
sur au aux il gli della di che e è per con sono der und den dem ein eine mit für von zu ist nicht auf het een van en
voor op niet ook na nie się jest z w dla oraz ve bir bu ile için çok
"""
# Function words of Spanish, Portuguese, French, Italian, German, Dutch, Polish and Turkish that English does not have.


def is_english(texts: Sequence[str], *, share: float = 0.95) -> bool:
    """Whether a catalogue can be read by an encoder that knows English alone.

    Two signs are asked: at least `share` of the texts that have letters are in plain Latin letters, and among the
    function words found, English ones outnumber those of other languages. A catalogue of names and tags has no
    function words and counts as English.

    Args:
        texts: Texts of the catalogue; SAMPLE of them are looked at.
        share: How many must be in plain Latin letters.
    """
    looked = texts[:: max(1, len(texts) // SAMPLE)]
    lettered = [text for text in looked if _WORD.search(text)]
    latin = [text for text in lettered if language_of(text) == "en"]
    if len(latin) < share * len(lettered):
        return False
    english, others = frozenset(_ENGLISH.split()), frozenset(_OTHERS.split())
    words = [word for text in latin for word in _WORD.findall(text[:2000].lower())]
    return sum(word in english for word in words) >= sum(word in others for word in words)


class TextByLanguageSettings(Settings):
    """Settings of `TextByLanguage`."""

    encoder: Literal["auto", "minilm", "use"] = "auto"
    """The encoder, or "auto" to choose by the language of the texts."""
    english_share: float = Field(0.95, gt=0, le=1)
    """Share of texts in plain Latin letters from which a catalogue can count as English."""


class TextByLanguage(TextEncoder):
    """MiniLM for a catalogue in English, the multilingual USE for any other.

    The choice is made once, at `fit`, and is part of the learned state: all items of a catalogue live in one space,
    and an item that comes later is encoded by the same network whatever its language.
    """

    settings: TextByLanguageSettings
    needs_fit = True
    choice_: Choice

    def fit(self, values: Sequence[Any]) -> Self:
        """Chooses the encoder from the texts of the catalogue."""
        if self.settings.encoder != "auto":
            self.choice_ = self.settings.encoder
        else:
            texts = [str(value) for value in values]
            self.choice_ = "minilm" if is_english(texts, share=self.settings.english_share) else "use"
        self.__dict__.pop("_chosen", None)
        return self

    @cached_property
    def _chosen(self) -> TextEncoder:
        if not self.is_fitted:
            raise NotFittedError.of(self)
        return MiniLM() if self.choice_ == "minilm" else MultilingualUSE()

    @property
    def weights(self) -> tuple[str, ...]:
        """Those of the chosen encoder."""
        return self._chosen.weights

    @property
    def dim(self) -> int:
        """That of the chosen encoder."""
        return self._chosen.dim

    @property
    def version(self) -> str:
        """That of the chosen encoder."""
        return self._chosen.version

    @property
    def fingerprint(self) -> str:
        """That of the chosen encoder: the vectors are the same as its own."""
        return self._chosen.fingerprint

    def embed(self, batch: Sequence[str]) -> FloatArray:
        """(n, dim) float32 of n clean texts."""
        return self._chosen.embed(batch)
