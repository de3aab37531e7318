"""Sentences to people: alike in all languages, kept by copies, and said in the language that was asked for."""

import copy
from string import Formatter

import pytest

from salon.errors import SettingError
from salon.language.sentences import SENTENCES, Sentence, said


def blanks(text: str) -> set[tuple[str, str]]:
    """Names to be filled in, and how."""
    return {(name, spec or "") for _, name, spec, _ in Formatter().parse(text) if name}


@pytest.mark.parametrize("language", SENTENCES)
def test_a_language_has_all_sentences_and_fills_in_the_same(language: str) -> None:
    kinds = {kind for kind in SENTENCES["en"] if not kind.endswith(".one")}
    assert {kind for kind in SENTENCES[language] if not kind.endswith(".one")} == kinds
    for kind in kinds:
        assert blanks(SENTENCES[language][kind]) == blanks(SENTENCES["en"][kind]), kind


def test_one_thing_is_said_otherwise_than_two() -> None:
    assert Sentence("outliers", count=1, field="price") == "1 outlier in 'price'."
    assert Sentence("outliers", count=2, field="price") == "2 outliers in 'price'."
    assert Sentence("outliers", count=1, field="price").said("zh") == "'price' 中有 1 个离群值。"


def test_a_sentence_is_said_again_in_another_language_and_survives_a_copy() -> None:
    english = Sentence("unknown_ids", count=2, where="exclude", first="{0} %s")  # ids can look like a template
    chinese = english.said("zh")
    assert english == "2 unknown ids in exclude were ignored, such as '{0} %s'."
    assert chinese == "exclude 中有 2 个未知的编号，已忽略，例如 '{0} %s'。"
    assert chinese.said("en") == english
    again = copy.deepcopy(chinese)
    assert (again, again.kind, again.language, again.values) == (chinese, "unknown_ids", "zh", english.values)
    assert said([english, "as it is"], "zh") == (chinese, "as it is")
    with pytest.raises(SettingError, match="no words in 'fr'"):
        english.said("fr")
