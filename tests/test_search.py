"""Search by words and media: known answers, the stated formula, and clear refusals."""

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from salon.cli.main import main
from salon.encode.words import Words
from salon.errors import ArtifactError, DataError, MediaError, SettingError
from salon.pipeline import Pipeline
from salon.pipeline_search import Searcher, standardised
from salon.types import Modality


@pytest.fixture(scope="module")
def pipeline(shop: Path) -> Pipeline:
    return Pipeline.read(shop).fit()


def colour_of(one: str) -> int:
    return int(one.partition("-")[2]) % 2


def test_words_find_the_things_that_have_them(pipeline: Pipeline) -> None:
    found = pipeline.search({"text": "a crimson thing"}, k=10)
    assert len(found) == 10
    assert all("crimson" in match.title for match in found)
    assert [m.score for m in found] == sorted((m.score for m in found), reverse=True)
    assert all(m.by == {"text: same": pytest.approx(m.score)} for m in found)


def test_a_picture_finds_itself_and_its_like(pipeline: Pipeline, shop: Path) -> None:
    found = pipeline.search({"image": shop.parent / "media" / "7.png"}, k=5)
    assert {colour_of(m.id) for m in found} == {1}
    assert "thing-07" in [m.id for m in pipeline.search({"image": shop.parent / "media" / "7.png"}, k=12)]


def test_several_queries_are_joined(pipeline: Pipeline, shop: Path) -> None:
    query = {"text": "number 9", "image": shop.parent / "media" / "4.png"}
    both = pipeline.search(query, k=25)
    parts = [pipeline.search({name: value}, k=25) for name, value in query.items()]
    alone = [{m.id: m.score for m in found} for found in parts]
    assert set(alone[0]) - set(alone[1]) == {"thing-03", "thing-24"}, "a broken and an absent picture"
    for match in both:
        scores = [found[match.id] for found in alone if match.id in found]
        assert match.score == pytest.approx(np.mean(scores), abs=1e-5)
        assert sum(match.by.values()) == pytest.approx(match.score)


def test_the_taste_of_a_person_counts_by_the_stated_formula(pipeline: Pipeline) -> None:
    query = {"text": "thing number 10"}
    plain = {m.id: m.score for m in pipeline.search(query, k=25)}
    scores = pipeline.fitted.score(pipeline.queries(["p01"]))[0]
    taste = np.nan_to_num(standardised(scores, np.isfinite(scores)))
    row = {one: i for i, one in enumerate(pipeline.dataset.items.ids)}
    for share in (0.0, 0.3, 1.0):
        for match in pipeline.search(query, k=25, user="p01", taste=share):
            wanted = (1 - share) * plain[match.id] + share * taste[row[match.id]]
            assert match.score == pytest.approx(wanted, abs=1e-5)
            assert match.by["taste"] == pytest.approx(share * taste[row[match.id]])
    history = pipeline.search(query, k=25, history=["thing-01", "thing-03"], taste=1.0)
    assert {colour_of(m.id) for m in history[:8]} == {1}


def test_a_saved_model_searches_like_the_fitted_one(pipeline: Pipeline, shop: Path, tmp_path: Path) -> None:
    pipeline.save(tmp_path / "model")
    query = {"text": "azure", "image": shop.parent / "media" / "5.png"}
    assert Pipeline.load(tmp_path / "model").search(query, k=5) == pipeline.search(query, k=5)


def test_a_model_without_encoders_says_so(pipeline: Pipeline) -> None:
    other = pipeline.asking(pipeline.fitted, pipeline.dataset)
    assert other.encoded is not None
    other.encoded = type(other.encoded)(other.encoded.features)
    with pytest.raises(ArtifactError, match="no encoders") as told:
        other.search({"text": "azure"})
    assert "Fit and save it again" in told.value.hint


@pytest.mark.parametrize(
    ("query", "more", "error", "words"),
    [
        ({}, {}, SettingError, "nothing to search for"),
        ({"text": "  <b></b> "}, {}, SettingError, "words to search for are empty"),
        ({"txt": "a"}, {}, SettingError, "'txt' cannot be searched with"),
        ({"number": "3"}, {}, SettingError, "'number' cannot be searched with"),
        ({"audio": "a.wav"}, {}, DataError, "compared with audio"),
        ({"image": "absent.png"}, {}, MediaError, "absent.png"),
        ({"text": "azure"}, {"k": 0}, SettingError, "k is 0"),
        ({"text": "azure"}, {"taste": 1.5}, SettingError, "taste is 1.5"),
        ({"text": "azure"}, {"user": "nobody"}, DataError, "nobody"),
    ],
)
def test_what_cannot_be_searched_is_refused(
    pipeline: Pipeline, query: dict[str, str], more: dict[str, object], error: type[Exception], words: str
) -> None:
    with pytest.raises(error, match=words):
        pipeline.search(query, **more)  # type: ignore[arg-type]


def test_a_broken_picture_is_refused(pipeline: Pipeline, shop: Path) -> None:
    with pytest.raises(MediaError):
        pipeline.search({"image": shop.parent / "media" / "3.png"})


def test_the_verb_tells_what_scores_are_made_of(
    pipeline: Pipeline, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    pipeline.save(tmp_path / "model")
    Image.new("RGB", (40, 40), (210, 20, 30)).save(tmp_path / "red.png")
    model = str(tmp_path / "model")
    assert run("search", model, "--image", str(tmp_path / "red.png"), "--user", "p00", "-k", "3", "--json") == 0
    found = json.loads(capsys.readouterr().out)
    assert [colour_of(one["id"]) for one in found] == [0, 0, 0]
    assert set(found[0]["by"]) == {"image: same", "taste"}
    assert run("search", model, "--text", "azure", "-k", "2") == 0
    assert "text: same" in capsys.readouterr().out
    assert run("search", model) == 1
    assert "nothing to search for" in capsys.readouterr().err


def run(*words: str) -> int:
    with pytest.raises(SystemExit) as stopped:
        main(words)
    return int(stopped.value.code or 0)


ALIGNED = """
[encode]
text = { name = "hashing", dim = 64 }
image = "colour"

[fuse]
name = "cca"
"""


def test_an_aligner_finds_pictures_by_words(make_shop: Callable[..., Path], tmp_path: Path) -> None:
    shop = make_shop(tmp_path)
    settings = shop.read_text().replace('[encode]\ntext = { name = "hashing", dim = 64 }\nimage = "colour"\n', ALIGNED)
    shop.write_text(settings)
    pipeline = Pipeline.read(shop).fit()
    assert pipeline.encoded is not None
    assert pipeline.encoded.encoders is not None
    hidden = pipeline.features["text"].hide(np.arange(20, 25))
    features = type(pipeline.features)({**pipeline.features, "text": hidden})
    searcher = Searcher(pipeline.encoded.encoders.parts, features, pipeline.fuser)
    channels = {c.name: c.scores for c in searcher.channels({Modality.TEXT: "an azure thing"})}
    assert set(channels) == {"text: same", "image: aligned"}
    assert np.isnan(channels["text: same"][20:]).all()
    pictures = channels["image: aligned"]
    assert pictures[[21, 23]].min() > 0 > pictures[[20, 22]].max()
    assert np.isnan(pictures[[3, 24]]).all()


def test_what_an_aligner_leaves_out_is_no_way(make_shop: Callable[..., Path], tmp_path: Path) -> None:
    shop = make_shop(tmp_path)
    old = '[encode]\ntext = { name = "hashing", dim = 64 }\nimage = "colour"\n'
    shop.write_text(shop.read_text().replace(old, ALIGNED + 'modalities = ["image", "category"]\n'))
    found = Pipeline.read(shop).fit().search({"text": "azure"}, k=1)
    assert set(found[0].by) == {"text: same"}


def test_a_new_fit_is_searched_with_the_new_fuser(make_shop: Callable[..., Path], tmp_path: Path) -> None:
    pipeline = Pipeline.read(make_shop(tmp_path)).fit()
    assert set(pipeline.search({"text": "azure"}, k=1)[0].by) == {"text: same"}
    pipeline.shop = pipeline.shop.model_copy(update={"fuse": {"name": "cca"}})
    assert "image: aligned" in pipeline.fit().search({"text": "azure"}, k=25)[0].by


REAL = """
[encode]
text = "minilm"
image = "lite0"
"""


@pytest.mark.weights
def test_names_of_what_is_seen_join_words_and_pictures(make_shop: Callable[..., Path], tmp_path: Path) -> None:
    shop = make_shop(tmp_path)
    old = '[encode]\ntext = { name = "hashing", dim = 64 }\nimage = "colour"\n'
    shop.write_text(shop.read_text().replace(old, REAL))
    pipeline = Pipeline.read(shop).fit()
    found = pipeline.search({"text": "a red thing"}, k=25)
    assert set().union(*(m.by for m in found)) == {"text: same", "image: words"}
    encoders = pipeline.searcher.parts
    words = Words(encoders["image"].encoder, encoders["text"].encoder)
    seen = pipeline.features["image"]
    cosines = words.text_vectors(seen.vectors[seen.present]) @ words.query_vectors(["a red thing"])[0]
    wanted = (cosines - cosines.mean()) / cosines.std() / 3
    ids = [pipeline.dataset.items.ids[int(i)] for i in np.flatnonzero(seen.present)]
    by = {m.id: m.by["image: words"] for m in found}
    assert [by[one] for one in ids] == pytest.approx(wanted.tolist(), abs=1e-4)
    again = pipeline.search({"text": "a red thing"}, k=25)
    assert again == found
    pictures = pipeline.search({"image": tmp_path / "media" / "2.png"}, k=25)
    assert set().union(*(m.by for m in pictures)) == {"image: same", "text: words"}
