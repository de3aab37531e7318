"""Words: which language a text is in, by its letters, and the tokens and stop words of English and Chinese."""

from __future__ import annotations

import re
import unicodedata
import warnings
from functools import cache
from importlib import resources
from typing import TYPE_CHECKING, Literal

from salon.errors import SettingError, did_you_mean

if TYPE_CHECKING:
    from jieba import Tokenizer

Language = Literal["en", "zh", "other"]
_LANGUAGES: tuple[Language, ...] = ("en", "zh", "other")

_HAN = re.compile("[\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff\U00020000-\U0003134f]")
_LONG_HAN = re.compile(f"((?:{_HAN.pattern}){{1000}})(?={_HAN.pattern})")
"""jieba's time grows with the square of a run of characters that are in no dictionary: longer ones are parted."""
_KANA = re.compile("[\u3041-\u30ff\u31f0-\u31ff]")
_BASIC_LATIN = re.compile("[A-Za-z]")
_WORD = re.compile(r"[^\W_]+(?:['’][^\W_]+)*")


def is_chinese(text: str, *, share: float = 0.3) -> bool:
    """Whether at least `share` of the letters are Chinese characters, and next to none are Japanese kana.

    A Chinese character says about as much as three Latin letters, hence the low default. Kana above a tenth of the
    Chinese characters means Japanese. Text without letters is not Chinese.
    """
    letters = sum(character.isalpha() for character in text)
    han, kana = len(_HAN.findall(text)), len(_KANA.findall(text))
    return han > 0 and han >= share * letters and kana <= 0.1 * han


def language_of(text: str) -> Language:
    """The language as far as the script tells: "zh" by `is_chinese`, "en" for plain Latin letters, else "other".

    "en" means that nine letters in ten are A to Z. Other languages written that way are called "en" too: nothing here
    reads words. Text without letters is "other".
    """
    if is_chinese(text):
        return "zh"
    letters = sum(character.isalpha() for character in text)
    return "en" if letters and len(_BASIC_LATIN.findall(text)) >= 0.9 * letters else "other"


def tokenise(text: str, language: Language | None = None, *, skip_stop_words: bool = False) -> list[str]:
    """The words of a text, in order, in lower case, without punctuation.

    Args:
        text: Clean text.
        language: "zh" is cut by jieba; anything else at what is not a letter, digit or inner apostrophe. None asks
            `language_of`.
        skip_stop_words: Leave out the words of `stop_words(language)`; "other" has none.

    Raises:
        SettingError: The language is unknown.
    """
    language = _known(language or language_of(text))
    if language == "zh":
        pieces = (piece.strip().lower() for piece in _segmenter().cut(_LONG_HAN.sub(r"\1 ", text)))
        words = [piece for piece in pieces if any(_is_word_character(character) for character in piece)]
    else:
        words = [match.replace("’", "'") for match in _WORD.findall(text.lower())]
    skipped = stop_words(language) if skip_stop_words else frozenset()
    return [word for word in words if word not in skipped]


def pieces(text: str, language: Language | None = None) -> list[tuple[str, bool]]:
    """A text cut into (piece, whether it is a word), in order and as written: the pieces joined are the text again.

    Args:
        text: Any text.
        language: As for `tokenise`.

    Raises:
        SettingError: The language is unknown.
    """
    if _known(language or language_of(text)) == "zh":
        cut = [piece for run in _LONG_HAN.split(text) for piece in _segmenter().cut(run)]
    else:
        cut = [piece for piece in re.split(f"({_WORD.pattern})", text) if piece]
    return [(piece, any(_is_word_character(character) for character in piece)) for piece in cut]


def _is_word_character(character: str) -> bool:
    """Whether a character is a letter, a mark or a number."""
    return unicodedata.category(character)[0] in "LMN"


def _known(language: str) -> Language:
    """`language` when it is one that we know."""
    for known in _LANGUAGES:
        if language == known:
            return known
    raise SettingError(f"Unknown language {language!r}.", hint=did_you_mean(language, _LANGUAGES))


@cache
def stop_words(language: Language) -> frozenset[str]:
    """Words that say nothing about an item: articles, pronouns, particles. Lower case; none for "other".

    The lists are our own, shipped beside this file as stopwords_en.txt and stopwords_zh.txt.

    Raises:
        SettingError: The language is unknown.
    """
    if _known(language) == "other":
        return frozenset()
    text = (resources.files("salon.media") / f"stopwords_{language}.txt").read_text(encoding="utf-8")
    return frozenset(line for line in text.split() if not line.startswith("#"))


@cache
def _segmenter() -> Tokenizer:
    """jieba's tokenizer with its own dictionary (about a second and 80 MB, once).

    Its `initialize` is avoided on purpose: that reads and writes a marshal file with a fixed name in the shared
    temporary folder, where anybody could have put one, and logs to stderr.
    """
    with warnings.catch_warnings():  # jieba imports pkg_resources, which warns that it is old
        warnings.simplefilter("ignore")
        import jieba

        tokenizer = jieba.Tokenizer()
        tokenizer.FREQ, tokenizer.total = tokenizer.gen_pfdict(tokenizer.get_dict_file())
    tokenizer.initialized = True
    return tokenizer
