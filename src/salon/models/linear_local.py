"""The local form of the linear model, for catalogues whose dense solve would not fit; see `linear_local_solve`."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import numpy as np
from scipy import sparse

from salon.arrays import keep_top_per_row
from salon.errors import DataError
from salon.index.graph import symmetric_normalised, symmetrised
from salon.models.linear_local_near import Near, content_graphs, find_near
from salon.models.linear_local_score import LocalScorer, mean_column_of, with_columns_scaled
from salon.models.linear_local_solve import LocalSolution, LocalSystem, Upper, solve_local, upper_half
from salon.models.linear_local_twins import LocalTwins, find_local_twins, no_local_twins
from salon.models.linear_media import GRAPH_NEIGHBOURS, Media
from salon.models.linear_point import Point
from salon.models.linear_solve import Touched, out_scale, scales_of
from salon.models.linear_statistics import Statistics
from salon.types import FloatArray, IntArray


@dataclass(frozen=True)
class Reach:
    """How far the local form looks.

    Attributes:
        neighbours: Items met together that a column is regressed on, at most.
        alike: Items alike in content that join them, per modality.
    """

    neighbours: int
    alike: int


@dataclass(frozen=True)
class LocalProblem:
    """What does not depend on the settings of the closed form: who is near whom, and how sure that is.

    Attributes:
        stats: Sums over users.
        touched: Who takes part.
        media: Vectors.
        near: Neighbourhoods.
        graphs: Content graph by modality for the prior, (n, n) sparse; empty without a prior.
        recall: By modality, the share of the true content neighbours that was found.
    """

    stats: Statistics
    touched: Touched
    media: Media
    near: Near
    graphs: dict[str, sparse.csr_array]
    recall: dict[str, float]

    def solve(self, point: Point, columns: IntArray | None = None) -> LocalSolution:
        """B of a point, or some columns of it by their place."""
        scales = scales_of(self.stats, self.touched, point)
        mixed: sparse.csr_array | None = None
        for name, graph in self.graphs.items():
            part = graph * np.float32(point.media[name] / sum(point.media.values()))
            mixed = part if mixed is None else sparse.csr_array(mixed + part)
        system = LocalSystem(self.stats, self.touched, self.media, point, scales, self.near.order, mixed, self.upper)
        return solve_local(system, self.near, columns)

    @cached_property
    def upper(self) -> Upper | None:
        """Half of the sums of the clicks; None with order, which brings others for every point."""
        return None if self.stats.reach else upper_half(self.stats.gram, self.touched, self.near.order)

    def out(self, solution: LocalSolution, popularity: float, confidence: float) -> FloatArray:
        """(n,) float32, what scores are multiplied by; see `linear_solve.Solution.out`."""
        return out_scale(solution.precision, self.stats.counts[self.touched.rows], popularity, confidence)

    def handed(self, point: Point, solution: LocalSolution) -> sparse.csr_array:
        """The B that cold items take over, columns scaled; solved for where its media weigh otherwise."""
        if point.twin_media != 1.0:
            solution = self.solve(point.for_twins())
        return with_columns_scaled(solution.weights, self.out(solution, point.twin_popularity, 0.0))


def local_problem(stats: Statistics, media: Media, point: Point, n_items: int, reach: Reach) -> LocalProblem:
    """The neighbourhoods for a point.

    Raises:
        DataError: Nobody likes anything.
    """
    touched = Touched(stats.counts, n_items)
    if not touched.items:
        raise DataError("Nobody likes anything any more.", hint="A model needs at least one liked item.")
    names = tuple(name for name in media.names if point.media.get(name, 0.0))
    alike = max(reach.alike, GRAPH_NEIGHBOURS) if point.prior else reach.alike
    graphs, recall = content_graphs(media, touched.rows[: touched.items], alike, names) if alike else ({}, {})
    near = find_near(stats.gram, touched, scales_of(stats, touched, point), reach.neighbours, graphs)
    graphs = {name: _prior(graph, len(touched.rows)) for name, graph in graphs.items()} if point.prior else {}
    return LocalProblem(stats, touched, media, near, graphs, recall)


def _prior(graph: sparse.csr_array, n: int) -> sparse.csr_array:
    """The content graph of a modality as `Media.graph` makes it, (n, n) sparse."""
    few = symmetric_normalised(symmetrised(keep_top_per_row(graph, GRAPH_NEIGHBOURS)))
    few.resize((n, n))
    return few


def learned_local(stats: Statistics, media: Media, point: Point, n_items: int, reach: Reach) -> dict[str, Any]:
    """Everything that follows from the sums over people, the media and the settings, by attribute name."""
    problem = local_problem(stats, media, point, n_items, reach)
    solution = problem.solve(point)
    cold = np.flatnonzero((stats.counts[:n_items] == 0) & media.any_present(n_items))
    handed = problem.handed(point, solution) if len(cold) else sparse.csr_array((0, 0), dtype=np.float32)
    twins = find_local_twins(media, point, cold, local_start(problem.touched, point, handed, reach))
    stacked = sparse.vstack(list(problem.graphs.values()), format="csr") if problem.graphs else None
    return {
        **media.state(),
        **local_twin_state(twins),
        "point_": point.model_dump(),
        "counts_": stats.counts,
        "sums_": stats.sums,
        "people_": stats.people,
        "gram_": stats.gram,
        "past_": stats.past,
        "follow_": stats.follow,
        "rows_": problem.touched.rows,
        "into_": solution.scales.into,
        "out_": problem.out(solution, point.popularity, point.confidence),
        "handed_": handed,
        "weights_": solution.weights,
        "ridge_": solution.scales.ridge,
        "units_": [solution.scales.unit, solution.scales.order_unit],
        "graphs_": None if stacked is None else sparse.csr_array(stacked),
        "recall_": problem.recall,
    }


def with_handed(scorer: LocalScorer, stats: Statistics, media: Media, point: Point, reach: Reach) -> LocalScorer:
    """The scorer with what cold items take over, which is left out of a fit without cold items."""
    if scorer.handed.shape == scorer.weights.shape:
        return scorer
    problem = local_problem(stats, media, point, scorer.n_items, reach)
    scales = scales_of(stats, problem.touched, point)
    handed = problem.handed(point, LocalSolution(scales, scorer.weights, np.ones(len(scorer.rows))))
    return replace(scorer, handed=handed, twins=local_start(problem.touched, point, handed, reach))


def local_start(touched: Touched, point: Point, handed: sparse.csr_array, reach: Reach) -> LocalTwins:
    """Twins before the first cold item."""
    return no_local_twins(touched.rows[: touched.items], point.twin_self * mean_column_of(handed), reach.neighbours)


def local_twin_state(twins: LocalTwins) -> dict[str, Any]:
    """The twins by attribute name."""
    return {
        "cold_": twins.cold,
        "twins_": twins.weights,
        "twin_factor_": twins.factor,
        "gain_": twins.gain,
        "twin_units_": [twins.own, twins.norm, twins.near, twins.rho],
    }
