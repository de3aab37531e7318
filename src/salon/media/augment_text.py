"""Augmentation of texts, English and Chinese: synonyms, templates there and back, swapped and deleted words."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import cache
from importlib import resources

import numpy as np
from pydantic import Field, field_validator

from salon.config import Settings
from salon.media.augment_steps import Step, run_steps
from salon.media.augment_templates import rephrase
from salon.media.words import Language, language_of, pieces, stop_words

Probability = Field(default=0.5, ge=0, le=1)


class TextAugmentation(Settings):
    """How texts are augmented: for each way how often it happens and which share of the words it may change."""

    strength: float = Field(default=1.0, ge=0, le=4)
    """Multiplies the shares; 0 leaves texts as they are."""
    synonyms: float = Field(default=0.3, ge=0, le=1)
    """Chance of every word that has a synonym to be replaced by one."""
    synonyms_probability: float = Probability
    """How often synonyms are put in."""
    delete: float = Field(default=0.1, ge=0, le=1)
    """Chance of every word to be deleted; one word is always left."""
    delete_probability: float = Probability
    """How often words are deleted."""
    swap: float = Field(default=0.1, ge=0, le=1)
    """Chance of every word to change places with the next one."""
    swap_probability: float = Probability
    """How often words change places."""
    template_probability: float = Field(default=0.3, ge=0, le=1)
    """How often a text is put into other words by a template, or into a frame such as "This is ..." """
    groups: tuple[tuple[str, ...], ...] = ()
    """Synonyms of your own, each group a list of words that mean the same; added to the small lists that come with
    salon, in either language."""

    @field_validator("groups")
    @classmethod
    def _check_groups(cls, groups: tuple[tuple[str, ...], ...]) -> tuple[tuple[str, ...], ...]:
        for group in groups:
            if len(group) < 2 or any(not word.strip() for word in group):
                raise ValueError(f"a group of synonyms has two words or more, not {list(group)}")
        return groups


def augment_text(text: str, rng: np.random.Generator, settings: TextAugmentation | None = None) -> str:
    """A text changed at random: template, synonyms, swap, delete, in this order.

    The last three are those of Wei and Zou, "EDA: Easy Data Augmentation Techniques for Boosting Performance on Text
    Classification Tasks", EMNLP 2019. Chinese is cut into words by jieba; in languages other than English and Chinese
    nothing is replaced or rephrased, words are swapped and deleted only.

    Args:
        text: Clean text; a text without words comes back as it is.
        rng: The only source of chance: the same state gives the same text.
        settings: How often and how far.

    Returns:
        A text, never empty when `text` has a word.
    """
    settings = settings or TextAugmentation()
    language = language_of(text)
    return run_steps(text, rng, _steps(settings, language))


def _steps(chosen: TextAugmentation, language: Language) -> list[Step[str]]:
    far = chosen.strength
    known = synonyms_of(language, chosen.groups)
    often = min(1.0, far) * chosen.template_probability

    def replace(text: str, rng: np.random.Generator, share: float) -> str:
        return replace_synonyms(text, rng, share, known, language)

    return [
        Step(often, far, lambda text, rng, _: rephrase(text, rng, language)),
        Step(chosen.synonyms_probability, far * chosen.synonyms, replace),
        Step(chosen.swap_probability, far * chosen.swap, lambda t, rng, share: swap_words(t, rng, share, language)),
        Step(chosen.delete_probability, far * chosen.delete, lambda t, rng, s: delete_words(t, rng, s, language)),
    ]


@cache
def synonyms_of(language: Language, groups: tuple[tuple[str, ...], ...] = ()) -> Mapping[str, tuple[str, ...]]:
    """Word (lower case) -> the other words of its groups, in order; nothing for "other" but what `groups` say.

    The lists are our own and small: synonyms_en.txt and synonyms_zh.txt beside this file, one group per line, whole
    words as written there (no plurals are formed, no verbs bent).
    """
    found: dict[str, dict[str, None]] = {}
    for group in (*_shipped(language), *groups):
        for word in group:
            others = (other for other in group if other.lower() != word.lower())
            found.setdefault(word.lower(), {}).update(dict.fromkeys(others))
    return {word: tuple(others) for word, others in found.items() if others}


def _shipped(language: Language) -> list[tuple[str, ...]]:
    if language == "other":
        return []
    text = (resources.files("salon.media") / f"synonyms_{language}.txt").read_text(encoding="utf-8")
    lines = (line.split(",") for line in text.splitlines() if line.strip() and not line.startswith("#"))
    return [tuple(word.strip() for word in line) for line in lines]


def replace_synonyms(
    text: str, rng: np.random.Generator, share: float, known: Mapping[str, tuple[str, ...]], language: Language
) -> str:
    """Each word that `known` has synonyms of replaced by one of them with the chance `share`; capitals are kept."""
    parts = []
    skipped = stop_words(language)
    for piece, is_word in pieces(text, language):
        others = known.get(piece.lower(), ()) if is_word and piece.lower() not in skipped else ()
        if others and rng.random() < share:
            piece = _like(piece, others[int(rng.integers(len(others)))])
        parts.append(piece)
    return "".join(parts)


def _like(pattern: str, word: str) -> str:
    """`word` in capitals where `pattern` is."""
    if pattern.isupper() and len(pattern) > 1:
        return word.upper()
    return word[0].upper() + word[1:] if pattern[0].isupper() else word


def swap_words(text: str, rng: np.random.Generator, share: float, language: Language) -> str:
    """Each word exchanged with the next one with the chance `share`; what stands between them stays."""
    parts = [piece for piece, _ in pieces(text, language)]
    places = [place for place, (_, is_word) in enumerate(pieces(text, language)) if is_word]
    chosen = np.flatnonzero(rng.random(max(0, len(places) - 1)) < share)
    for i in chosen:
        first, second = places[i], places[i + 1]
        parts[first], parts[second] = parts[second], parts[first]
    return "".join(parts)


def delete_words(text: str, rng: np.random.Generator, share: float, language: Language) -> str:
    """Each word deleted with the chance `share`, with the blank behind it; one word, drawn at random, always stays."""
    cut = pieces(text, language)
    places = [place for place, (_, is_word) in enumerate(cut) if is_word]
    if not places:
        return text
    gone = rng.random(len(places)) < share
    gone[int(rng.integers(len(places)))] = False
    dropped = {place for place, drop in zip(places, gone, strict=True) if drop}
    return _joined(cut, dropped)


def _joined(cut: Sequence[tuple[str, bool]], dropped: set[int]) -> str:
    """The pieces without the dropped ones, and without the blanks that these leave doubled or at an end."""
    if not dropped:
        return "".join(piece for piece, _ in cut)
    parts: list[str] = [""]
    for place, (piece, is_word) in enumerate(cut):
        if place in dropped:
            continue
        if place - 1 in dropped and not is_word:  # what follows the word brings its own blank, or is punctuation
            parts[-1] = parts[-1].rstrip()
        parts.append(piece)
    return "".join(parts).strip()
