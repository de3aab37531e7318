"""Text encoders: meaning is near meaning, in the languages that each one claims."""

from __future__ import annotations

import numpy as np
import pytest

from salon.component import load_component
from salon.encode.classic import Hashing, TfIdf, hashed
from salon.encode.language import TextByLanguage, is_english
from salon.encode.sentences import MiniLM, MultilingualUSE, batches_by_length
from salon.errors import DataError, MediaError, NotFittedError

ENGLISH = ["A warm winter coat made of wool", "A knitted jumper for cold days", "The battery of this laptop lasts long"]
CHINESE = ["一件温暖的羊毛冬季大衣", "适合寒冷天气的针织毛衣", "这台笔记本电脑的电池很耐用"]


def cosines(vectors: np.ndarray) -> np.ndarray:
    unit = vectors / np.linalg.norm(vectors, axis=1, keepdims=True)
    return unit @ unit.T


@pytest.mark.parametrize("encoder", [MiniLM(), MultilingualUSE()], ids=["minilm", "use"])
def test_related_english_sentences_are_nearer_than_unrelated_ones(encoder):
    near = cosines(encoder.encode(ENGLISH))
    assert near[0, 1] > near[0, 2] + 0.2
    assert near[0, 1] > near[1, 2] + 0.2


def test_use_puts_chinese_beside_its_translation():
    near = cosines(MultilingualUSE().encode(ENGLISH + CHINESE))[:3, 3:]
    assert np.array_equal(near.argmax(axis=1), np.arange(3))
    assert np.diag(near).min() > 0.5


@pytest.mark.parametrize("encoder", [MiniLM(), MultilingualUSE()], ids=["minilm", "use"])
def test_equal_texts_have_equal_vectors_whatever_is_beside_them(encoder):
    texts = ["red shoe", "a " * 300, "red shoe", "x", "<b>red</b> shoe"]
    vectors = encoder.encode(texts)
    np.testing.assert_allclose(vectors[0], vectors[2], atol=1e-6)
    np.testing.assert_allclose(vectors[0], vectors[4], atol=1e-6)
    np.testing.assert_allclose(vectors[0], encoder.encode(["red shoe"])[0], atol=1e-5)


def test_minilm_is_the_mean_over_tokens_of_one_pass():
    encoder = MiniLM()
    ids = np.array([encoder._tokenizer.encode(ENGLISH[0]).ids])
    states = encoder._model(
        "last_hidden_state", input_ids=ids, attention_mask=np.ones_like(ids), token_type_ids=np.zeros_like(ids)
    )
    mean = states[0].mean(axis=0)
    np.testing.assert_allclose(encoder.encode(ENGLISH)[0], mean / np.linalg.norm(mean), atol=1e-5)


def test_text_beyond_the_limit_is_not_read():
    encoder = MiniLM(max_tokens=16)
    long = "blue jacket with a zip " * 20
    np.testing.assert_allclose(encoder.encode([long]), encoder.encode([long + "unrelated end"]), atol=1e-6)


def test_batches_hold_few_tokens_and_every_row_once():
    lengths = [5, 300, 7, 512, 600, 5, 6] * 10
    batches = list(batches_by_length(lengths))
    assert sorted(row for rows in batches for row in rows) == list(range(70))
    assert all(len(rows) <= 32 for rows in batches)
    assert all(len(rows) * max(lengths[row] for row in rows) <= 512 for rows in batches if len(rows) > 1)


def test_a_text_of_mark_up_alone_is_refused():
    with pytest.raises(MediaError, match="after cleaning"):
        MiniLM().prepare("<p> </p>")


@pytest.mark.parametrize(
    ("texts", "choice"),
    [
        (ENGLISH, "minilm"),
        (["Fender guitar", "Yamaha piano", "1984", "USB-C"], "minilm"),
        (CHINESE, "use"),
        (ENGLISH + CHINESE, "use"),
        (["Der Hund ist nicht hier", "Ein Buch und eine Lampe", "Schuhe"], "use"),
        (["Zapatos para el verano", "La casa de las flores", "Una camisa con botones"], "use"),
        (["Зимнее пальто", "Кроссовки"], "use"),
    ],
)
def test_the_language_of_the_catalogue_chooses_the_encoder(texts, choice):
    encoder = TextByLanguage().fit(texts)
    assert encoder.choice_ == choice
    assert is_english(texts) == (choice == "minilm")


def test_the_choice_is_saved_and_later_texts_do_not_change_it(tmp_path):
    encoder = TextByLanguage().fit(ENGLISH)
    encoder.save(tmp_path / "text")
    again = load_component(tmp_path / "text", "encoder")
    assert again.choice_ == "minilm"
    assert again.encode(CHINESE).shape == (3, 384)
    assert again.fingerprint == MiniLM().fingerprint
    with pytest.raises(NotFittedError):
        TextByLanguage().encode(ENGLISH)


def test_tfidf_agrees_with_the_formula_written_out():
    texts = ["cat cat dog", "dog bird", "bird bird bird fish", "fish cat horse"]
    encoder = TfIdf(dim=64).fit(texts)
    words = encoder.words_
    counts = np.array([[text.split().count(word) for word in words] for text in texts], float)
    rarity = 1 + np.log(5 / (1 + (counts > 0).sum(axis=0)))
    weights = np.where(counts > 0, 1 + np.log(np.maximum(counts, 1)), 0) * rarity
    weights /= np.linalg.norm(weights, axis=1, keepdims=True)
    vectors = encoder.encode(texts)  # as many dimensions as texts: nothing is lost
    np.testing.assert_allclose(vectors @ vectors.T, weights @ weights.T, atol=1e-5)


def test_tfidf_keeps_near_texts_together_in_few_dimensions():
    rng = np.random.default_rng(0)
    topics = [[f"{name}{number}" for number in range(40)] for name in ("music", "sport", "food")]
    texts = [" ".join(rng.choice(topics[row % 3], 12)) for row in range(240)]
    encoder = TfIdf(dim=8).fit(texts)
    vectors = encoder.encode(texts)
    assert vectors.shape == (240, 8)
    near = vectors @ vectors.T
    np.fill_diagonal(near, -1)
    assert (near.argmax(axis=1) % 3 == np.arange(240) % 3).mean() > 0.95
    again = TfIdf(dim=8).fit(texts)
    assert again.fingerprint == encoder.fingerprint


def test_tfidf_reads_chinese_words():
    encoder = TfIdf(dim=8).fit(["红色的自行车", "蓝色的自行车", "一本好书", "自行车"])
    assert "自行车" in encoder.words_
    near = encoder.encode(["自行车", "红色的自行车", "一本好书"])
    assert near[0] @ near[1] > near[0] @ near[2] + 0.2


def test_a_text_without_known_words_is_masked_not_zero():
    encoder = TfIdf().fit(["cat dog", "dog bird"])
    with pytest.raises(MediaError, match="was in the catalogue"):
        encoder.prepare("submarine")
    with pytest.raises(MediaError, match="no words"):
        Hashing().prepare("the of and !!!")
    with pytest.raises(DataError, match="no words"):
        TfIdf().fit(["!!!", "the"])


def test_hashing_is_the_same_everywhere():
    assert [hashed(word, 512) for word in ("guitar", "吉他", "guitar")] == [(53, 1), (343, 1), (53, 1)]
    vectors = Hashing(dim=2048).encode(["red wool coat", "red wool coat long", "quiet piano music"])
    near = vectors @ vectors.T
    assert near[0, 1] > 0.7
    assert abs(near[0, 2]) < 0.2
