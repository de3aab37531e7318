"""Tuning on worlds whose best settings are known: whole grids, continuous ones, kills, early stops, mistakes."""

import json
import subprocess
import sys
import textwrap
from typing import Literal

import numpy as np
import pytest
from pydantic import Field
from scipy import sparse

from salon import registry
from salon.config import Settings
from salon.data import Dataset, Events, Holdout
from salon.encode.base import FeatureSet
from salon.errors import DataError, SettingError
from salon.evaluate.space import Choice, Range, combinations, default_space, seconds_of, space_of
from salon.evaluate.tuned import Plan, holdout_value
from salon.models.base import Recommender
from salon.models.ease import EASE
from salon.models.linear import Linear
from salon.models.neighbours import ItemKNN
from salon.training.watch import tell

optuna = pytest.importorskip("optuna")

from salon.evaluate.tune import tune  # noqa: E402

registry_words = Literal["a", "b"]
N_USERS, N_ITEMS = 60, 20
FITS: list[dict] = []


class ToySettings(Settings):
    """Settings of `Toy`."""

    good: float = Field(0.0, ge=0, le=1)
    """How clearly the targets stand out: the best value is known."""
    idle: int = Field(2, ge=0)
    """Changes nothing."""
    steps: int = Field(0, ge=0)
    """Validation scores told while training."""
    refit: bool = True
    """Would learn from validation."""


class Toy(Recommender):
    """Ranks the right items first the more, the nearer `good` is to 0.7."""

    settings: ToySettings

    def _fit(self, data, items, rng, validation):
        s = self.settings
        FITS.append({**s.model_dump(), "validation": validation is not None, "rng": float(rng.random())})
        if s.idle == 99:
            raise DataError("idle is 99.")
        for epoch in range(s.steps):
            tell(epoch + 1, -abs(s.good - 0.7))
        noise = np.random.default_rng(5).random((N_USERS, N_ITEMS))
        return {"table_": noise + (1 - 2 * abs(s.good - 0.7)) * validation.targets.toarray()}

    def _score(self, queries):
        return self.table_[queries.users]


@pytest.fixture(autouse=True)
def toy(monkeypatch):
    """The toy under a registered name."""
    FITS.clear()
    real = registry.resolve
    monkeypatch.setattr(registry, "resolve", lambda kind, name: Toy if name == "toy" else real(kind, name))


@pytest.fixture(scope="module")
def task():
    rng = np.random.default_rng(0)
    items = np.concatenate([rng.permutation(10)[:5] for _ in range(N_USERS)])
    data = Dataset.of(Events.of(np.repeat(np.arange(N_USERS), 5), items), N_USERS, N_ITEMS)
    targets = np.zeros((N_USERS, N_ITEMS), np.float32)
    targets[np.arange(N_USERS), 10 + rng.integers(10, size=N_USERS)] = 1
    return data, Holdout(data.queries(), sparse.csr_array(targets)), FeatureSet({}, N_ITEMS)


GRID = {"good": Choice((0.0, 0.4, 0.7)), "idle": Choice((1, 2))}


def test_a_small_grid_is_tried_whole_and_its_best_is_found(task, tmp_path):
    found = tune(Plan("toy", GRID, trials=50), *task, tmp_path)
    assert found.complete
    assert len(found.trials) == 6
    assert len({json.dumps(dict(t.settings), sort_keys=True) for t in found.trials}) == 6
    assert found.settings["good"] == 0.7
    assert found.value > found.default
    assert all(t.state == "complete" for t in found.trials)
    assert found.importance["good"] == pytest.approx(1)  # idle changes nothing
    assert found.importance["idle"] == pytest.approx(0, abs=1e-9)
    again = json.loads(json.dumps(found.to_dict()))
    assert (again["measured_on"], again["settings"]["good"], again["space"]["idle"]) == ("validation", 0.7, [1, 2])


def test_every_fit_sees_validation_never_refits_and_has_the_same_seed(task, tmp_path):
    tune(Plan("toy", GRID, trials=3, seed=4), *task, tmp_path)
    assert len(FITS) == 4  # the defaults first
    assert FITS[0]["good"] == 0.0
    assert all(f["validation"] and not f["refit"] for f in FITS)
    assert len({f["rng"] for f in FITS}) == 1


def test_a_continuous_space_is_searched_near_its_best(task, tmp_path):
    plan = Plan("toy", {"good": Range(0.01, 1.0), "idle": Range(1, 9, whole=True)}, trials=25)
    found = tune(plan, *task, tmp_path)
    assert len(found.trials) == 25
    assert abs(found.settings["good"] - 0.7) < 0.15
    assert isinstance(found.settings["idle"], int)
    assert not found.complete
    assert max(found.importance, key=found.importance.get) == "good"
    assert found.value == pytest.approx(max(t.value for t in found.trials))


@pytest.mark.parametrize("space", [GRID, {"good": Range(0.01, 1.0)}], ids=["grid", "range"])
def test_two_runs_equal_one(task, tmp_path, space):
    once = tune(Plan("toy", space, trials=6), *task, tmp_path / "a")
    tune(Plan("toy", space, trials=2), *task, tmp_path / "b")
    FITS.clear()
    twice = tune(Plan("toy", space, trials=6), *task, tmp_path / "b")
    assert len(FITS) == 4
    assert [t.settings for t in twice.trials] == [t.settings for t in once.trials]
    assert twice.value == once.value
    tune(Plan("toy", space, trials=6), *task, tmp_path / "b")
    assert len(FITS) == 4  # nothing is left to do


@pytest.mark.parametrize("space", [GRID, {"good": Range(0.01, 1.0)}], ids=["grid", "range"])
def test_a_trial_that_was_killed_is_tried_again(task, tmp_path, space, monkeypatch):
    class Killed(BaseException):
        pass

    def kill(*_):
        if len(FITS) == 3:
            raise Killed

    plan = Plan("toy", space, trials=5)
    original = Toy._fit
    monkeypatch.setattr(Toy, "_fit", lambda self, *a: (original(self, *a), kill())[0])
    with pytest.raises(Killed):
        tune(plan, *task, tmp_path)
    killed = FITS[-1]
    monkeypatch.setattr(Toy, "_fit", original)
    found = tune(plan, *task, tmp_path)
    assert len(found.trials) == 5
    assert FITS[3]["good"] == killed["good"]
    assert all(t.state == "complete" for t in found.trials)


def test_a_real_kill_leaves_a_study_that_goes_on(tmp_path):
    script = textwrap.dedent(
        """
        import os, sys
        from pathlib import Path
        from salon.data import Dataset, Events
        from salon.data.split import random_split
        from salon.encode.base import FeatureSet
        from salon.evaluate.space import Choice
        from salon.evaluate.tune import tune
        from salon.evaluate.tuned import Plan
        users = [u for u in range(20) for _ in range(6)]
        items = [(u % 2) + 2 * ((u + 3 * i) % 7) for u in range(20) for i in range(6)]
        split = random_split(Dataset.of(Events.of(users, items), 20, 15))
        seen = []
        def stop(done, total, what):
            if sys.argv[2] == "kill" and done == 2:
                os._exit(9)
        plan = Plan("itemknn", {"k": Choice((1, 2, 3, 4))}, trials=4)
        found = tune(plan, split.train, split.valid, FeatureSet({}, 15), Path(sys.argv[1]), stop)
        print(len(found.trials), found.complete)
        """
    )
    command = [sys.executable, "-c", script, str(tmp_path)]
    assert subprocess.run([*command, "kill"], check=False, timeout=120).returncode == 9
    done = subprocess.run([*command, "go on"], capture_output=True, text=True, check=True, timeout=120)
    assert done.stdout.split() == ["4", "True"]


def test_trials_among_the_last_are_stopped_while_they_train_but_not_soon(task, tmp_path):
    good = Choice((0.7, 0.69, 0.71, 0.68, 0.67, 0.66, 0.72, 0.0, 0.1))
    early = tune(Plan("toy", {"good": good}, base={"steps": 9}, trials=30, seed=0), *task, tmp_path / "early")
    assert {t.state for t in early.trials} == {"complete"}
    found = tune(Plan("toy", {"good": good}, base={"steps": 10}, trials=30, seed=0), *task, tmp_path)
    assert found.complete
    states = {t.settings["good"]: t.state for t in found.trials}
    assert {states[0.0], states[0.1]} == {"pruned"}
    assert states[0.7] == "complete"
    patient = Plan("toy", {"good": good}, base={"steps": 10}, trials=30, prune=False)
    assert {t.state for t in tune(patient, *task, tmp_path / "all").trials} == {"complete"}
    assert all((t.value is None) == (t.state == "pruned") for t in found.trials)


def test_trials_that_fail_are_told_and_the_others_count(task, tmp_path):
    found = tune(Plan("toy", {"idle": Choice((1, 99)), "good": Choice((0.7,))}, trials=9), *task, tmp_path)
    failed = [t for t in found.trials if t.state == "failed"]
    assert [t.error for t in failed] == ["idle is 99."]
    assert found.settings == {"idle": 1, "good": 0.7}
    with pytest.raises(DataError, match="All 1 trials failed"):
        tune(Plan("toy", {"idle": Choice((99,))}, trials=9), *task, tmp_path / "all")


def test_defaults_that_nothing_beats_stay(task, tmp_path):
    found = tune(Plan("toy", {"good": Choice((0.0, 0.1))}, base={"idle": 3}, trials=9), *task, tmp_path)
    worse = tune(Plan("toy", {"idle": Choice((1, 2))}, base={"good": 0.7}, trials=9), *task, tmp_path / "b")
    assert found.settings == {"good": 0.1}
    assert (worse.settings, worse.value) == ({}, worse.default)
    assert worse.importance == {}


def test_the_clock_ends_a_search_after_the_trial_that_passes_it(task, tmp_path):
    found = tune(Plan("toy", {"good": Range(0.01, 1)}, seconds=1e-9), *task, tmp_path)
    assert found.trials == ()
    assert found.settings == {}
    assert found.seconds > 0


def test_a_folder_of_another_study_is_refused(task, tmp_path):
    tune(Plan("toy", GRID, trials=1), *task, tmp_path)
    with pytest.raises(SettingError, match="another metric"):
        tune(Plan("toy", GRID, trials=1, metric="recall@5"), *task, tmp_path)
    with pytest.raises(SettingError, match="another space"):
        tune(Plan("toy", {"good": Choice((0.5,))}, trials=1), *task, tmp_path)
    data, valid, features = task
    fewer = data.with_events(data.events.take(np.arange(100)))
    with pytest.raises(SettingError, match="another data"):
        tune(Plan("toy", GRID, trials=1), fewer, valid, features, tmp_path)


def test_mistakes_are_named(task, tmp_path):
    data, _, features = task
    with pytest.raises(SettingError, match="no budget"):
        tune(Plan("toy", GRID), *task, tmp_path)
    with pytest.raises(SettingError, match=r"'ndgc@10'.*'ndcg'"):
        tune(Plan("toy", GRID, trials=1, metric="ndgc@10"), *task, tmp_path)
    empty = Holdout(data.queries(np.zeros(0, int)), sparse.csr_array((0, N_ITEMS), dtype=np.float32))
    with pytest.raises(DataError, match="no validation question"):
        tune(Plan("toy", GRID, trials=1), data, empty, features, tmp_path)
    assert not (tmp_path / "study.db").exists()


def test_the_value_is_that_of_the_definition(task):
    data, valid, _ = task
    model = Toy(good=0.7).fit(data, validation=valid)
    lists = model.recommend(valid.queries, 3).ids
    hits = [valid.targets.toarray()[u, row[row >= 0]].sum() for u, row in enumerate(lists)]
    assert holdout_value(model, valid, "recall@3") == pytest.approx(np.mean(hits))


def test_spaces_are_read_and_checked():
    space = space_of(ItemKNN, {}, sets=["k=5,10", "metric=cosine,pearson"], ranges=["shrink=1:100:log"])
    assert space == {
        "k": Choice((5, 10)),
        "metric": Choice(("cosine", "pearson")),
        "shrink": Range(1, 100, log=True, whole=True),
    }
    assert combinations(space) is None
    assert combinations(GRID) == 6
    for words, told in (
        ({"sets": ["kk=1"]}, r"'kk'.*'k'"),
        ({"sets": ["k"]}, "--set 'k' cannot be read"),
        ({"sets": ["k=0"]}, "0"),
        ({"sets": ["metric=cosine,manhattan"]}, "manhattan"),
        ({"ranges": ["shrink=5"]}, "low:high"),
        ({"ranges": ["shrink=0:5:log"]}, "low above 0"),
        ({"ranges": ["shrink=-1:5"]}, "-1"),
        ({"ranges": ["shrink=5:1"]}, "cannot be read"),
    ):
        with pytest.raises(SettingError, match=told):
            space_of(ItemKNN, {}, **words)


def test_a_model_that_chooses_its_settings_itself_has_none_to_tune():
    with pytest.raises(SettingError, match="Linear has no settings to tune"):
        space_of(Linear, {})
    assert space_of(Linear, {"search": False})
    with pytest.raises(SettingError, match="EASE has no settings to tune"):
        space_of(EASE, {})
    assert space_of(EASE, {}, ranges=["reg=10:1000:log"]) == {"reg": Range(10, 1000, log=True, whole=True)}


def test_without_a_grid_the_space_follows_defaults_and_bounds():
    class Given(Settings):
        share: float = Field(0.5, ge=0, le=1)
        """A share."""
        dim: int = Field(1, ge=1)
        """Numbers."""
        word: registry_words = "a"
        """One of two words."""
        flag: bool = False
        """A switch."""
        epochs: int = 10
        """Cost."""
        own: float | None = None
        """Chosen in the fit."""
        none: float = 0.0
        """Nothing to multiply."""

    class Model(Toy):
        settings: Given

    Model.settings_class = classmethod(lambda cls: Given)
    found = default_space(Model, {})
    assert found == {
        "share": Choice((0.167, 0.5)),  # 1.5 is out of bounds
        "dim": Choice((1, 2)),
        "word": Choice(("a", "b")),
        "flag": Choice((False, True)),
    }
    assert "dim" not in default_space(Model, {"dim": 3})


@pytest.mark.parametrize("name", [n for n in registry.names("model") if not registry.extra_of("model", n)])
def test_default_grids_are_small_and_every_value_is_valid(name):
    cls = registry.resolve("model", name)
    for setting, values in cls.grid.items():
        assert 2 <= len(values) <= 4, setting
        for value in values:
            cls(**{setting: value})
    if cls.grid:
        assert 2 <= (combinations(default_space(cls, {})) or 0) <= 60


def test_budgets_are_durations():
    assert [seconds_of(t) for t in ("90s", "10m", "2h", "30", "0.5m")] == [90, 600, 7200, 30, 30]
    for text in ("", "m", "ten", "-5s", "0", "nanm", "infs"):
        with pytest.raises(SettingError, match="no duration"):
            seconds_of(text)
