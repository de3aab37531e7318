"""The whole way in one object: read, check, encode, fuse, fit, recommend, explain, save.

shop = Pipeline.read("shop.toml").encode().fit()
shop.recommend(users=["42"], k=10)
shop.save("model/")
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import cached_property
from pathlib import Path
from typing import Self

import numpy as np

from salon.artifacts import read_state, reading, write_state, writing
from salon.component import read_component
from salon.data import Dataset, Holdout, Queries
from salon.data.catalogue import ReadResult, read_dataset
from salon.data.check import repaired
from salon.data.parquet import read_dataset_folder, write_dataset
from salon.encode.base import FeatureSet
from salon.encode.run import CatalogueEncoder
from salon.errors import ArtifactError, DataError, NotFittedError
from salon.explain import explain
from salon.fuse.base import Fuser
from salon.language.sentences import Sentence
from salon.models.base import Recommender
from salon.models.popular import Popular
from salon.pipeline_answers import Answer, Explanation, Suggestion, explanation
from salon.pipeline_encode import Encoded, encode_catalogue, feature_state, features_of
from salon.pipeline_questions import questions
from salon.pipeline_rank import POPULAR, fallback_of, known, ranked
from salon.pipeline_search import Match, Searcher, matches
from salon.pipeline_shop import Shop, read_shop, shop_from_json, shop_json
from salon.quality import QualityReport, check_quality
from salon.registry import name_of
from salon.types import BoolArray, Progress, TopK

EXPLAINED = 100
"""Items of an answer that are explained; explaining by removal scores each history once per action and item."""


class Pipeline:
    """A catalogue and what is learned from it.

    Args:
        shop: The settings of the catalogue file.
        read: Its tables.
        base: Folder of the catalogue file.
        parallel: Whether encoding may start processes by itself; a script must then guard its own code.

    Attributes:
        encoded: The vectors of the media, after `encode`.
        fuser: The fitted fuser, after `fit`.
        model: The fitted model, after `fit`.
        fallback: What answers where the model cannot, after `fit`.
    """

    def __init__(self, shop: Shop, read: ReadResult, base: Path, *, parallel: bool = False) -> None:
        self.shop = shop
        self.read_result = read
        self.base = base
        self.parallel = parallel
        self.encoded: Encoded | None = None
        self.fuser: Fuser | None = None
        self.model: Recommender | None = None
        self.fallback: Popular | None = None

    @classmethod
    def read(cls, path: Path | str, *, parallel: bool = False) -> Self:
        """Reads a catalogue file and the tables it names.

        Raises:
            SettingError: The file has an unknown key or value.
            DataError: A table cannot be used at all.
        """
        path = Path(path)
        shop = read_shop(path)
        found = read_dataset(shop.items, shop.events, shop.users, path.parent)
        data, changes = repaired(found.dataset, shop.repair)
        notes = [f"{how} filled or dropped {count} of {field!r}" for (field, how), count in changes.items()]
        return cls(shop, replace(found, dataset=data, notes=(*found.notes, *notes)), path.parent, parallel=parallel)

    @property
    def dataset(self) -> Dataset:
        """What was read."""
        return self.read_result.dataset

    @property
    def features(self) -> FeatureSet:
        """The vectors of the media.

        Raises:
            NotFittedError: `encode` was not called.
        """
        if self.encoded is None:
            raise NotFittedError("This pipeline has no vectors yet.", hint="Call encode() or fit() first.")
        return self.encoded.features

    @property
    def fitted(self) -> Recommender:
        """The fitted model.

        Raises:
            NotFittedError: `fit` was not called.
        """
        if self.model is None:
            raise NotFittedError("This pipeline has no model yet.", hint="Call fit() first, or load a saved one.")
        return self.model

    def encode(self, progress: Progress | None = None) -> Self:
        """Turns the media into vectors; vectors already in the cache are not made again."""
        self.encoded = encode_catalogue(self.shop.encode, self.dataset, progress, parallel=self.parallel)
        self.__dict__.pop("searcher", None)
        return self

    def check(self) -> QualityReport:
        """The report on the data; with the vectors, if `encode` was called."""
        encoded = self.encoded
        features, problems = (encoded.features, encoded.problems) if encoded else (None, ())
        return check_quality(self.dataset, features, problems)

    def findings(self, report: QualityReport) -> list[str]:
        """What was rejected, changed and masked, and what the report found, in sentences."""
        result = self.read_result
        rejects = result.rejects.counts.items()
        lines: list[str] = [Sentence("rejected", count=count, reason=reason) for reason, count in rejects]
        lines += [Sentence("noted", note=note) for note in result.notes]
        problems = self.encoded.problems if self.encoded else ()
        lines += [Sentence("masked", field=p.field, item=p.id, reason=p.reason) for p in problems]
        return [*lines, *report.findings]

    def fit(
        self,
        *,
        train: Dataset | None = None,
        validation: Holdout | None = None,
        rng: int | None = None,
        progress: Progress | None = None,
    ) -> Self:
        """Learns tastes, encoding first if that was not done.

        Args:
            train: What to learn from instead of all events, such as the training part of a split.
            validation: Questions for models that choose settings; without it they hold out part of the training data.
            rng: Seed; default 0.
            progress: Called while media are encoded.
        """
        if not len(self.dataset.events) and not self.shop.model.get("pretrained"):
            raise DataError(
                "There are no events to learn from.", hint="Name a table under [events], or a pretrained model."
            )
        if self.encoded is None:
            self.encode(progress)
        data = train or self.dataset
        features = self.features_for(data, rng=rng or 0)
        fuser = self.shop.fuser().fit(features, data.events, rng=np.random.default_rng(rng or 0))
        model = self.shop.recommender()
        model.fit(data, fuser.transform(features), rng=rng, validation=validation)
        self.fallback = fallback_of(data)
        self.fuser, self.model = fuser, model
        self.__dict__.pop("searcher", None)
        return self

    def features_for(self, train: Dataset, *, rng: int = 0) -> FeatureSet:
        """The vectors, with reviews pooled from, and encoders trained on, the events of `train` alone."""
        assert self.encoded is not None
        found = self.encoded.for_training(train, rng=rng)
        self.encoded = replace(self.encoded, problems=found.problems)
        return found.features

    def asking(self, model: Recommender, train: Dataset) -> Self:
        """The same catalogue with another fitted model and the log that it was fitted on."""
        other = type(self)(self.shop, replace(self.read_result, dataset=train), self.base)
        other.encoded, other.fuser, other.model = self.encoded, self.fuser, model
        other.fallback = fallback_of(train)
        return other

    # -- questions ---------------------------------------------------------------------------------------------------

    def queries(
        self,
        users: Sequence[str] | None = None,
        histories: Sequence[Sequence[str]] | None = None,
        profile: Mapping[str, str] | None = None,
        *,
        times: Sequence[Sequence[float]] | None = None,
        now: float | None = None,
    ) -> Queries:
        """Known users by id, or histories of item ids (oldest first) of people who are in no table; see `questions`."""
        return questions(self.dataset, users, histories, profile, times=times, now=now)

    def recommend(
        self,
        users: Sequence[str] | None = None,
        histories: Sequence[Sequence[str]] | None = None,
        *,
        k: int = 10,
        profile: Mapping[str, str] | None = None,
        times: Sequence[Sequence[float]] | None = None,
        exclude: Sequence[str] = (),
        explained: bool = False,
        language: str = "en",
    ) -> list[Answer]:
        """The k best items for each person; items of the history are never among them.

        Args:
            users: Ids of known users.
            histories: Lists of item ids, for people who are in no table.
            k: How many items.
            profile: Attributes of a person without a row in the user table.
            times: Seconds since 1970 of each action of `histories`; those of known users are in the log.
            exclude: Ids of items to leave out.
            explained: Whether the items come with their explanation, the first 100 of each person.
            language: Of the explanations: "en" or "zh".
        """
        queries = self.queries(users, histories, profile, times=times)
        return self.answer(queries, k=k, exclude=exclude, explained=explained, language=language)

    def answer(
        self,
        queries: Queries,
        *,
        k: int = 10,
        exclude: Sequence[str] = (),
        explained: bool = False,
        language: str = "en",
    ) -> list[Answer]:
        """The k best items for each question, such as those of `queries` with the moment at which they are asked."""
        allow = np.ones(self.dataset.n_items, bool)
        allow[self.dataset.items.ids.index(list(exclude))] = False
        found = self.rank(queries, k, allow)
        return [self._answer(queries, found, row, explained, language) for row in range(len(queries))]

    def rank(self, queries: Queries, k: int, allow: BoolArray | None = None) -> TopK:
        """Rows of the k best items, from the model first and from the fallback where it has no answer."""
        model = self.fitted
        assert self.fallback is not None
        return ranked(model, self.fallback, queries, k, allow)

    def _answer(self, queries: Queries, found: TopK, row: int, explained: bool, language: str) -> Answer:
        items = self.dataset.items
        query = queries.take(np.array([row]))
        user = int(query.users[0])
        places = [j for j in range(found.k) if found.ids[row, j] >= 0]
        whys: dict[int, Explanation] = {}
        if explained:
            whys = self._explanations(query, found, row, places[:EXPLAINED], language)
        suggestions = tuple(
            Suggestion(
                items.ids[int(found.ids[row, j])],
                items.title(int(found.ids[row, j])),
                float(found.scores[row, j]),
                found.source(row, j),
                whys.get(j),
            )
            for j in places
        )
        history = tuple(items.ids[int(i)] for i in query.items)
        return Answer(self.dataset.users.ids[user] if user >= 0 else "history", history, suggestions)

    def _explanations(
        self, query: Queries, found: TopK, row: int, places: list[int], language: str
    ) -> dict[int, Explanation]:
        told = {}
        for source, model in ((0, self.fitted), (1, self.fallback)):
            mine = [j for j in places if found.sources is not None and found.sources[row, j] == source]
            if mine and model is not None:
                evidence = explain(model, query, found.ids[row, mine])
                name = found.source_names[source]
                for j, one in zip(mine, evidence, strict=True):
                    told[j] = explanation(one, self.dataset.items, source=name, language=language)
        return told

    def similar(self, items: Sequence[str], *, k: int = 10) -> list[Answer]:
        """The k items most like each given item."""
        rows = self.dataset.items.ids.index(list(items))
        found = self.fitted.similar(rows, k)
        name = name_of("model", type(self.fitted))
        found = TopK(found.ids, found.scores, None, (name,))
        queries = Queries.from_lists([[int(i)] for i in rows])
        return [replace(self._answer(queries, found, i, False, "en"), who=items[i]) for i in range(len(items))]

    def explain(
        self,
        item: str,
        *,
        user: str | None = None,
        history: Sequence[str] | None = None,
        profile: Mapping[str, str] | None = None,
        language: str = "en",
    ) -> Explanation:
        """Why `item` has its score for a known user or for a history, by the source that `recommend` would take.

        Raises:
            DataError: Neither the model nor the fallback can score the item for this person.
        """
        query = self.queries([user] if user is not None else None, [history] if history is not None else None, profile)
        target = self.dataset.items.ids.index([item])
        own = [(name_of("model", type(self.fitted)), self.fitted)] if known(self.fitted, query)[0] else []
        for source, model in [*own, (POPULAR, self.fallback)]:
            if model is not None and np.isfinite(model.score(query)[0, target[0]]):
                (evidence,) = explain(model, query, target)
                return explanation(evidence, self.dataset.items, source=source, language=language)
        raise DataError(
            f"Nothing here can score item {item!r} for this person.",
            hint="Nobody acted on it, and nothing of its content ties it to the history.",
        )

    @cached_property
    def searcher(self) -> Searcher:
        """Compares words and media with the items; made when first asked for.

        Raises:
            ArtifactError: The vectors came without the encoders that made them.
        """
        if self.encoded is None or self.encoded.encoders is None:
            raise ArtifactError("This model has no encoders to read a query with.", hint="Fit and save it again.")
        return Searcher(self.encoded.encoders.parts, self.features, self.fuser)

    def search(
        self,
        query: Mapping[str, str | Path],
        *,
        k: int = 10,
        user: str | None = None,
        history: Sequence[str] | None = None,
        taste: float = 0.3,
    ) -> list[Match]:
        """The k items that a text, a picture, a sound or a film finds, for anybody or for one person.

        Args:
            query: Modality ("text", "image", "audio", "video") to a text or the path of a file; several are joined.
            k: How many items.
            user: Id of a known user whose taste counts too.
            history: Item ids, oldest first, of a person who is in no table.
            taste: Share of the person's taste in the score, 0 to 1; see `salon.pipeline_search` for the formula.

        Raises:
            SettingError: The query is empty or names no modality.
            DataError: The catalogue has nothing to compare it with.
            MediaError: A file cannot be decoded.
        """
        person = (
            self.queries([user] if user is not None else None, [history] if history is not None else None)
            if (user is not None or history is not None)
            else None
        )
        scores = None if person is None else self.fitted.score(person)[0]
        return matches(self.searcher, query, self.dataset.items, k, scores, taste)

    # -- saving ------------------------------------------------------------------------------------------------------

    def save(self, path: Path | str) -> None:
        """Writes everything that `load` needs into one artefact folder."""
        model = self.fitted
        assert self.fuser is not None
        assert self.fallback is not None
        with writing(Path(path), "pipeline", model=name_of("model", type(model))) as folder:
            for name in ("data", "features", "fuser", "model", "fallback"):
                (folder / name).mkdir()
            (folder / "shop.json").write_text(shop_json(self.shop), encoding="utf-8")
            write_dataset(folder / "data", self.dataset)
            write_state(folder / "features", feature_state(self.features))
            if self.encoded is not None and self.encoded.encoders is not None:
                (folder / "encoders").mkdir()
                self.encoded.encoders.write(folder / "encoders")
            self.fuser.write(folder / "fuser")
            model.write(folder / "model")
            self.fallback.write(folder / "fallback")

    @classmethod
    def load(cls, path: Path | str) -> Self:
        """Reads a saved pipeline after comparing every file with its checksum.

        Raises:
            ArtifactError: It is damaged, of another kind, or of a newer format.
        """
        folder = Path(path)
        reading(folder, "pipeline")
        shop = shop_from_json((folder / "shop.json").read_text(encoding="utf-8"))
        pipeline = cls(shop, ReadResult(read_dataset_folder(folder / "data")), folder)
        features = features_of(read_state(folder / "features"), pipeline.dataset.n_items)
        encoders = CatalogueEncoder.read(folder / "encoders") if (folder / "encoders").is_dir() else None
        pipeline.encoded = Encoded(features, encoders=encoders, section=shop.encode)
        pipeline.fuser = read_component(folder / "fuser", "fuser")
        pipeline.model = read_component(folder / "model", "model")
        pipeline.fallback = read_component(folder / "fallback", "model")
        return pipeline


def load(path: Path | str) -> Pipeline:
    """The pipeline that `Pipeline.save` or `salon fit` wrote."""
    return Pipeline.load(path)
