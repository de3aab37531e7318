"""Templates that put a text into other words, in place of a translation there and back, in English and Chinese.

A rule is a pattern and what it becomes; most are listed both ways, so that one application after another leads back.
They are few and plain: where none fits, a text is put into a frame that says nothing about it.
"""

from __future__ import annotations

import re

import numpy as np

from salon.media.words import Language

# Every pattern is linear in the length of the text: no nested or overlapping repeats.
_EN = tuple(
    (re.compile(pattern, re.IGNORECASE), becomes)
    for pattern, becomes in (
        (r"\b([a-z]+) and ([a-z]+)\b", r"\2 and \1"),
        (r"\b([a-z]+) or ([a-z]+)\b", r"\2 or \1"),
        (r"\b([A-Za-z]+)['’]s ([a-z]+)\b", r"the \2 of \1"),
        (r"\bthe ([a-z]+) of ([A-Za-z]+)\b(?! and\b)", r"\2's \1"),
        (r"\bit is\b", "it's"),
        (r"\bit's\b", "it is"),
        (r"\bdo not\b", "don't"),
        (r"\bdon't\b", "do not"),
        (r"\bdoes not\b", "doesn't"),
        (r"\bdoesn't\b", "does not"),
        (r"\bis not\b", "isn't"),
        (r"\bisn't\b", "is not"),
        (r"\bcannot\b", "can't"),
        (r"\bcan't\b", "cannot"),
        (r"\bthat can be\b", "which can be"),
        (r"\bin order to\b", "to"),
        (r"\ba lot of\b", "many"),
        (r"\bas well as\b", "and"),
        (r"\bsuch as\b", "like"),
        (r"\bsuitable for\b", "made for"),
        (r"\bperfect for\b", "ideal for"),
        (r"\bideal for\b", "perfect for"),
    )
)
_ZH = tuple(
    (re.compile(pattern), becomes)
    for pattern, becomes in (
        (r"因为([^，。；！？]{1,40})，所以([^，。；！？]{1,40})", r"之所以\2，是因为\1"),
        (r"之所以([^，。；！？]{1,40})，是因为([^，。；！？]{1,40})", r"因为\2，所以\1"),
        (r"虽然([^，。；！？]{1,40})，但是", r"尽管\1，"),
        (r"虽然([^，。；！？]{1,40})，但", r"尽管\1，却"),
        (r"不但([^，。；！？]{1,40})，而且", r"不仅\1，还"),
        (r"不仅([^，。；！？]{1,40})，还", r"不但\1，而且"),
        (r"如果([^，。；！？]{1,40})，就", r"只要\1，就"),
        (r"非常", "十分"),
        (r"十分", "非常"),
        (r"特别适合", "很适合"),
        (r"以及", "和"),
        (r"并且", "而且"),
        (r"不可以", "不能"),
        (r"可以", "能够"),
        (r"能够", "可以"),
        (r"关于", "有关"),
        (r"有关", "关于"),
    )
)
_FRAMES = {
    "en": ("This is {}", "Here is {}", "About this one: {}", "In short: {}"),
    "zh": ("这是{}", "这里是{}", "简单说：{}", "介绍：{}"),
}


def rephrase(text: str, rng: np.random.Generator, language: Language) -> str:
    """The text with one rule that fits applied at one place, rule and place drawn at random; else put into a frame.

    Args:
        text: Clean text; one without a letter or digit comes back as it is.
        rng: The source of chance.
        language: "en" or "zh"; in "other" languages the text comes back as it is.
    """
    if language == "other" or not any(character.isalnum() for character in text):
        return text
    rules = _ZH if language == "zh" else _EN
    fitting = [(found, becomes) for pattern, becomes in rules for found in pattern.finditer(text)]
    if not fitting:
        frames = _FRAMES[language]
        return frames[int(rng.integers(len(frames)))].format(text)
    found, becomes = fitting[int(rng.integers(len(fitting)))]
    new = found.expand(becomes)
    if found[0][:1].isupper():
        new = new[0].upper() + new[1:]
    return text[: found.start()] + new + text[found.end() :]
