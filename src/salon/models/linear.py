"""The default model: clicks, order and all media in one closed form, item to item, with nothing to know about people.

A history goes in and scores come out, so people it never met, and actions of a second ago, count at once; items that
nobody has touched take what their content twins suggest; each score splits exactly into history x {clicks, each
modality}; a person can be taken out as if the model had never seen them. The equations are in `linear_solve` (touched
items), `linear_twins` (the others) and `linear_few` (short histories), the sums over people in `linear_statistics`, the
search in `linear_search`.

It follows EASE (Steck, WWW 2019) with the dropout of EDLAE (Steck, NeurIPS 2020), media vectors as further rows to
reconstruct (collective side information; L3AE, CIKM 2025, for the prior), degree exponents as in graph filters, and is
our own in its combination.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import cached_property, partial
from typing import Any, Literal, Self

import numpy as np
from pydantic import Field
from scipy import sparse

from salon.config import Settings
from salon.data import Dataset, Holdout, Queries
from salon.encode.base import FeatureSet
from salon.errors import DataError, SettingError, did_you_mean
from salon.models.base import Contributions, Recommender
from salon.models.linear_few import Few
from salon.models.linear_holdout import with_answers
from salon.models.linear_local import Reach, learned_local, local_twin_state, with_handed
from salon.models.linear_local_parts import LocalLedger
from salon.models.linear_local_score import LocalScorer
from salon.models.linear_local_search import local_search
from salon.models.linear_local_twins import LocalTwins, find_local_twins
from salon.models.linear_media import Media, check_named
from salon.models.linear_parts import Ledger
from salon.models.linear_point import Point
from salon.models.linear_problem import Problem, scorer_of
from salon.models.linear_query import query_rows
from salon.models.linear_score import Scorer
from salon.models.linear_search import search
from salon.models.linear_size import Form, Size, choose_form
from salon.models.linear_solve import DOUBLE, Grams, solve
from salon.models.linear_statistics import Statistics, collect, latest, with_empty
from salon.models.linear_twins import Twins, find_twins, twin_state
from salon.types import BoolArray, FloatArray, IntArray, TopK


class LinearSettings(Settings):
    """Settings of `Linear`; those of the closed form are searched inside `fit` unless `search` is off."""

    point: Point = Field(default_factory=Point)
    """The settings of the closed form: used as they are with search off, and where the search does not move them."""
    search: bool = True
    """Choose the settings of the closed form on held-out questions."""
    budget_seconds: float = Field(60.0, gt=0)
    """What the search may cost, in seconds of a reference core of 20 GFlop/s; equal data give equal models."""
    refit: bool = True
    """After the search, learn from the given validation answers as well."""
    holdout: Literal["auto", "last", "random"] = "auto"
    """Questions made from the data ask for the last action, or a random tenth; auto: the last where order is known."""
    max_history: int = Field(500, ge=1)
    """Only so many latest actions of a person are learned from."""
    mode: Form = "auto"
    """Solve for all pairs of items ("dense"), or each item on its neighbours ("local"); auto: dense where that fits."""
    neighbours: int = Field(150, ge=1)
    """Local form: items met together that an item is regressed on, at most."""
    content_neighbours: int = Field(30, ge=0)
    """Local form: items alike in content that join them, per modality."""
    max_items: int = Field(20_000, ge=1)
    """Touched items beyond which the dense solve is not tried."""
    memory_gb: float = Field(16.0, gt=0)
    """Memory beyond which the fit is refused before it begins."""


class Linear(Recommender):
    """Closed-form multimodal item-to-item model."""

    settings: LinearSettings = LinearSettings()
    handles_cold_items = True
    handles_cold_users = True
    reads_profiles = True

    n_attributes_: int
    point_: dict[str, Any]
    search_: dict[str, float]
    counts_: FloatArray
    sums_: FloatArray | None = None
    people_: float = 0.0
    gram_: sparse.csr_array
    past_: sparse.csr_array | None
    follow_: sparse.csr_array | None
    rows_: IntArray
    into_: FloatArray
    out_: FloatArray
    handed_: FloatArray
    weights_: FloatArray
    ridge_: FloatArray
    units_: list[float]
    twin_units_: list[float]
    recall_: dict[str, float]
    graphs_: sparse.csr_array | None
    cold_: IntArray
    twins_: FloatArray
    twin_factor_: FloatArray
    gain_: FloatArray

    def _fit(
        self, data: Dataset, items: FeatureSet, rng: np.random.Generator, validation: Holdout | None
    ) -> dict[str, Any]:
        settings = self.settings
        queries = latest(data.queries(data.active_users()), settings.max_history)
        if not (queries.weights > 0).any():
            raise DataError("There is no positive action to learn from.", hint="Check the weights of the events.")
        check_named(settings.point, items)
        media = Media.of(items)
        n_attributes = 0 if queries.profiles is None else int(queries.profiles.shape[1])
        size = Size.of(queries, data.n_items, media, n_attributes)
        local = self._chosen(size, settings.point.for_modalities(media.names)) == "local"
        problem = Problem(queries, media, data.n_items, n_attributes)
        point, about = settings.point.for_modalities(media.names), {"solves": 0.0}
        if not queries.ordered:
            point = point.moved({"order": 0.0})
        if settings.search:
            last = queries.ordered if settings.holdout == "auto" else settings.holdout == "last"
            seek = partial(local_search, reach=self._reach) if local else search
            found = seek(problem, point, validation, last=last, seconds=settings.budget_seconds, rng=rng)
            point = found.point
            about = {"solves": float(found.solves), "warm_ndcg": found.warm, "cold_ndcg": found.cold}
            if settings.refit and validation is not None:
                wider = with_answers(queries, validation)
                problem = Problem(latest(wider, settings.max_history), media, data.n_items, n_attributes)
        stats = problem.statistics(point)
        state = learned(stats, media, point, data.n_items, self._reach if local else None)
        about = {name: value for name, value in about.items() if np.isfinite(value)}
        return {**state, "search_": about, "n_attributes_": n_attributes}

    @property
    def point(self) -> Point:
        """The settings that were chosen."""
        self.check_fitted()
        return Point(**self.point_)

    def _score(self, queries: Queries, own: bool = True) -> FloatArray:
        scores = self._closed(queries, own)
        if self.few is not None:
            self.few.replace(queries, scores)
        return scores

    def _score_unseen(self, queries: Queries) -> FloatArray:
        return self._score(queries, own=False)

    def _closed(self, queries: Queries, own: bool = True) -> FloatArray:
        return self.scorer.scores(self._rows(queries), own=own)

    def similar(self, items: IntArray, k: int = 10, *, allow: BoolArray | None = None) -> TopK:
        """The k items most like each given item, by the closed form: likeness is not drawn towards popularity."""
        self.check_fitted()
        return super(Linear, self if self.few is None else self._plain).similar(items, k, allow=allow)

    @cached_property
    def _plain(self) -> Self:
        """The closed form alone."""
        return type(self)(self.settings).restore({**self.state(), "point_": {**self.point_, "few": 0}})

    def _rows(self, queries: Queries) -> sparse.csr_array:
        profiles = queries.profiles
        if self.n_attributes_ and profiles is not None and profiles.shape[1] != self.n_attributes_:
            raise DataError(f"Profiles of {profiles.shape[1]} attributes; {self.n_attributes_} were learned.")
        return query_rows(queries, self.point, self.n_items_, self.n_attributes_)

    @property
    def _reach(self) -> Reach:
        return Reach(self.settings.neighbours, self.settings.content_neighbours)

    def _chosen(self, size: Size, point: Point) -> str:
        given = self.settings
        return choose_form(
            size,
            given.mode,
            search=given.search,
            seconds=given.budget_seconds,
            max_items=given.max_items,
            memory_gb=given.memory_gb,
            width=given.neighbours + size.modalities * given.content_neighbours,
            ordered=point.order > 0,
        )

    def restore(self, state: Mapping[str, Any]) -> Self:
        """Takes back what `state` gave."""
        for made in ("scorer", "ledger", "few", "_plain"):
            self.__dict__.pop(made, None)
        return super().restore(state)

    @property
    def is_local(self) -> bool:
        """Whether the local form was fitted, so that `weights_` is sparse."""
        self.check_fitted()
        return bool(sparse.issparse(self.weights_))

    @cached_property
    def scorer(self) -> Scorer:
        """What scoring needs, made once for what was learned."""
        warm = self.rows_[self.rows_ < self.n_items_]
        if self.is_local:
            own, norm, near, rho = self.twin_units_
            local = LocalTwins(
                warm, self.cold_, self.twins_, self.twin_factor_, self.gain_, own, norm, near=int(near), rho=rho
            )
            return LocalScorer(self.rows_, self.into_, self.weights_, self.out_, self.handed_, local, self.n_items_)
        twins = Twins(warm, self.cold_, self.twins_, self.twin_factor_, self.gain_, *self.twin_units_)
        return Scorer(self.rows_, self.into_, self.weights_, self.out_, self.handed_, twins, self.n_items_)

    def _statistics(self) -> Statistics:
        point = self.point
        reach = point.order_reach if point.order else 0.0
        sums = self.gram_, self.counts_, point.user_exponent, reach, self.past_, self.follow_, self.sums_, self.people_
        return Statistics(*sums)

    @cached_property
    def few(self) -> Few | None:
        """What answers short histories, or None where the closed form answers all."""
        return Few(self._statistics(), self.point, self.n_items_) if self.point.few else None

    def contributions(self, queries: Queries, targets: IntArray) -> Contributions:
        """The exact split of score(queries)[i, targets[i]] into history x {clicks, order, each modality}.

        Args:
            queries: n histories.
            targets: (n,) int64 item rows.

        Returns:
            One row per action of the queries; with `rest`, what the profile of the person adds (and what people like on
            average, where `few` answers), they sum to the score.

        Raises:
            DataError: A target has neither actions nor media.
        """
        self.check_fitted()
        targets = np.asarray(targets, np.int64)
        by_ledger = self.ledger.contributions
        few = self.few
        return by_ledger(queries, targets) if few is None else few.split(queries, targets, self._closed, by_ledger)

    @cached_property
    def ledger(self) -> Ledger:
        """What splits scores, made once for what was learned."""
        media = Media.restored(vars(self))
        graphs = {}
        if self.graphs_ is not None:
            stacked, width = self.graphs_, len(self.rows_)
            graphs = {n: stacked[i * width : (i + 1) * width] for i, n in enumerate(media.names)}
        unit, order_unit = self.units_[:2]
        kind: type[Ledger] = LocalLedger if self.is_local else Ledger
        return kind(self.scorer, self._statistics(), media, self.point, self.ridge_, unit, order_unit, graphs)

    def refit_with(self, changes: dict[str, float]) -> Self:
        """The same model with some settings replaced, such as {"media:text": 0.0}, from the same sums over people.

        Raises:
            SettingError: A setting is unknown, or the change needs sums that were not kept (another `user_exponent` or
                order).
        """
        old = self.point
        for name in changes:
            if name not in old.flat():
                raise SettingError(f"There is no setting {name!r}.", hint=did_you_mean(name, old.flat()))
        point = old.moved(changes)
        if (point.user_exponent, bool(point.order)) != (old.user_exponent, bool(old.order)) or (
            point.order and point.order_reach != old.order_reach
        ):
            raise SettingError("Another user_exponent or order needs the histories.", hint="Call fit with that point.")
        if point.few and self.sums_ is None:
            raise SettingError("The model was saved without the sums that few needs.", hint="Call fit with that point.")
        return self._with(self._statistics(), Media.restored(vars(self)), point, self.n_items_)

    def updated(
        self,
        *,
        added: Queries | None = None,
        removed: Queries | None = None,
        changed: tuple[IntArray, FeatureSet] | None = None,
    ) -> Self:
        """The model after some whole histories came in and others were taken out; settings stay.

        The result equals, within rounding, the model that was fitted on the changed data with these settings. A changed
        history is its old form removed and its new form added.

        Args:
            added: Histories that come in.
            removed: Histories that are taken out.
            changed: Rows of items whose media changed, ascending, and their new vectors; centres stay as they are.

        Raises:
            SettingError: A removed history was never learned.
        """
        stats, media = self._statistics(), Media.restored(vars(self))
        for queries, sign in ((added, 1.0), (removed, -1.0)):
            if queries is not None:
                stats = stats.plus(self._collected(queries, stats), sign)
        if changed is not None:
            media = media.replaced(*changed)
        return self._with(stats, media, self.point, self.n_items_)

    def recounted(self, queries: Queries) -> Self:
        """The model of these histories alone, with the same settings and items: sums without the rounding of updates.

        Raises:
            DataError: Nobody likes anything in them.
        """
        stats = self._collected(queries, self._statistics())
        return self._with(stats, Media.restored(vars(self)), self.point, self.n_items_)

    def _collected(self, queries: Queries, like: Statistics) -> Statistics:
        """The sums over some histories, of the exponent, reach and size of others."""
        return collect(
            latest(queries, self.settings.max_history),
            self.n_items_,
            exponent=like.exponent,
            reach=like.reach,
            n_attributes=self.n_attributes_,
        )

    def with_items(self, items: FeatureSet) -> Self:
        """The model with new items behind the old ones, recommended by their content twins; nothing is solved again.

        Raises:
            DataError: A modality is new.
            FingerprintError: The vectors come from another encoder.
        """
        self.check_fitted()
        media = Media.restored(vars(self)).joined(items)
        new = self.n_items_ + np.arange(items.n_items)
        old, point, n_items = self.scorer, self.point, self.n_items_ + items.n_items
        if isinstance(old, LocalScorer):
            known = Media.restored(vars(self))
            old = with_handed(old, self._statistics(), known, point, self._reach)
            added = local_twin_state(find_local_twins(media, point, new, old.twins))
        else:
            added = twin_state(find_twins(media, point, new, old.twins))
        moved = [with_empty(m, self.n_items_, items.n_items) for m in (self.gram_, self.past_, self.follow_)]
        state = {
            **self.state(),
            **media.state(),
            **added,
            "handed_": old.handed,
            "n_items_": n_items,
            "rows_": np.where(self.rows_ < self.n_items_, self.rows_, self.rows_ + items.n_items),
            "counts_": np.insert(self.counts_, [self.n_items_] * items.n_items, 0.0),
            "sums_": None if self.sums_ is None else np.insert(self.sums_, [self.n_items_] * items.n_items, 0.0),
            **dict(zip(("gram_", "past_", "follow_"), moved, strict=True)),
        }
        return type(self)(self.settings).restore(state)

    def _with(self, stats: Statistics, media: Media, point: Point, n_items: int) -> Self:
        again = learned(stats, media, point, n_items, self._reach if self.is_local else None)
        return type(self)(self.settings).restore({**self.state(), **again})


def learned(stats: Statistics, media: Media, point: Point, n_items: int, reach: Reach | None = None) -> dict[str, Any]:
    """Everything that follows from the sums over people, the media and the settings, by attribute name.

    Args:
        stats: Sums over users.
        media: Vectors.
        point: Settings.
        n_items: Items of the catalogue.
        reach: How far the local form looks, or None for the dense form.
    """
    if reach is not None:
        return learned_local(stats, media, point, n_items, reach)
    touched = int((stats.counts > 0).sum())
    grams = Grams(stats.counts, media, n_items, np.float64 if touched <= DOUBLE else np.float32)
    if not grams.items:
        raise DataError("Nobody likes anything any more.", hint="A model needs at least one liked item.")
    solution = solve(stats, grams, point)
    cold = np.flatnonzero((stats.counts[:n_items] == 0) & media.any_present(n_items))
    handed = solve(stats, grams, point.for_twins()) if media.names and point.twin_media != 1.0 else solution
    scorer = scorer_of((solution, handed), stats.counts, point, media, cold, n_items)
    graphs = [grams.graph_of(name) for name in media.names] if point.prior else []
    return {
        **media.state(),
        **twin_state(scorer.twins),
        "point_": point.model_dump(),
        "counts_": stats.counts,
        "sums_": stats.sums,
        "people_": stats.people,
        "gram_": stats.gram,
        "past_": stats.past,
        "follow_": stats.follow,
        "rows_": scorer.rows,
        "into_": scorer.into,
        "out_": scorer.out,
        "handed_": scorer.handed,
        "weights_": scorer.weights,
        "ridge_": solution.scales.ridge,
        "units_": [solution.scales.unit, solution.scales.order_unit],
        "graphs_": sparse.csr_array(sparse.vstack(graphs, format="csr")) if graphs else None,
    }
