"""What travels between the routes and the service: questions, answers, and the calls that join them.

Routes turn requests into these values and answers into JSON; the service knows neither HTTP nor JSON.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal, Protocol
from urllib.parse import urlencode

from salon.store.values import Page, StoredEvent, StoredItem, StoredUser, Version


@dataclass(frozen=True)
class Ask:
    """One question for recommendations.

    Attributes:
        user: Id of a person; unknown ids are answered as people without a history. None: `history` speaks.
        history: Item ids, oldest first, of a session or of somebody in no table; joins the history of `user`.
        profile: Attributes of the person that count instead of those on record.
        k: How many items.
        scenario: Name of the placement, which brings its own rules and experiments.
        filter: Expression over item, user and context fields; only items for which it holds are answered.
        booster: Expression whose value multiplies the score of an item.
        exclude: Item ids to leave out; unknown ids are ignored.
        candidates: Item ids to rank, nothing else; None ranks the catalogue.
        diversity: 0 (by score alone) to 1 (as different as possible).
        exploration: Share of places given to items that little is known about, 0 to 1; None takes the scenario's.
        context: What is known of the moment, such as device or hour, for expressions and rankers.
        fields: Item fields to return; None returns the title alone.
        explained: Whether items come with reasons.
        language: Of reasons and notes: "en" or "zh".
        seen: Whether items of the history may come back.
        after: A recommendation id whose items are not answered again (next page).
        logged: Whether the answer is kept as an exposure, so that events can be attributed to it.
    """

    user: str | None = None
    history: tuple[str, ...] = ()
    profile: Mapping[str, str] = field(default_factory=dict)
    k: int = 10
    scenario: str = ""
    filter: str = ""
    booster: str = ""
    exclude: tuple[str, ...] = ()
    candidates: tuple[str, ...] | None = None
    diversity: float | None = None
    exploration: float | None = None
    context: Mapping[str, Any] = field(default_factory=dict)
    fields: tuple[str, ...] | None = None
    explained: bool = False
    language: str = "en"
    seen: bool = False
    after: str = ""
    logged: bool = True


@dataclass(frozen=True)
class Reason:
    """Why an item is there.

    Attributes:
        words: One sentence.
        because: Up to three (item id, title, share of the score) of the history.
        by: Kind of information ("clicks", "text", "image", ...) to its part of the score.
        despite: What speaks against it, or "".
        method: "exact" or "removal".
    """

    words: str
    because: tuple[tuple[str, str, float], ...] = ()
    by: Mapping[str, float] = field(default_factory=dict)
    despite: str = ""
    method: str = ""


@dataclass(frozen=True)
class Served:
    """One item of an answer.

    Attributes:
        id: The item.
        title: Its title.
        score: Its score after all rules; scores of different sources cannot be compared.
        source: Who found it: the model's name, "similar", "popular", "new", "promoted" or "explored".
        fields: The fields asked for.
        media: Media field to the address from which the pages load it.
        reason: Where reasons were asked for.
        propensity: The chance with which it was shown at all, where exploration was on; else 1.
    """

    id: str
    title: str
    score: float
    source: str
    fields: Mapping[str, Any] = field(default_factory=dict)
    media: Mapping[str, str] = field(default_factory=dict)
    reason: Reason | None = None
    propensity: float = 1.0


@dataclass(frozen=True)
class Reply:
    """The answer to one `Ask`.

    Attributes:
        recommendation_id: Accepted by events, and by `Ask.after`.
        items: Best first; fewer than k where fewer are allowed.
        version: Of the model that answered.
        scenario: As asked.
        experiment: Name of the experiment that the person is in, or "".
        variant: Their variant, or "".
        notes: What a caller should know, such as that only popular items could be given.
        more: Whether another page can follow.
    """

    recommendation_id: str
    items: tuple[Served, ...]
    version: str = ""
    scenario: str = ""
    experiment: str = ""
    variant: str = ""
    notes: tuple[str, ...] = ()
    more: bool = False


@dataclass(frozen=True)
class Found:
    """One item of a search.

    Attributes:
        item: As in recommendations.
        by: Channel, such as "text: same" or "image: words", or "taste", to what it adds to the score.
    """

    item: Served
    by: Mapping[str, float]


@dataclass(frozen=True)
class Receipt:
    """What became of one part of a batch.

    Attributes:
        id: The event, item or user.
        status: "known" where this event id was stored before.
        error: Where it was rejected: code, message and hint.
    """

    id: str
    status: Literal["stored", "known", "rejected"]
    error: Mapping[str, Any] | None = None


@dataclass(frozen=True)
class Job:
    """Work in the background.

    Attributes:
        id: Its name.
        kind: "encode", "update" or "refit".
        state: Where it is.
        started: Seconds since 1970.
        ended: The same, or None.
        detail: Numbers and words about it; an error with code, message and hint where it failed.
    """

    id: str
    kind: str
    state: Literal["waiting", "running", "done", "failed"]
    started: float
    ended: float | None = None
    detail: Mapping[str, Any] = field(default_factory=dict)


def media_address(item: str, field: str) -> str:
    """From where a medium of an item is loaded."""
    return f"/v1/media?{urlencode({'item': item, 'field': field})}"


class Service(Protocol):
    """Everything that a tenant's server can do. Calls are synchronous and safe from several threads.

    Every call may raise errors of the tree in `salon.errors`; bad input never raises anything else.
    """

    def start(self) -> None:
        """Opens the store, loads the live model, starts background work."""

    def close(self) -> None:
        """Ends background work and writes what waits; acknowledged events are on disk already."""

    def ready(self) -> Mapping[str, Any]:
        """Whether it can answer: {"ready": bool, "store": bool, "model": str, "error": str}."""

    # -- questions -----------------------------------------------------------------------------------------------------

    def recommend(self, asks: Sequence[Ask]) -> list[Reply | Exception]:
        """One reply per question; an error of one question does not touch the others."""

    def similar(self, item: str, ask: Ask) -> Reply:
        """The items most like `item`, under the rules of `ask`."""

    def similar_users(self, user: str, k: int) -> list[tuple[str, float]]:
        """People whose histories lead to the most similar tastes, with cosine similarity."""

    def popular(self, ask: Ask) -> Reply:
        """What most people like, under the rules of `ask`."""

    def newest(self, ask: Ask) -> Reply:
        """What came last, under the rules of `ask`; the score is the time."""

    def search(self, query: Mapping[str, str | Path], ask: Ask, taste: float = 0.3) -> list[Found]:
        """What a text, a picture, a sound or a film finds, as `Pipeline.search`, under the rules of `ask`."""

    def explain(self, ask: Ask, item: str) -> Mapping[str, Any]:
        """Why `item` has its score for the person of `ask`: the fields of `pipeline_answers.Explanation`, plain."""

    def person(self, user: str, k: int = 10, language: str = "en") -> Mapping[str, Any]:
        """One person's history with times and kinds, and what is recommended with why."""

    # -- what is told --------------------------------------------------------------------------------------------------

    def put_items(self, items: Sequence[StoredItem]) -> list[Receipt]:
        """Stores items whole, then encodes their media in the background."""

    def patch_item(self, item: str, fields: Mapping[str, Any], hidden: bool | None) -> StoredItem:
        """Changes some fields; None removes one."""

    def item(self, item: str) -> StoredItem:
        """One item."""

    def items(self, cursor: str = "", n: int = 100, filter: str = "") -> Page:
        """Items in the order of their ids."""

    def delete_items(self, items: Sequence[str]) -> int:
        """Removes items for good; they are in no answer from then on."""

    def put_medium(self, item: str, name: str, content: bytes, suffix: str) -> Job:
        """Keeps a media file of an item, after decoding it within the limits."""

    def medium(self, item: str, name: str) -> Path:
        """The file of a medium of an item."""

    def put_users(self, users: Sequence[StoredUser]) -> list[Receipt]:
        """Stores people with their attributes."""

    def patch_user(self, user: str, fields: Mapping[str, Any]) -> StoredUser:
        """Changes some attributes."""

    def user(self, user: str) -> StoredUser:
        """One person."""

    def users(self, cursor: str = "", n: int = 100) -> Page:
        """People in the order of their ids."""

    def delete_users(self, users: Sequence[str]) -> int:
        """Removes people and all they did."""

    def merge_users(self, source: str, target: str) -> int:
        """Gives everything that `source` did to `target`; how many events that were."""

    def add_events(self, events: Sequence[StoredEvent]) -> list[Receipt]:
        """Stores what people did; each "stored" is on disk when this returns, and counts in the next answer."""

    def events(self, cursor: str = "", n: int = 100, **where: str) -> Page:
        """Events in the order they came; `where` names user, item or kind."""

    def delete_events(self, **where: str) -> int:
        """Removes events by user, item, kind or event_id; at least one is named."""

    # -- keeping shop --------------------------------------------------------------------------------------------------

    def catalogue(self) -> Mapping[str, Any]:
        """Declared fields with modality, kinds of events, counts, languages."""

    def versions(self) -> list[Version]:
        """Models, newest first."""

    def refit(self) -> Job:
        """Starts to learn anew from everything stored."""

    def activate(self, version: str) -> Version:
        """Makes a version live."""

    def rollback(self) -> Version:
        """Makes the version before the live one live."""

    def jobs(self) -> list[Job]:
        """Background work, newest first."""

    def scenarios(self) -> Mapping[str, Mapping[str, Any]]:
        """Placements by name."""

    def put_scenario(self, name: str, body: Mapping[str, Any]) -> None:
        """Checks and stores a placement."""

    def delete_scenario(self, name: str) -> None:
        """Forgets a placement."""

    def experiments(self) -> Mapping[str, Mapping[str, Any]]:
        """Experiments by name."""

    def put_experiment(self, name: str, body: Mapping[str, Any]) -> None:
        """Checks and stores an experiment."""

    def delete_experiment(self, name: str) -> None:
        """Forgets an experiment."""

    def experiment_results(self, name: str) -> Mapping[str, Any]:
        """What each variant reached, with intervals that hold at any time, and the check of the sample ratio."""

    def quality(self, language: str = "en") -> Mapping[str, Any]:
        """The report on the data, its sentences in a language."""

    def map(self, most: int = 2000) -> Mapping[str, Any]:
        """The catalogue in the plane: {"items": [{id, title, x, y, label, image}], "label": field}."""

    def comparison(self) -> Mapping[str, Any]:
        """The last comparison of models: rows with accuracy and cost, or {"rows": []}."""

    def stats(self) -> Mapping[str, Any]:
        """Live numbers: events and answers per minute, sources, click-through, coverage, drift, age of the model."""
