"""The service of one tenant: everything that `salon.serve.values.Service` names, over one engine."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from salon.config import build
from salon.errors import DataError, UnknownIdError, did_you_mean
from salon.serve import insight, trials, uploads, versions
from salon.serve.asking import Asking
from salon.serve.desk import Desk
from salon.serve.engine import Engine
from salon.serve.finding import explained, newest, person, search, similar_users
from salon.serve.keeper import Keeper
from salon.serve.options import LiveOptions
from salon.serve.scenarios import Scenario, named
from salon.serve.values import Ask, Found, Job, Receipt, Reply
from salon.store.named import Named
from salon.store.values import Page, StoredEvent, StoredItem, StoredUser, Version


class LiveService:
    """See `Service`. Several may live in one process, one per tenant.

    Args:
        model: Folder that `salon fit` wrote.
        store: Path or URL of the store; None: a file in `home`.
        home: Folder of later versions and uploads; None: beside the model, its name with ".live" behind.
        options: Settings.
    """

    def __init__(
        self,
        model: Path | str,
        *,
        store: str | Path | None = None,
        home: Path | str | None = None,
        options: LiveOptions | None = None,
    ) -> None:
        self.engine = Engine(Path(model), store=store, home=None if home is None else Path(home), options=options)
        self.asking, self.desk, self.keeper = Asking(self.engine), Desk(self.engine), Keeper(self.engine)

    def start(self) -> None:
        """Opens the store, loads the live model, starts background work."""
        self.engine.open()
        self.keeper.start()

    def close(self) -> None:
        """Ends background work and writes what waits."""
        self.keeper.close()
        self.engine.close()

    def ready(self) -> Mapping[str, Any]:
        """Whether it can answer."""
        return insight.ready(self.engine)

    # -- questions -----------------------------------------------------------------------------------------------------

    def recommend(self, asks: Sequence[Ask]) -> list[Reply | Exception]:
        """One reply per question."""
        return self.asking.recommend(asks)

    def similar(self, item: str, ask: Ask) -> Reply:
        """The items most like `item`."""
        return self.asking.one(ask, item=item)

    def similar_users(self, user: str, k: int) -> list[tuple[str, float]]:
        """People of similar taste."""
        return similar_users(self.engine, user, k)

    def popular(self, ask: Ask) -> Reply:
        """What most people like."""
        return self.asking.one(ask, popular=True)

    def newest(self, ask: Ask) -> Reply:
        """What came last."""
        return newest(self.asking, ask)

    def search(self, query: Mapping[str, str | Path], ask: Ask, taste: float = 0.3) -> list[Found]:
        """What a text, a picture, a sound or a film finds."""
        return search(self.asking, query, ask, taste)

    def explain(self, ask: Ask, item: str) -> Mapping[str, Any]:
        """Why `item` has its score."""
        return explained(self.asking, ask, item)

    def person(self, user: str, k: int = 10, language: str = "en") -> Mapping[str, Any]:
        """One person's history and recommendations with why."""
        return person(self.asking, user, k, language)

    # -- what is told --------------------------------------------------------------------------------------------------

    def put_items(self, items: Sequence[StoredItem]) -> list[Receipt]:
        """Stores items whole."""
        return self.desk.put_items(items)

    def patch_item(self, item: str, fields: Mapping[str, Any], hidden: bool | None) -> StoredItem:
        """Changes some fields."""
        return self.desk.patch_item(item, fields, hidden)

    def item(self, item: str) -> StoredItem:
        """One item."""
        return self.desk.item(item)

    def items(self, cursor: str = "", n: int = 100, filter: str = "") -> Page:
        """Items in the order of their ids."""
        return self.desk.items(cursor, n, filter)

    def delete_items(self, items: Sequence[str]) -> int:
        """Removes items for good."""
        return self.desk.delete_items(items)

    def put_medium(self, item: str, name: str, content: bytes, suffix: str) -> Job:
        """Keeps a media file of an item."""
        return uploads.put_medium(self.engine, item, name, content, suffix)

    def medium(self, item: str, name: str) -> Path:
        """The file of a medium of an item."""
        return uploads.medium(self.engine, item, name)

    def put_users(self, users: Sequence[StoredUser]) -> list[Receipt]:
        """Stores people."""
        return self.desk.put_users(users)

    def patch_user(self, user: str, fields: Mapping[str, Any]) -> StoredUser:
        """Changes some attributes."""
        changed = self.engine.store.users.patch(user, fields)
        self.engine.catch_up()
        return changed

    def user(self, user: str) -> StoredUser:
        """One person."""
        return self.desk.user(user)

    def users(self, cursor: str = "", n: int = 100) -> Page:
        """People in the order of their ids."""
        return self.engine.store.users.page(cursor, n)

    def delete_users(self, users: Sequence[str]) -> int:
        """Removes people and all they did."""
        count = self.engine.store.users.delete(users)
        self.engine.catch_up()
        return count

    def merge_users(self, source: str, target: str) -> int:
        """Gives everything that `source` did to `target`."""
        count = self.engine.store.users.merge(source, target)
        self.engine.catch_up()
        return count

    def add_events(self, events: Sequence[StoredEvent]) -> list[Receipt]:
        """Stores what people did."""
        return self.desk.add_events(events)

    def events(self, cursor: str = "", n: int = 100, **where: str) -> Page:
        """Events in the order they came."""
        return self.engine.store.events.page(cursor or 0, n, **_chosen_by(where, ("user", "item", "kind")))

    def delete_events(self, **where: str) -> int:
        """Removes events."""
        count = self.engine.store.events.delete(**_chosen_by(where, ("user", "item", "kind", "event_id")))
        self.engine.catch_up()
        return count

    # -- keeping shop --------------------------------------------------------------------------------------------------

    def catalogue(self) -> Mapping[str, Any]:
        """Declared fields, kinds of events, counts, languages."""
        return insight.catalogue(self.engine)

    def versions(self) -> list[Version]:
        """Models, newest first."""
        return self.engine.registry.all()

    def refit(self) -> Job:
        """Starts to learn anew from everything stored."""
        return self.keeper.refitter.start("asked", asked=True)

    def activate(self, version: str) -> Version:
        """Makes a version live."""
        return versions.activate(self.engine, version)

    def rollback(self) -> Version:
        """Makes the version before the live one live."""
        return versions.rollback(self.engine)

    def jobs(self) -> list[Job]:
        """Background work, newest first."""
        return self.engine.jobs.all()

    def scenarios(self) -> Mapping[str, Mapping[str, Any]]:
        """Placements by name."""
        return self.engine.store.scenarios.all()

    def put_scenario(self, name: str, body: Mapping[str, Any]) -> None:
        """Checks and stores a placement."""
        where = f"scenario {named(name, 'a scenario')}"
        self.engine.store.scenarios.put(name, build(Scenario, body, where=where).model_dump(mode="json"))
        self.engine.places.read()

    def delete_scenario(self, name: str) -> None:
        """Forgets a placement."""
        self._forget(self.engine.store.scenarios, name, "scenario")

    def experiments(self) -> Mapping[str, Mapping[str, Any]]:
        """Experiments by name."""
        return self.engine.store.experiments.all()

    def put_experiment(self, name: str, body: Mapping[str, Any]) -> None:
        """Checks and stores an experiment."""
        trials.put_experiment(self.engine, name, body)

    def delete_experiment(self, name: str) -> None:
        """Forgets an experiment."""
        self._forget(self.engine.store.experiments, name, "experiment")

    def _forget(self, table: Named, name: str, what: str) -> None:
        if not table.delete(name):
            raise UnknownIdError(f"There is no {what} {name!r}.", hint=did_you_mean(name, table.all()))
        self.engine.places.read()

    def experiment_results(self, name: str) -> Mapping[str, Any]:
        """What each variant reached."""
        return trials.results(self.engine, name)

    def quality(self, language: str = "en") -> Mapping[str, Any]:
        """The report on the data."""
        return insight.quality(self.engine, language)

    def map(self, most: int = 2000) -> Mapping[str, Any]:
        """The catalogue in the plane."""
        return insight.plane_of(self.engine, most)

    def comparison(self) -> Mapping[str, Any]:
        """The last comparison of models."""
        return insight.comparison(self.engine)

    def stats(self) -> Mapping[str, Any]:
        """Live numbers."""
        return insight.stats(self.engine)


def _chosen_by(where: Mapping[str, str], known: Sequence[str]) -> dict[str, str]:
    """The conditions that are given.

    Raises:
        DataError: One is unknown.
    """
    for name in where:
        if name not in known:
            raise DataError(f"Events cannot be chosen by {name!r}.", hint=f"Known: {', '.join(known)}.")
    return {name: value for name, value in where.items() if value}
