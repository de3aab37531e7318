"""Plain words for the evidence behind a recommendation, in English and Chinese.

They speak of contributions, never of causes: a part says how much of the score comes from an item of the history and
from which kind of information, not why the person will like it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from salon.errors import SettingError, did_you_mean

PHRASES: dict[str, dict[str, str]] = {
    "en": {
        "like": "Goes with {items}",
        "share": "{name} {percent} %",
        "despite": "despite {items}",
        "popular": "Popular with everyone here",
        "recent": "Popular of late",
        "random": "Picked at random",
        "similar": "Alike in content to what fits the history",
        "new": "New here",
        "promoted": "Chosen by the shop",
        "explored": "Little is known of it yet",
        "profile": "Fits the profile given",
        "none": "Nothing in the history contributes",
        "and": " and ",
        "comma": ", ",
        "quote": "“{title}”",
        "from": "{like}: {shares}",
        "clicks": "clicks",
        "neighbours": "people alike",
        "removal": "history",
    },
    "zh": {
        "like": "与{items}相配",
        "share": "{name}占{percent}%",
        "despite": "尽管有{items}",
        "popular": "大家都喜欢",
        "recent": "近来大家都喜欢",
        "random": "随机挑选",
        "similar": "内容与合意之物相似",
        "new": "新品",
        "promoted": "店家推荐",
        "explored": "了解尚少，试一试",
        "profile": "符合所给的资料",
        "none": "历史记录没有贡献",
        "and": "和",
        "comma": "，",
        "quote": "《{title}》",
        "from": "{like}：{shares}",
        "clicks": "点击",
        "neighbours": "相似的人",
        "removal": "历史",
        "text": "文字",
        "image": "图片",
        "audio": "声音",
        "video": "视频",
        "video-sound": "视频的声音",
        "series": "传感器数据",
        "category": "类别",
        "number": "数值",
    },
}
"""Language to phrase; the names of modalities are translated where a phrase exists."""


SOURCES = ("popular", "recent", "random", "similar", "new", "promoted", "explored")
"""Where items come from other than from a model; each has a phrase of its own."""


def phrases(language: str) -> dict[str, str]:
    """The phrases of a language.

    Raises:
        SettingError: There are none for it.
    """
    if language not in PHRASES:
        raise SettingError(f"There are no words in {language!r}.", hint=did_you_mean(language, PHRASES))
    return PHRASES[language]


def join(titles: Sequence[str], language: str = "en") -> str:
    """Quoted titles as a list: “A”, “B” and “C”."""
    words = phrases(language)
    quoted = [words["quote"].format(title=title) for title in titles]
    if len(quoted) < 2:
        return "".join(quoted)
    return words["comma"].join(quoted[:-1]) + words["and"] + quoted[-1]


def shares(parts: Mapping[str, float], language: str = "en", *, least: float = 0.05) -> str:
    """The positive parts as percentages of their sum, largest first; those below `least` are left out."""
    words = phrases(language)
    positive = {name: value for name, value in parts.items() if value > 0}
    total = sum(positive.values())
    told = []
    for name, value in sorted(positive.items(), key=lambda pair: -pair[1]):
        if value >= least * total:
            percent = round(100 * value / total)
            told.append(words["share"].format(name=words.get(name, name), percent=percent))
    return words["comma"].join(told)


def reason(because: Sequence[str], parts: Mapping[str, float], *, source: str = "", language: str = "en") -> str:
    """One line for a card.

    Args:
        because: Titles of the history items that contribute most, largest first.
        parts: Kind of information ("clicks", "text", "image", ...) to its part of the score;
            "profile" is told where no item of the history contributes.
        source: Where the item comes from when not from the person's taste; see `SOURCES`.
        language: "en" or "zh".
    """
    words = phrases(language)
    if source in SOURCES:
        return words[source]
    if not because:
        return words["profile" if parts.get("profile", 0.0) > 0 else "none"]
    like = words["like"].format(items=join(because, language))
    told = shares(parts, language)
    return words["from"].format(like=like, shares=told) if told else like


def despite(titles: Sequence[str], language: str = "en") -> str:
    """What in the history speaks against an item, or "" if nothing does."""
    return phrases(language)["despite"].format(items=join(titles, language)) if titles else ""
