"""The multimodal graph filter: sums of polynomials of the item graph and of content graphs, nothing trained (MM-GF)."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from functools import cached_property
from typing import Any, Self

import numpy as np
from pydantic import Field
from scipy import sparse

from salon.arrays import block_size, blocks, centred_unit_rows, power_or_zero, scale_columns, scale_rows, top_k
from salon.config import Settings
from salon.data import Dataset, Holdout, Queries
from salon.encode.base import Features, FeatureSet
from salon.errors import DataError, SettingError, did_you_mean
from salon.index.graph import knn_graph, symmetric_normalised, symmetrised
from salon.metrics import hit_matrix, ndcg, relevant_counts
from salon.models.base import Recommender
from salon.models.linear_holdout import CUT, asked_only, targets_of, warm_actions
from salon.models.rows import answerable, ones_like, query_rows
from salon.models.walks import gram, leading
from salon.types import BoolArray, FloatArray

CLICKS = ("clicks:1", "clicks:2", "clicks:3")
SMOOTHEST = "clicks:low"
GRIDS: dict[str, tuple[float, ...]] = {
    "clicks:2": (-1.0, -0.5, -0.25, 0.0, 0.25, 0.5, 1.0),
    "clicks:3": (-0.5, -0.25, 0.0, 0.25, 0.5, 1.0),
    SMOOTHEST: (0.0, 0.0625, 0.125, 0.25, 0.5, 1.0, 2.0),
}
MEDIA_GRIDS = {"1": tuple(2.0**i for i in range(-9, 3)), "2": (0.0, *(2.0**i for i in range(-8, 3)))}
"""The first power is never 0, so that items without actions are reached."""
EXPONENTS = (0.35, 0.5)
"""Of the popularity that clicks are divided by; the search tries both beside the given one."""
GAIN, ROUNDS = 1e-3, 4


class MediaGraphFilterSettings(Settings):
    """Settings of `MediaGraphFilter`."""

    weights: dict[str, float] = Field(default_factory=dict)
    """Coefficients by part: "clicks:1" to "clicks:3", "clicks:low", and "NAME:1", "NAME:2" per modality."""
    search: bool = True
    """Choose the coefficients on held-out questions, beginning with `weights`."""
    rank: int = Field(default=64, ge=1)
    """Eigenvectors of the ideal low-pass part."""
    item_exponent: float = Field(default=0.5, ge=0, le=1)
    """The clicks are divided by the popularity of the item to this power; the search tries others too."""
    neighbours: int = Field(default=10, ge=1)
    """Neighbours per item in a content graph."""
    robust: bool = False
    """Scale every dimension of the vectors by its median and interquartile range before they are compared."""
    k: int = Field(default=500, ge=1)
    """Entries of P kept per item, which bounds memory."""


class MediaGraphFilter(Recommender):
    """A filter on the item graph joined with one on the content graph of each modality (MM-GF, Park et al. 2025).

    With R~ = D_u^(-1/2) R D_i^(-e), P = R~^T R~ over its largest eigenvalue, U its `rank` leading eigenvectors, and S_m
    the symmetrically normalised graph of the cosine neighbours in modality m after robust scaling,

        score(x) = x (a_1 P + a_2 P^2 + a_3 P^3 + g U U^T + sum_m (b_m1 S_m + b_m2 S_m^2))

    The coefficients and e are chosen by coordinate search on held-out questions: the given ones, or a tenth of every
    history.
    An item in no graph gets -inf, and so does everything for a history of such items alone.
    """

    handles_cold_items = True
    handles_cold_users = True
    settings: MediaGraphFilterSettings

    graph_: sparse.csr_array
    basis_: FloatArray
    media_: sparse.csr_array
    names_: list[str]
    weights_: dict[str, float]
    search_: dict[str, float]
    reachable_: BoolArray

    def _fit(
        self, data: Dataset, items: FeatureSet, rng: np.random.Generator, validation: Holdout | None
    ) -> dict[str, Any]:
        names = [name for name, features in items.items() if features.present.any()]
        graphs = [self._content(items[name]) for name in names]
        queries = data.queries(data.active_users())
        weights, about, exponent = self._start(names), {}, self.settings.item_exponent
        if self.settings.search:
            asked, train = validation, queries
            if asked is None:
                chosen = warm_actions(queries, queries.ordered, rng)
                train = queries.only(~chosen)
                asked = Holdout(train, targets_of(queries, chosen, data.n_items))
            asked = asked_only(asked, np.ones(data.n_items, bool), rng)
            if len(asked):
                media, found = dict(zip(names, graphs, strict=True)), []
                for power in sorted({exponent, *EXPONENTS}):
                    parts = self._parts(train, data.n_items, power, rng)
                    found.append((*_climb(_Questions(asked, parts, media), weights), power))
                weights, best, exponent = max(found, key=lambda one: one[1])
                about = {"ndcg": best, "item_exponent": exponent}
        graph, basis = self._parts(queries, data.n_items, exponent, rng)
        edges = np.diff(graph.indptr) + sum(np.diff(g.indptr) for g in graphs)
        empty = sparse.csr_array((0, data.n_items), dtype=np.float32)
        return {
            "graph_": graph,
            "basis_": basis,
            "media_": sparse.csr_array(sparse.vstack([empty, *graphs], format="csr")),
            "names_": names,
            "weights_": weights,
            "search_": about,
            "reachable_": np.asarray(edges > 0),
        }

    def _start(self, names: list[str]) -> dict[str, float]:
        known = [*CLICKS, SMOOTHEST, *(f"{name}:{power}" for name in names for power in (1, 2))]
        start = dict.fromkeys(known, 0.0) | {"clicks:1": 1.0} | {f"{name}:1": 0.0625 for name in names}
        for name, value in self.settings.weights.items():
            if name not in known:
                raise SettingError(f"There is no part {name!r} to weigh.", hint=did_you_mean(name, known))
            start[name] = value
        return start

    def _parts(
        self, queries: Queries, n_items: int, exponent: float, rng: np.random.Generator
    ) -> tuple[sparse.csr_array, FloatArray]:
        """P (items, items) sparse and U (items, rank)."""
        rows = sparse.csr_array(ones_like(queries.positives(n_items)), dtype=np.float64)
        if not rows.nnz:
            raise DataError("There are no positive actions to learn from.", hint="Give events with a weight above 0.")
        smooth = scale_rows(rows, power_or_zero(np.asarray(rows.sum(axis=1)), -0.5))
        smooth = scale_columns(smooth, power_or_zero(np.asarray(rows.sum(axis=0)), -exponent))
        basis = leading(smooth, self.settings.rank, rng)
        largest = float(((smooth @ basis[:, 0].astype(np.float64)) ** 2).sum())
        return gram(smooth, smooth, self.settings.k) * np.float32(1 / largest), basis

    def _content(self, features: Features) -> sparse.csr_array:
        """S_m, (items, items) sparse float32."""
        vectors = (
            robust_rows(features) if self.settings.robust else centred_unit_rows(features.vectors, features.present)
        )
        return symmetric_normalised(symmetrised(knn_graph(vectors, features.present, self.settings.neighbours)))

    def restore(self, state: Mapping[str, Any]) -> Self:
        """Takes back what `state` gave."""
        self.__dict__.pop("_graphs", None)
        return super().restore(state)

    @cached_property
    def _graphs(self) -> dict[str, sparse.csr_array]:
        """S_m by modality."""
        n = self.n_items_
        return {name: self.media_[k * n : (k + 1) * n] for k, name in enumerate(self.names_)}

    def _score(self, queries: Queries) -> FloatArray:
        history = query_rows(queries, self.n_items_, weighted=False)
        scores = np.zeros(history.shape, np.float32)
        wanted = {name for name, weight in self.weights_.items() if weight}
        for name, part in part_scores(history, self.graph_, self.basis_, self._graphs, wanted):
            scores += np.float32(self.weights_[name]) * part
        return answerable(scores, history, self.reachable_)


def part_scores(
    history: sparse.csr_array,
    graph: sparse.csr_array,
    basis: FloatArray,
    media: dict[str, sparse.csr_array],
    wanted: set[str],
) -> Iterator[tuple[str, FloatArray]]:
    """(name, (n, items) float32 scores) of every wanted part alone."""
    walked: Any = history
    for name in CLICKS[: max((k + 1 for k, name in enumerate(CLICKS) if name in wanted), default=0)]:
        walked = _dense(walked @ graph)
        if name in wanted:
            yield name, walked
    if SMOOTHEST in wanted:
        yield SMOOTHEST, ((history @ basis) @ basis.T).astype(np.float32)
    for name, similar in media.items():
        once = history @ similar
        if f"{name}:1" in wanted:
            yield f"{name}:1", _dense(once)
        if f"{name}:2" in wanted:
            yield f"{name}:2", _dense(once @ similar)


def _dense(product: Any) -> FloatArray:
    found: FloatArray = product.toarray() if sparse.issparse(product) else product
    return found.astype(np.float32, copy=False)


def robust_rows(features: Features) -> FloatArray:
    """(items, d) float32: median taken off, divided by the interquartile range per dimension.

    Where that range is 0 the standard deviation takes its place, and constant dimensions are 0.
    """
    known = features.vectors[features.present]
    low, middle, high = np.percentile(known, [25, 50, 75], axis=0)
    spread = np.where(high > low, high - low, known.std(axis=0))
    scale = np.divide(1.0, spread, out=np.zeros_like(spread), where=spread > 0)
    return np.where(features.present[:, None], (features.vectors - middle) * scale, 0.0).astype(np.float32)


class _Questions:
    """Held-out questions whose scores are kept part by part, so that a combination costs a sum."""

    def __init__(
        self, asked: Holdout, clicks: tuple[sparse.csr_array, FloatArray], media: dict[str, sparse.csr_array]
    ) -> None:
        n_items = asked.targets.shape[1]
        names = {*CLICKS, SMOOTHEST, *(f"{name}:{power}" for name in media for power in (1, 2))}
        most = block_size(n_items * len(names), budget_bytes=MEMORY)
        rows = np.linspace(0, len(asked) - 1, min(len(asked), most)).astype(np.int64)
        queries = asked.queries.take(rows)
        self.targets = sparse.csr_array(asked.targets[rows])
        self.parts = dict(part_scores(query_rows(queries, n_items, weighted=False), *clicks, media, names))
        self.hidden = np.zeros((len(rows), n_items), bool)
        self.hidden[queries.row_of(), queries.items] = True
        if asked.exclude is not None:
            self.hidden[sparse.csr_array(asked.exclude[rows]).nonzero()] = True
        if asked.candidates is not None:
            self.hidden[:, ~asked.candidates] = True

    def value(self, weights: dict[str, float]) -> float:
        """Mean nDCG of a combination."""
        total, n = 0.0, self.hidden.shape[0]
        for rows in blocks(n, block_size(self.hidden.shape[1])):
            scores = np.zeros(self.hidden[rows].shape, np.float32)
            for name, weight in weights.items():
                if weight:
                    scores += np.float32(weight) * self.parts[name][rows]
            scores[self.hidden[rows]] = -np.inf
            targets = sparse.csr_array(self.targets[rows])
            total += float(ndcg(hit_matrix(top_k(scores, CUT).ids, targets), relevant_counts(targets), CUT).sum())
        return total / n


MEMORY = 1 << 30
"""Bytes that the scores of the questions may take; beyond it fewer questions are asked."""


def _climb(questions: _Questions, weights: dict[str, float]) -> tuple[dict[str, float], float]:
    """Coordinate search: every coefficient in turn takes its best value, which has to gain a little."""
    best = questions.value(weights)
    for _ in range(ROUNDS):
        before = dict(weights)
        for name in weights:
            for value in _grid(name):
                moved = {**weights, name: value}
                found = questions.value(moved) if value != weights[name] else best
                if found > best * (1 + GAIN):
                    weights, best = moved, found
        if weights == before:
            break
    return weights, best


def _grid(name: str) -> tuple[float, ...]:
    """The values to try for a coefficient; that of P is the unit of the others."""
    return () if name == CLICKS[0] else GRIDS.get(name) or MEDIA_GRIDS[name.rpartition(":")[2]]
