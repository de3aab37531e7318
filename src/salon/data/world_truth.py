"""A world whose truth is known: what everybody likes, which items are new or broken, and the best possible score."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np

from salon.arrays import top_k
from salon.data.ids import IdMap
from salon.data.queries import Holdout
from salon.types import FloatArray, IntArray


@dataclass(frozen=True)
class World:
    """Files on disk and the truth behind them.

    Attributes:
        folder: Where shop.toml, the tables and the media are.
        item_ids: Ids in the order of items.csv; column i of `appeal`.
        user_ids: Ids in the order of users.csv; row u of `appeal`.
        appeal: (people, items) float32, the logit of the next action.
        tastes: (people, traits) float32; most are 0.
        traits: (items, traits) float32 of 0 and 1.
        trait_names: "group:trait", such as "colour:crimson".
        new_items: Rows of the items that came last and that nobody has touched.
        missing: Modality to the ids of the items that lack it.
        planted: Problem to the ids it concerns: "truncated" (a picture cut short), "duplicate" (original, copy),
            "near_duplicate" (original, copy), "unknown_item" (an id that only the log knows).
    """

    folder: Path
    item_ids: tuple[str, ...]
    user_ids: tuple[str, ...]
    appeal: FloatArray
    tastes: FloatArray
    traits: FloatArray
    trait_names: tuple[str, ...]
    new_items: IntArray
    missing: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    planted: Mapping[str, tuple[str, ...]] = field(default_factory=dict)

    @property
    def catalogue(self) -> Path:
        """The catalogue file."""
        return self.folder / "shop.toml"

    def aligned(self, items: IdMap, users: IdMap) -> World:
        """The same truth in the rows of a dataset that was read from the files, perhaps with items left out.

        Raises:
            UnknownIdError: The dataset has an item or a person that this world has not.
        """
        columns = IdMap(self.item_ids).index(items.names)
        rows = IdMap(self.user_ids, what="user").index(users.names)
        names = {self.item_ids[i] for i in self.new_items}
        return replace(
            self,
            item_ids=items.names,
            user_ids=users.names,
            appeal=self.appeal[np.ix_(rows, columns)],
            tastes=self.tastes[rows],
            traits=self.traits[columns],
            new_items=np.array([i for i, name in enumerate(items.names) if name in names], np.int64),
        )

    def likes(self, user: int) -> list[tuple[str, float]]:
        """The taste of one person: (trait, weight), strongest first."""
        order = np.argsort(-np.abs(self.tastes[user]), kind="stable")
        return [(self.trait_names[t], float(self.tastes[user, t])) for t in order if self.tastes[user, t]]

    def scores(self, users: IntArray) -> FloatArray:
        """(n, items) float32 true appeal for rows of people; -1 is a stranger, who gets the mean of all."""
        users = np.asarray(users, np.int64)
        return np.where(users[:, None] >= 0, self.appeal[users], self.appeal.mean(axis=0))

    def best_possible(self, holdout: Holdout, k: int = 10) -> dict[str, float]:
        """What ranking by the truth scores on these questions: no model can do better, luck aside.

        Args:
            holdout: Questions in the rows of this world; call `aligned` first where the rows differ.
            k: Length of the lists.

        Returns:
            Means of "ndcg" and "recall" over the queries that have an answer.
        """
        return ranking_quality(self.scores(holdout.queries.users), holdout, k)


def ranking_quality(scores: FloatArray, holdout: Holdout, k: int = 10) -> dict[str, float]:
    """Mean nDCG and recall of the k best scores, seen and excluded items left out.

    Args:
        scores: (n, items) float, one row per query.
        holdout: The questions.
        k: Length of the lists.

    Returns:
        "ndcg" and "recall", over the queries that have an answer; as `salon.metrics` defines them.
    """
    n_items = scores.shape[1]
    allowed = holdout.queries.seen(n_items).toarray() == 0
    if holdout.exclude is not None:
        allowed &= holdout.exclude.toarray() == 0
    if holdout.candidates is not None:
        allowed &= holdout.candidates
    found = top_k(np.where(allowed, scores, -np.inf), k).ids
    wanted = holdout.targets.toarray() != 0
    hits = np.take_along_axis(wanted, np.maximum(found, 0), axis=1) & (found >= 0)
    relevant = wanted.sum(axis=1)
    discount = 1 / np.log2(np.arange(2, k + 2))
    ideal = np.append(0, np.cumsum(discount))[np.minimum(relevant, k)]
    asked = relevant > 0
    ndcg = (hits @ discount)[asked] / ideal[asked]
    recall = hits.sum(axis=1)[asked] / relevant[asked]
    return {"ndcg": float(ndcg.mean()), "recall": float(recall.mean())}
