"""What salon tells people beside its numbers, in English and Chinese: notes on an answer, findings in a catalogue."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Self

from salon.errors import SettingError, did_you_mean

SENTENCES: dict[str, dict[str, str]] = {
    "en": {
        "no_history": "{count} of {total} items: no history: popular items.",
        "no_answer": "{count} of {total} items: the model has no answer for them: popular items.",
        "new_items": "{count} of {total} items are new, and nothing is known of them yet.",
        "unknown_ids": "{count} unknown ids in {where} were ignored, such as {first!r}.",
        "unknown_ids.one": "The unknown id {first!r} in {where} was ignored.",
        "unknown_history": "{count} unknown items of the history were ignored, such as {first!r}.",
        "unknown_history.one": "The unknown item {first!r} of the history was ignored.",
        "unknown_profile": "The profile value {name}={value!r} is unknown and was ignored.",
        "unknown_scenario": "The scenario {name!r} is not defined; defaults hold.",
        "version_not_loaded": "The version {name!r} of the experiment is not loaded; the live one answers.",
        "nothing_allowed": "No item is allowed by the filter, the exclusions and the history.",
        "few_allowed": "Only {count} items are allowed.",
        "few_allowed.one": "Only 1 item is allowed.",
        "empty_catalogue": "The catalogue is empty.",
        "rejected": "rejected {count}: {reason}",
        "noted": "note: {note}",
        "masked": "masked {field!r} of {item!r}: {reason}",
        "leak": "The column {field!r} follows the {of} (rank correlation {correlation:+.2f} over {items} items): it "
        "may be an aggregate of the answers, so keep it out of the features of an evaluation.",
        "broken": "{count} of {present} values of {field!r} cannot be used.",
        "missing_in_items": "{field!r} is missing for {share:.1%} of the items.",
        "missing_in_users": "{field!r} is missing for {share:.1%} of the users.",
        "same_everywhere": "{field!r} has the same value everywhere.",
        "duplicates": "{count} groups of duplicates in {field}.",
        "duplicates.one": "1 group of duplicates in {field}.",
        "outliers": "{count} outliers in {field!r}.",
        "outliers.one": "1 outlier in {field!r}.",
        "disagree": "{first!r} and {second!r} agree no more than chance (overlap {overlap:.1%}, chance {chance:.1%}): "
        "do they belong to the same items?",
        "no_events": "There are no events: only similarity by content can be had.",
        "untouched": "{count} of {total} items have no action.",
        "few_actions": "{count} of {total} users have fewer than {few} actions.",
        "repeated": "{share:.1%} of the actions repeat an earlier (user, item).",
        "same_events": "{count} events are the same in user, item, kind and time.",
        "no_time": "The events have no time: recency cannot count, and splits cannot follow time.",
        "odd_times": "Times run from {first} to {last}: are they seconds?",
    },
    "zh": {
        "no_history": "{total} 件中有 {count} 件：没有历史记录，给出大家喜欢的。",
        "no_answer": "{total} 件中有 {count} 件：模型没有答案，给出大家喜欢的。",
        "new_items": "{total} 件中有 {count} 件是新品，目前还一无所知。",
        "unknown_ids": "{where} 中有 {count} 个未知的编号，已忽略，例如 {first!r}。",
        "unknown_history": "历史记录中有 {count} 件未知的物品，已忽略，例如 {first!r}。",
        "unknown_profile": "资料 {name}={value!r} 未知，已忽略。",
        "unknown_scenario": "没有定义场景 {name!r}，使用默认设置。",
        "version_not_loaded": "实验所用的版本 {name!r} 没有载入，由当前版本回答。",
        "nothing_allowed": "经过筛选、排除和历史记录之后，没有可以推荐的物品。",
        "few_allowed": "只有 {count} 件物品可以推荐。",
        "empty_catalogue": "目录是空的。",
        "rejected": "拒收 {count} 行：{reason}",
        "noted": "说明：{note}",
        "masked": "{item!r} 的 {field!r} 未采用：{reason}",
        "leak": "列 {field!r} 与 {of} 一同变化（{items} 件物品的秩相关系数为 {correlation:+.2f}）："
        "它可能由答案汇总而来，评测时不要用作特征。",
        "broken": "{field!r} 的 {present} 个值中有 {count} 个无法使用。",
        "missing_in_items": "{share:.1%} 的物品缺少 {field!r}。",
        "missing_in_users": "{share:.1%} 的用户缺少 {field!r}。",
        "same_everywhere": "{field!r} 处处相同。",
        "duplicates": "{field} 中有 {count} 组重复。",
        "outliers": "{field!r} 中有 {count} 个离群值。",
        "disagree": "{first!r} 与 {second!r} 的一致程度不高于偶然（重合 {overlap:.1%}，偶然 {chance:.1%}）："
        "它们属于同样的物品吗？",
        "no_events": "没有事件：只能按内容给出相似的物品。",
        "untouched": "{total} 件物品中有 {count} 件没有任何行为。",
        "few_actions": "{total} 个用户中有 {count} 个的行为少于 {few} 次。",
        "repeated": "{share:.1%} 的行为重复了此前的（用户，物品）。",
        "same_events": "有 {count} 个事件的用户、物品、类型和时间都相同。",
        "no_time": "事件没有时间：无法考虑新近程度，也无法按时间划分。",
        "odd_times": "时间从 {first} 到 {last}：单位是秒吗？",
    },
}
"""Language to the sentence of a kind; "kind.one" where one thing is said otherwise."""


class Sentence(str):
    """A sentence that knows what it says, so that it can be counted and said in another language.

    Attributes:
        kind: What it says, a name in `SENTENCES`.
        language: Of the words.
        values: What fills it in.
    """

    __slots__ = ("kind", "language", "values")
    kind: str
    language: str
    values: dict[str, Any]

    def __new__(cls, kind: str, language: str = "en", **values: Any) -> Self:
        """The sentence of a kind.

        Raises:
            SettingError: There are no sentences in this language.
        """
        if language not in SENTENCES:
            raise SettingError(f"There are no words in {language!r}.", hint=did_you_mean(language, SENTENCES))
        words = SENTENCES[language]
        one = words.get(f"{kind}.one") if values.get("count") == 1 else None
        made = super().__new__(cls, (one or words[kind]).format(**values))
        made.kind, made.language, made.values = kind, language, values
        return made

    def __getnewargs_ex__(self) -> tuple[tuple[str, str], dict[str, Any]]:
        """What a copy is made of."""
        return (self.kind, self.language), self.values

    def said(self, language: str) -> Sentence:
        """The same in another language."""
        return Sentence(self.kind, language, **self.values)


def said(lines: Iterable[str], language: str) -> tuple[str, ...]:
    """The lines in a language, as far as they are sentences."""
    return tuple(line.said(language) if isinstance(line, Sentence) else line for line in lines)
