"""Text: reading bytes without guessing, and cleaning what people paste into catalogues."""

from __future__ import annotations

import codecs
import html
import re
import unicodedata
from pathlib import Path
from typing import Literal

import ftfy

from salon.errors import MediaError, SettingError
from salon.media.limits import DEFAULT_LIMITS, MediaLimits
from salon.media.source import as_media_error, open_source, source_name
from salon.media.words import Language, is_chinese, language_of, stop_words, tokenise

__all__ = ["Language", "clean_text", "is_chinese", "language_of", "read_text", "stop_words", "tokenise"]

# Every pattern is linear in the length of the text: no nested or overlapping repeats.
_BLOCKS = tuple(
    (re.compile(opening, re.IGNORECASE), re.compile(closing, re.IGNORECASE))
    for opening, closing in (
        (r"<!--", r"-->"),
        (r"<script\b", r"</script\b"),
        (r"<style\b", r"</style\b"),
    )
)
_ELEMENTS = (
    "a abbr address area article aside audio b base bdi bdo big blockquote body br button canvas caption center cite "
    "code col colgroup data datalist dd del details dfn dialog dir div dl dt em embed fieldset figcaption figure font "
    "footer form frame frameset h[1-6] head header hgroup hr html i iframe img input ins kbd label legend li link main "
    "map mark menu meta meter nav noscript object ol optgroup option output p param picture pre progress q rp rt ruby "
    "s samp script search section select slot small source span strike strong style sub summary sup svg table tbody "
    "td template textarea tfoot th thead time title tr track tt u ul var video wbr"
)
_TAG = re.compile(rf"<(?:/?(?:{'|'.join(_ELEMENTS.split())})\b|[!?][A-Za-z\[])[^<>]*>", re.IGNORECASE)
_URL = re.compile(r"(?<![A-Za-z0-9])(?:https?://|ftp://|www\.)[A-Za-z0-9\-._~:/?#\[\]@!$&'()*+,;=%]+", re.IGNORECASE)
# Controls, soft hyphen, zero-width and direction marks, surrogates, byte-order marks. The joiners U+200C and U+200D
# stay: they are part of emoji and of several scripts.
_CONTROLS = re.compile(
    "[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\xad\u200b\u200e\u200f\u202a-\u202e\u2060-\u206f\ufeff\ufff9-\ufffb\ud800-\udfff]"
)


def read_text(source: Path | bytes, *, encoding: str = "utf-8", limits: MediaLimits = DEFAULT_LIMITS) -> str:
    """The text of a file, decoded strictly: a wrong encoding is an error, never a page of question marks.

    Args:
        source: Path of a text file, or its bytes.
        encoding: Such as "utf-8" (a byte-order mark is dropped), "gb18030", "big5" or "latin-1".
        limits: `max_bytes` and `max_text_chars`.

    Raises:
        MediaError: The bytes are not text in this encoding (the message gives the byte), or there is too much of it.
        SettingError: There is no such encoding.
    """
    name = source_name(source)
    try:
        codecs.lookup(encoding)
    except LookupError:
        raise SettingError(
            f"Unknown text encoding {encoding!r}.", hint="Try 'utf-8', 'gb18030' or 'latin-1'."
        ) from None
    most = 4 * limits.max_text_chars + 4  # bytes; no encoding takes more than four per character
    with open_source(source, limits) as stream, as_media_error(name):
        raw = stream.read(most + 1)
    if len(raw) > most:
        limits.check("max_text_chars", limits.max_text_chars + 1, name, "characters or more")
    try:
        text = raw.decode("utf-8-sig" if codecs.lookup(encoding).name == "utf-8" else encoding)
    except UnicodeError as error:
        place = f" at byte {error.start:,}" if isinstance(error, UnicodeDecodeError) else ""
        raise MediaError(
            f"{name} is not valid {encoding}{place}.", hint="Give its encoding, such as encoding='gb18030'."
        ) from error
    except (LookupError, ValueError) as error:  # a codec that is not for text, such as "hex"
        raise SettingError(f"{encoding!r} is not a text encoding.", hint="Try 'utf-8'.") from error
    limits.check("max_text_chars", len(text), name, "characters")
    return text


def clean_text(
    text: str,
    *,
    html_tags: bool = True,
    urls: bool = True,
    form: Literal["NFC", "NFKC"] = "NFC",
    limits: MediaLimits = DEFAULT_LIMITS,
) -> str:
    """Readable text on one line: mojibake repaired (ftfy), mark-up, links and control characters taken out.

    In this order: mark-up and its entities, then ftfy, links, control characters, Unicode form, white space.

    Args:
        text: Any text; "5 < 6" and "x<y and y>z" are not taken for tags, only the elements of HTML are.
        html_tags: Take out comments, scripts, styles and tags, and resolve entities such as `&amp;`.
        urls: Take out http, https, ftp and www addresses.
        form: "NFKC" also turns full-width letters and ligatures into plain ones.
        limits: `max_text_chars`.

    Returns:
        The text with single spaces; possibly empty.

    Raises:
        MediaError: The text is too long.
    """
    limits.check("max_text_chars", len(text), "The text", "characters")
    if html_tags:
        text = html.unescape(_without_markup(text))
    text = _CONTROLS.sub("", text)  # before ftfy too: it cannot take lone surrogates apart
    text = ftfy.fix_text(text, unescape_html=False, normalization=form)
    if urls:
        text = _URL.sub(" ", text)
    text = unicodedata.normalize(form, _CONTROLS.sub("", text))
    return " ".join(text.split())


def _without_markup(text: str) -> str:
    """`text` without comments, scripts, styles and tags, each replaced by a space."""
    for opening, closing in _BLOCKS:
        pieces, start = [], 0
        while (begin := opening.search(text, start)) and (end := closing.search(text, begin.end())):
            pieces += [text[start : begin.start()], " "]
            start = end.end() if closing.pattern == "-->" else end.start()  # the end tag itself goes with the tags
        text = "".join([*pieces, text[start:]])
    return _TAG.sub(" ", text)
