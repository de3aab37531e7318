"""State of exploration by scenario: how often explored items were shown and clicked, shared by all processes.

Counts of this process are added to the store's with compare-and-swap, every second or so, so that several processes
learn from each other and nothing is lost by a restart but the last moment.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from threading import Lock
from typing import Any

import numpy as np

from salon.feedback.bandits import Arms, LinUCB
from salon.rerank.exploration import Policy, linucb, thompson, uniform
from salon.serve.live import Live
from salon.store import Store
from salon.types import FloatArray, IntArray

DIM = 4
"""Features of LinUCB: 1, the standardised score of the model, how few people like the item, and how new it is."""
MOST_ARMS = 20_000
"""Items of a scenario that are counted; those shown least are forgotten first."""
TRIES = 20


@dataclass
class _Counts:
    """What this process saw since it last told the store."""

    shown: dict[str, int] = field(default_factory=dict)
    clicks: dict[str, int] = field(default_factory=dict)
    seen: list[FloatArray] = field(default_factory=list)
    liked: list[FloatArray] = field(default_factory=list)


@dataclass(frozen=True)
class _State:
    """What all processes know together."""

    arms: Arms
    bandit: LinUCB

    @classmethod
    def of(cls, body: Mapping[str, Any] | None) -> _State:
        """What `plain` gave, or a beginning."""
        if body is None:
            return cls(Arms({}, {}), LinUCB.new(DIM))
        return cls(Arms(body["shown"], body["clicks"]), LinUCB.of(body["bandit"]))

    def plain(self) -> dict[str, Any]:
        """For the store."""
        return {"shown": dict(self.arms.shown), "clicks": dict(self.arms.clicks), "bandit": self.bandit.plain()}

    def plus(self, more: _Counts) -> _State:
        """With further counts; an item that was shown counts as not clicked until it is."""
        arms = self.arms.updated(more.shown, more.clicks)
        if len(arms.shown) > MOST_ARMS:
            kept = sorted(arms.shown, key=lambda name: -arms.shown[name])[:MOST_ARMS]
            arms = Arms({n: arms.shown[n] for n in kept}, {n: arms.clicks[n] for n in kept if n in arms.clicks})
        bandit = self.bandit
        if more.seen:
            bandit = bandit.updated(np.array(more.seen), np.zeros(len(more.seen)))
        if more.liked:
            bandit = replace(bandit, moment=bandit.moment + np.sum(more.liked, axis=0))
        return _State(arms, bandit)


class Explorers:
    """Policies of exploration and what they learned."""

    def __init__(self, store: Store) -> None:
        self.store = store
        self._known: dict[str, _State] = {}
        self._fresh: dict[str, _Counts] = {}
        self._lock = Lock()

    def policy(self, kind: str, scenario: str, live: Live, scores: FloatArray, pool: IntArray) -> Policy:
        """How the rows of a pool are taken."""
        if kind == "uniform":
            return uniform()
        state = self._known.get(scenario) or self._read(scenario)
        if kind == "thompson":
            clicks, shown = state.arms.counts([live.catalogue.ids[int(row)] for row in pool])
            return thompson(clicks, shown)
        return linucb(state.bandit.values(features(live, scores, pool)))

    def shown(self, scenario: str, names: Sequence[str], values: FloatArray) -> None:
        """Notes items that an answer explored, with their (n, DIM) features."""
        with self._lock:
            fresh = self._fresh.setdefault(scenario, _Counts())
            for name in names:
                fresh.shown[name] = fresh.shown.get(name, 0) + 1
            fresh.seen += list(values)

    def clicked(self, scenario: str, name: str, values: Sequence[float]) -> None:
        """Notes that an explored item was liked."""
        with self._lock:
            fresh = self._fresh.setdefault(scenario, _Counts())
            fresh.clicks[name] = fresh.clicks.get(name, 0) + 1
            fresh.liked.append(np.asarray(values, np.float64))

    def sync(self) -> None:
        """Adds what is new to the store, and takes over what others added.

        Raises:
            StoreError: The store cannot be reached; what is new waits.
        """
        with self._lock:
            fresh, self._fresh = self._fresh, {}
        for scenario in list(dict.fromkeys([*self._known, *fresh])):
            try:
                self._add(scenario, fresh.get(scenario))
                fresh.pop(scenario, None)
            finally:
                if scenario in fresh:
                    self._back(scenario, fresh[scenario])

    def _add(self, scenario: str, fresh: _Counts | None) -> None:
        if fresh is None:
            self._read(scenario)
            return
        for _ in range(TRIES):
            found = self.store.values.get(_key(scenario))
            state = _State.of(found[0] if found else None).plus(fresh)
            if self.store.values.put(_key(scenario), state.plain(), expected=found[1] if found else None):
                self._known[scenario] = state
                return

    def _read(self, scenario: str) -> _State:
        found = self.store.values.get(_key(scenario))
        self._known[scenario] = _State.of(found[0] if found else None)
        return self._known[scenario]

    def _back(self, scenario: str, unsaved: _Counts) -> None:
        with self._lock:
            later = self._fresh.get(scenario, _Counts())
            for mine, more in ((unsaved.shown, later.shown), (unsaved.clicks, later.clicks)):
                for name, number in more.items():
                    mine[name] = mine.get(name, 0) + number
            unsaved.seen += later.seen
            unsaved.liked += later.liked
            self._fresh[scenario] = unsaved


def features(live: Live, scores: FloatArray, rows: IntArray) -> FloatArray:
    """(n, DIM) float64, what LinUCB knows of some items for one person, each between about -1 and 1."""
    found = np.zeros((len(rows), DIM))
    if not len(rows):
        return found
    found[:, 0] = 1.0
    mine = scores[rows].astype(np.float64)
    there = np.isfinite(mine)
    spread = float(mine[there].std()) if there.any() else 0.0
    if spread > 0:
        found[there, 1] = np.clip((mine[there] - mine[there].mean()) / spread, -3, 3) / 3
    liked = np.where(np.isfinite(live.popularity[rows]), live.popularity[rows], 0.0)
    found[:, 2] = 1.0 / (1.0 + liked)
    created = live.catalogue.created[rows]
    order = np.argsort(np.argsort(created, kind="stable"), kind="stable")
    found[:, 3] = order / max(len(rows) - 1, 1)
    return found


def _key(scenario: str) -> str:
    return f"exploration:{scenario}"
