"""Choosing settings on validation by Optuna: within a budget, resumable after a kill, and never near the test.

A space of few combinations is tried whole, in a random order; a large or continuous one by the tree-structured Parzen
estimator (Bergstra et al. 2011). Where a model tells validation scores while it trains, a trial among the last quarter
at the same epoch is stopped (after the median rule of Golovin et al. 2017, but later and more rarely: a comparison at
an early epoch favours large steps). The defaults are measured first, so that what tuning gained is known. Importances
are shares of variance where a grid was tried whole, else PED-ANOVA (Watanabe et al. 2023).

    folder/study.db     every trial; a run that was killed goes on from it, and its unfinished trial is tried again
"""

from __future__ import annotations

import hashlib
import json
import time
import warnings
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import optuna
from optuna.trial import TrialState

from salon.data import Dataset, Holdout
from salon.encode.base import FeatureSet
from salon.errors import DataError, SalonError, SettingError
from salon.evaluate.space import Choice, Space, all_settings, as_plain, combinations
from salon.evaluate.tuned import Plan, Tried, Tuned, holdout_value, measure_of, model_of
from salon.models.base import Recommender
from salon.training.watch import watching
from salon.types import Progress

WHOLE = 60
"""Spaces of up to so many combinations are tried whole."""
LOOKS = 10
"""Validation scores of a trial before it may be stopped; stopped sooner, small steps would never win."""
LAST = 25
"""Percent of the trials, the last ones at an epoch, in which one is stopped."""
STARTUP = 4
"""Trials that run to their end before any is stopped early."""


def tune(
    plan: Plan, train: Dataset, valid: Holdout, features: FeatureSet, folder: Path, progress: Progress | None = None
) -> Tuned:
    """Searches, or goes on searching, for the settings that are best on validation.

    Args:
        plan: What is asked for.
        train: What models learn from.
        valid: The questions that judge them; also given to `fit`, for models that stop early by it.
        features: Of the items.
        folder: Of the study; made if needed.
        progress: Called after each trial.

    Raises:
        SettingError: The metric is unknown, there is no budget, or the folder holds another study.
        DataError: Validation is empty, or every trial failed.
    """
    if plan.seconds is None and plan.trials is None:
        raise SettingError("There is no budget.", hint="Give seconds or a number of trials.")
    measure_of(plan.metric)
    if not len(valid):
        raise DataError("There is no validation question.", hint="Choose another protocol; people need three likes.")
    folder.mkdir(parents=True, exist_ok=True)
    with ExitStack() as stack:
        stack.enter_context(warnings.catch_warnings())
        optuna.logging.set_verbosity(optuna.logging.ERROR)
        warnings.simplefilter("ignore", category=optuna.exceptions.ExperimentalWarning)
        storage = optuna.storages.RDBStorage(f"sqlite:///{folder / 'study.db'}")
        stack.callback(storage.engine.dispose)
        stack.callback(storage.remove_session)
        task = Task(train, valid, features)
        search = _Search(plan, task, _study(plan, folder, storage, task))
        search.run(progress)
        return search.result()


@dataclass(frozen=True)
class Task:
    """What trials are measured on."""

    train: Dataset
    valid: Holdout
    features: FeatureSet

    def value(self, model: Recommender, metric: str, seed: int) -> float:
        """Fits a model and gives its mean metric on validation."""
        model.fit(self.train, self.features, rng=seed, validation=self.valid)
        return holdout_value(model, self.valid, metric)

    def digest(self) -> str:
        """A short name of the data, so that no study goes on with other ones."""
        found, events, targets = hashlib.sha256(), self.train.events, self.valid.targets
        for column in (events.users, events.items, events.weights, targets.indptr, targets.indices):
            found.update(np.ascontiguousarray(column).tobytes())
        for name, one in self.features.items():
            found.update(f"{name} {one.fingerprint} {one.vectors.shape}".encode())
            found.update(one.present.tobytes())
        return found.hexdigest()[:16]


def _study(plan: Plan, folder: Path, storage: Any, task: Task) -> Any:
    """The study in a folder, new or taken up."""
    about = {
        "model": plan.model,
        "base": dict(plan.base),
        "space": as_plain(plan.space),
        "metric": plan.metric,
        "seed": plan.seed,
        "data": task.digest(),
    }
    about = json.loads(json.dumps(about))
    late = optuna.pruners.PercentilePruner(100.0 - LAST, n_startup_trials=STARTUP)
    pruner = late if plan.prune else optuna.pruners.NopPruner()
    study = optuna.create_study(
        storage=storage,
        study_name="salon tune",
        direction="maximize",
        load_if_exists=True,
        pruner=pruner,
    )
    known = study.user_attrs.get("about")
    if known is None:
        study.set_user_attr("about", about)
    elif known != about:
        other = [key for key in about if known.get(key) != about[key]]
        raise SettingError(
            f"{str(folder)!r} holds a study with another {' and '.join(other)}.", hint="Choose another folder."
        )
    return study


class _Search:
    """One run of a study."""

    def __init__(self, plan: Plan, task: Task, study: Any) -> None:
        self.plan, self.task, self.study = plan, task, study
        self.killed: list[dict[str, Any]] = []
        self.spent = float(study.user_attrs.get("seconds", 0.0))
        count = combinations(plan.space)
        self.whole = list(all_settings(plan.space)) if count is not None and count <= WHOLE else None
        if self.whole is not None:
            order = np.random.default_rng(plan.seed).permutation(len(self.whole))
            self.whole = [self.whole[i] for i in order]

    def run(self, progress: Progress | None) -> None:
        """Trials until the budget is spent or the space tried."""
        self._bury_the_killed()
        total = self.plan.trials or (len(self.whole) if self.whole else 0)
        if "default" not in self.study.user_attrs:
            began = time.perf_counter()
            self.study.set_user_attr(
                "default", self.task.value(model_of(self.plan, {}), self.plan.metric, self.plan.seed)
            )
            self._spend(time.perf_counter() - began)
        while not self._is_spent():
            settings = self._untried()
            if self.whole is not None and settings is None:
                return
            self._try(settings)
            if progress:
                done = len(self._ended())
                progress(done, max(total, done), f"trials of {self.plan.model}")

    def _ended(self) -> list[Any]:
        states = (TrialState.COMPLETE, TrialState.PRUNED, TrialState.FAIL)
        found = self.study.get_trials(deepcopy=False, states=states)
        return [t for t in found if "seconds" in t.user_attrs]  # those that were killed have none

    def _is_spent(self) -> bool:
        plan = self.plan
        if plan.trials is not None and len(self._ended()) >= plan.trials:
            return True
        return plan.seconds is not None and self.spent >= plan.seconds

    def _spend(self, seconds: float) -> None:
        self.spent += seconds
        self.study.set_user_attr("seconds", self.spent)

    def _bury_the_killed(self) -> None:
        """A trial still running is of a run that was killed: it failed, and is tried again first."""
        for old in self.study.get_trials(deepcopy=False, states=(TrialState.RUNNING,)):
            self.study.tell(old.number, state=TrialState.FAIL)
            if self.whole is None and len(old.params) == len(self.plan.space):
                self.killed.append(dict(old.params))

    def _untried(self) -> dict[str, Any] | None:
        """The next combination of a space that is tried whole."""
        tried = [t.params for t in self._ended()]
        return next((s for s in self.whole or () if _words(s) not in tried), None)

    def _sampler(self, settings: Mapping[str, Any] | None) -> Any:
        """Gives what is to be tried next; equal numbers of trials give equal samplers, killed or not."""
        seed = 1000 * self.plan.seed + len(self._ended())
        sampler = optuna.samplers.TPESampler(seed=seed)
        fixed = _words(settings) if settings is not None else self.killed.pop() if self.killed else None
        return sampler if fixed is None else optuna.samplers.PartialFixedSampler(fixed, sampler)

    def _try(self, settings: Mapping[str, Any] | None) -> None:
        self.study.sampler = self._sampler(settings)
        began, trial = time.perf_counter(), self.study.ask()
        chosen = {name: _suggest(trial, name, part) for name, part in self.plan.space.items()}
        value: float | None = None
        state = TrialState.COMPLETE
        try:
            with watching(_StopIfBehind(trial)):
                value = self.task.value(model_of(self.plan, chosen), self.plan.metric, self.plan.seed)
        except optuna.TrialPruned:
            state = TrialState.PRUNED
        except SalonError as error:
            trial.set_user_attr("error", str(error))
            state = TrialState.FAIL
        seconds = time.perf_counter() - began
        trial.set_user_attr("seconds", seconds)
        self.study.tell(trial, value, state=state) if value is not None else self.study.tell(trial, state=state)
        self._spend(seconds)

    def result(self) -> Tuned:
        """The best of all runs."""
        trials = tuple(_tried(t, self.plan.space) for t in self._ended())
        done = [t for t in trials if t.state == "complete" and t.value is not None]
        if trials and not done and all(t.state == "failed" for t in trials):
            raise DataError(f"All {len(trials)} trials failed, the first with: {trials[0].error}")
        default = float(self.study.user_attrs["default"])
        whole = self.whole is not None and self._untried() is None
        best = max(done, key=lambda t: t.value or 0.0, default=None)
        better = best is not None and best.value is not None and best.value > default
        return Tuned(
            plan=self.plan,
            default=default,
            value=best.value if better and best is not None and best.value is not None else default,
            settings=best.settings if better and best is not None else {},
            trials=trials,
            importance=_main_effects(trials) if whole and len(done) == len(trials) else _importance(self.study),
            seconds=self.spent,
            complete=whole,
        )


class _StopIfBehind:
    """Ends a trial among the last quarter, once it has told enough to be judged by."""

    def __init__(self, trial: Any) -> None:
        self.trial, self.looks = trial, 0

    def __call__(self, epoch: int, score: float) -> None:
        self.looks += 1
        self.trial.report(score, epoch)
        if self.looks >= LOOKS and self.trial.should_prune():
            raise optuna.TrialPruned


def _words(settings: Mapping[str, Any]) -> dict[str, str]:
    """Values as they stand in the study: choices are JSON text, whatever their type."""
    return {name: json.dumps(value) for name, value in settings.items()}


def _suggest(trial: optuna.Trial, name: str, part: Any) -> Any:
    if isinstance(part, Choice):
        return json.loads(trial.suggest_categorical(name, [json.dumps(v) for v in part.values]))
    if part.whole:
        return trial.suggest_int(name, int(part.low), int(part.high), log=part.log)
    return trial.suggest_float(name, part.low, part.high, log=part.log)


def _tried(trial: Any, space: Space) -> Tried:
    settings = {
        name: json.loads(value) if isinstance(space[name], Choice) else value for name, value in trial.params.items()
    }
    state = {TrialState.COMPLETE: "complete", TrialState.PRUNED: "pruned"}.get(trial.state, "failed")
    value = trial.value if state == "complete" else None
    attrs = trial.user_attrs
    return Tried(settings, state, value, float(attrs.get("seconds", 0.0)), str(attrs.get("error", "")))


def _main_effects(trials: Sequence[Tried]) -> dict[str, float]:
    """The share of the variance over a complete grid that each setting explains by itself; the rest is interplay."""
    values = np.array([one.value for one in trials], np.float64)
    total = values.var()
    found = {}
    for name in trials[0].settings if total > 0 else ():
        _, level = np.unique([json.dumps(one.settings[name]) for one in trials], return_inverse=True)
        means = np.bincount(level, values) / np.bincount(level)
        found[name] = float(means[level].var() / total)
    return dict(sorted(found.items(), key=lambda pair: -pair[1]))


def _importance(study: Any) -> dict[str, float]:
    """Shares that sum to 1; nothing with fewer than four finished trials, or where all are equally good."""
    done = study.get_trials(deepcopy=False, states=(TrialState.COMPLETE,))
    if len(done) < 4 or len({t.value for t in done}) < 2:
        return {}
    try:
        evaluator = optuna.importance.PedAnovaImportanceEvaluator()
        found = optuna.importance.get_param_importances(study, evaluator=evaluator)
    except (ValueError, RuntimeError):  # the trials cannot tell, such as when a setting took one value only
        return {}
    return {name: float(share) for name, share in found.items() if np.isfinite(share)}
