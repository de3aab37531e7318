"""Placements and experiments: bodies as they are stored, checked down to the expressions in them.

A scenario is a place where recommendations are shown, such as "home" or "basket", with defaults for every question that
names it. An experiment gives shares of the people other settings, or another version of the model.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from pydantic import Field, field_validator, model_validator

from salon.config import Settings, build
from salon.errors import SettingError, did_you_mean
from salon.feedback.experiments import assigned
from salon.rerank.expression import Expression
from salon.store import Store

SOURCES = ("similar", "popular", "new")
"""Sources beside the model that a scenario may give places to."""
LONGEST_NAME = 100
"""Characters of the name of a scenario or experiment."""


class Promotion(Settings):
    """Items that get places of their own."""

    filter: str = Field(min_length=1)
    """Which items."""
    share: float = Field(0.1, gt=0, le=1)
    """Share of the places, spread over the list."""

    @field_validator("filter")
    @classmethod
    def _check(cls, text: str) -> str:
        return _checked(text)


class Scenario(Settings):
    """Defaults of one placement."""

    filter: str = ""
    """Only items for which it holds; joined with the filter of a question."""
    booster: str = ""
    """Multiplies scores; that of a question comes on top."""
    caps: dict[str, int] = Field(default_factory=dict)
    """Field with labels or texts -> the most items of one value."""
    diversity: float = Field(0.0, ge=0, le=1)
    """0: by score alone; 1: as different as possible."""
    diversity_by: Literal["mmr", "dpp"] = "mmr"
    """How differing items are chosen: maximal marginal relevance, or a determinantal point process."""
    exploration: float = Field(0.0, ge=0, le=1)
    """Chance of each place to be given to an item that little is known about."""
    policy: Literal["uniform", "thompson", "linucb"] = "uniform"
    """How these items are chosen."""
    explore: str = ""
    """Which items may be explored; empty: the newest and the least liked ones."""
    promotions: tuple[Promotion, ...] = ()
    """Items that get places of their own."""
    sources: dict[str, float] = Field(default_factory=dict)
    """Share of the places by source: "similar" to the latest likes, "popular", "new"; the model has the others."""
    pool: int = Field(200, ge=1, le=5000)
    """Best items that caps, diversity and promotions choose from, at least; more are taken for longer lists."""

    @field_validator("filter", "booster", "explore")
    @classmethod
    def _check_text(cls, text: str) -> str:
        return _checked(text)

    @model_validator(mode="after")
    def _check_shares(self) -> Scenario:
        for name in self.sources:
            if name not in SOURCES:
                raise ValueError(f"there is no source {name!r}. {did_you_mean(name, SOURCES)}")
        shares = [*self.sources.values(), *(one.share for one in self.promotions)]
        if min(shares, default=0) < 0 or sum(shares) > 1 + 1e-9:
            raise ValueError("the shares of sources and promotions must be 0 or more, and at most 1 together")
        if min(self.caps.values(), default=1) < 1:
            raise ValueError("a cap must be at least 1")
        return self


class Variant(Settings):
    """One arm of an experiment."""

    share: float = Field(ge=0, le=1)
    """Of the people."""
    settings: dict[str, Any] = Field(default_factory=dict)
    """Settings of the scenario that are other for these people."""
    version: str = ""
    """Version of the model that answers them; empty: the live one."""

    @field_validator("settings")
    @classmethod
    def _check(cls, given: dict[str, Any]) -> dict[str, Any]:
        try:
            build(Scenario, given, where="a variant")
        except SettingError as error:
            raise ValueError(str(error)) from None
        return given


class Experiment(Settings):
    """People parted by a hash of their id; the first variant is the control."""

    variants: dict[str, Variant]
    """Name to arm; the shares sum to at most 1, the others see the scenario as it is."""
    scenario: str = ""
    """Where it runs; empty: everywhere."""
    state: Literal["running", "stopped"] = "running"
    """Whether people are assigned."""
    start: float = Field(0.0, ge=0)
    """Seconds since 1970 from which on it runs."""
    end: float | None = None
    """When it ends by itself; None: never."""
    revision: int = Field(0, ge=0)
    """Where it begins in the log; filled in when it is stored."""
    success: tuple[str, ...] = ()
    """Kinds of events that count as success; empty: every like."""
    expected: float = Field(0.02, gt=0)
    """Size of the difference in success per answer that is expected; tests are quickest where it is right."""
    guardrails: dict[str, float] = Field(default_factory=dict)
    """Kind of event -> most it may rise per answer before a variant counts as harmful, as {not_interested = 0.01}."""

    @model_validator(mode="after")
    def _check(self) -> Experiment:
        if len(self.variants) < 2:
            raise ValueError("an experiment needs two variants at least; the first is the control")
        if sum(one.share for one in self.variants.values()) > 1 + 1e-9:
            raise ValueError("the shares of the variants are more than 1 together")
        if self.end is not None and self.end <= self.start:
            raise ValueError("`end` must be after `start`")
        return self

    def runs(self, scenario: str, now: float) -> bool:
        """Whether people who ask in `scenario` take part."""
        there = self.scenario in ("", scenario)
        return there and self.state == "running" and self.start <= now and (self.end is None or now < self.end)


def _checked(text: str) -> str:
    try:
        if text:
            Expression.parse(text)
    except SettingError as error:
        raise ValueError(str(error)) from None
    return text


def named(name: str, what: str) -> str:
    """The name, if it can be one.

    Raises:
        SettingError: It is empty, too long, or has control characters.
    """
    if not name or len(name) > LONGEST_NAME or not name.isprintable():
        raise SettingError(f"{name[:40]!r} is no name of {what}.", hint=f"1 to {LONGEST_NAME} printable characters.")
    return name


@dataclass(frozen=True)
class Place:
    """What holds for one question.

    Attributes:
        settings: Of the scenario, as the variant has it.
        experiment: That the person is in, or "".
        variant: Theirs, or "".
        version: That answers, or "" for the live one.
    """

    settings: Scenario
    experiment: str = ""
    variant: str = ""
    version: str = ""


class Places:
    """Scenarios and experiments of a store, as they were when `read` was last called."""

    def __init__(self, store: Store) -> None:
        self.store = store
        self.scenarios: Mapping[str, Scenario] = {}
        self.experiments: Mapping[str, Experiment] = {}

    def read(self) -> None:
        """Takes over what is stored."""
        self.scenarios = {n: build(Scenario, body, where=n) for n, body in self.store.scenarios.all().items()}
        self.experiments = {n: build(Experiment, body, where=n) for n, body in self.store.experiments.all().items()}

    def place(self, scenario: str, person: str, now: float) -> Place:
        """What holds for a person (or session) who asks in a scenario; one that nobody defined has the defaults."""
        settings = self.scenarios.get(scenario, Scenario())
        for name, one in self.experiments.items():
            if person and one.runs(scenario, now):
                place = assigned(name, person, [v.share for v in one.variants.values()])
                if place >= 0:
                    variant, arm = list(one.variants.items())[place]
                    other = build(Scenario, {**settings.model_dump(), **arm.settings}, where=f"{name}.{variant}")
                    return Place(other, name, variant, arm.version)
        return Place(settings)

    def known(self, scenario: str) -> str:
        """`scenario` if somebody defined it, else "": callers must not be able to make labels of counts."""
        return scenario if scenario in self.scenarios else ""

    def used(self) -> Sequence[str]:
        """Versions that running experiments name."""
        found = (
            v.version for one in self.experiments.values() if one.state == "running" for v in one.variants.values()
        )
        return [version for version in dict.fromkeys(found) if version]
