"""A service and a store in memory, which answer as the real ones are told to, for tests of the routes alone."""

from __future__ import annotations

import itertools
import threading
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from salon.errors import ConflictError, MediaError, SettingError, UnknownIdError, did_you_mean
from salon.language.sentences import Sentence, said
from salon.media.image import decode_image
from salon.serve.values import Ask, Found, Job, Reason, Receipt, Reply, Served
from salon.store.values import AuditEntry, Page, StoredEvent, StoredItem, StoredKey, StoredReply, StoredUser, Version

SECRET = bytes(range(32))


@dataclass
class Running:
    """An app that runs, its services by tenant, and the text of a key by scope."""

    client: Any
    services: dict[str, MemoryService]
    keys: dict[str, str]

    @property
    def service(self) -> MemoryService:
        return self.services["default"]

    def headers(self, scope: str = "admin") -> dict[str, str]:
        return {"Authorization": f"Bearer {self.keys[scope]}"}


def shop_items() -> list[StoredItem]:
    kinds = ("lamp", "chair", "rug")
    return [
        StoredItem(f"a-{i}", {"title": f"A {c} {kinds[i % 3]}", "kind": kinds[i % 3], "colour": c}, created=1000.0 + i)
        for i, c in enumerate(("red", "blue", "red", "green", "red", "blue", "green", "red", "blue", "red"))
    ]


@dataclass
class Table:
    rows: dict[str, Any] = field(default_factory=dict)

    def get(self, ids: Sequence[str]) -> dict[str, Any]:
        return {name: self.rows[name] for name in ids if name in self.rows}

    def page(self, after: str = "", n: int = 100) -> Page:
        names = sorted(name for name in self.rows if name > after)
        return Page(tuple(self.rows[name] for name in names[:n]), names[n - 1] if len(names) > n else "")


class Keys(Table):
    def add(self, key: StoredKey) -> None:
        self.rows[key.prefix] = key

    def find(self, prefix: str) -> StoredKey | None:
        return self.rows.get(prefix)

    def all(self) -> list[StoredKey]:
        return list(self.rows.values())

    def revoke(self, prefix: str) -> None:
        self.rows[prefix] = replace(self.rows[prefix], revoked=time.time())

    def touch(self, prefix: str, when: float) -> None:
        self.rows[prefix] = replace(self.rows[prefix], last_used=when)


class Audit:
    def __init__(self) -> None:
        self.entries: list[AuditEntry] = []

    def append(self, actor: str, action: str, target: str, detail: Mapping[str, Any]) -> None:
        self.entries.append(AuditEntry(len(self.entries) + 1, time.time(), actor, action, target, detail))

    def page(self, after: int | str = 0, n: int = 100) -> Page:
        rows = tuple(e for e in reversed(self.entries) if not int(after) or e.id < int(after))
        return Page(rows[:n], str(rows[n - 1].id) if len(rows) > n else "")


class Replies(Table):
    def get(self, key: str) -> StoredReply | None:  # type: ignore[override]
        return self.rows.get(key)

    def put(self, reply: StoredReply) -> bool:
        return self.rows.setdefault(reply.key, reply) is reply

    def expire(self, before: float) -> int:
        old = [key for key, reply in self.rows.items() if reply.time < before]
        return sum(self.rows.pop(key) is not None for key in old)


class MemoryStore:
    def __init__(self) -> None:
        self.items, self.users, self.keys = Table(), Table(), Keys()
        self.audit, self.replies = Audit(), Replies()


class MemoryService:
    """Ranks by how many fields an item shares with the history, then by how many people touched it."""

    def __init__(self, folder: Path, store: MemoryStore | None = None) -> None:
        self.folder = folder
        self.store = store or MemoryStore()
        self.log: list[StoredEvent] = []
        self.shown: dict[str, tuple[Ask, list[str]]] = {}
        self.placements: dict[str, dict[str, Any]] = {}
        self.trials: dict[str, dict[str, Any]] = {}
        self.models = [Version("v2", "v2", "live", {"ndcg@10": 0.2}, 2.0, 2.0), Version("v1", "v1", "retired", {}, 1.0)]
        self.work: list[Job] = []
        self.count = itertools.count(1)
        self.lock = threading.RLock()
        self.is_ready = True

    def start(self) -> None: ...

    def close(self) -> None: ...

    def ready(self) -> Mapping[str, Any]:
        return {"ready": self.is_ready, "store": True, "model": "v2", "error": "" if self.is_ready else "no model yet"}

    # -- questions ---------------------------------------------------------------------------------------------------

    def recommend(self, asks: Sequence[Ask]) -> list[Reply | Exception]:
        replies: list[Reply | Exception] = []
        for ask in asks:
            try:
                replies.append(self._reply(ask))
            except Exception as error:
                replies.append(error)
        return replies

    def _history(self, ask: Ask) -> list[str]:
        return [e.item for e in self.log if e.user == ask.user] + list(ask.history)

    def _holds(self, item: StoredItem, filter: str) -> bool:
        """Knows `"word" in item["field"]` and `field == "word"`, joined by `and`."""
        for part in filter.split(" and ") if filter else []:
            if ' in item["' in part:
                word, _, name = part.partition(" in item[")
                value = item.fields.get(name.rstrip("]").strip('"'), [])
                if word.strip().strip('"') not in value:
                    return False
            elif "==" in part:
                name, word = (text.strip().strip('"') for text in part.split("=="))
                if item.fields.get(name) != word:
                    return False
            else:
                raise SettingError(f"The expression {filter!r} cannot be read.", hint='Write kind == "lamp".')
        return True

    def _reply(self, ask: Ask, score: Any = None, source: str = "double") -> Reply:
        history = self._history(ask)
        gone = set(ask.exclude) | {e.item for e in self.log if e.user == ask.user and e.kind == "not_interested"}
        if ask.after:
            if ask.after not in self.shown:
                raise UnknownIdError(f"There is no recommendation {ask.after!r}.")
            before, had = self.shown[ask.after]
            ask, gone = replace(before, k=ask.k), gone | set(had)
            history = self._history(ask)
        if not ask.seen:
            gone |= set(history)
        names = ask.candidates if ask.candidates is not None else sorted(self.store.items.rows)
        rows = [self.store.items.rows[n] for n in dict.fromkeys(names) if n in self.store.items.rows and n not in gone]
        rows = [row for row in rows if not row.hidden and self._holds(row, ask.filter)]
        scores = {row.id: (score or self._score)(row, history) for row in rows}
        rows.sort(key=lambda row: (-scores[row.id], row.id))
        found = source if history or score else "popular"
        items = tuple(self._served(row, scores[row.id], found, ask, history) for row in rows[: ask.k])
        name = f"r-{next(self.count)}"
        self.shown[name] = (ask, [*gone, *(item.id for item in items)])
        shown = len(items)
        notes = () if history or score else said([Sentence("no_history", count=shown, total=shown)], ask.language)
        return Reply(name, items, "v2", ask.scenario, notes=notes, more=len(rows) > ask.k)

    def _score(self, item: StoredItem, history: Sequence[str]) -> float:
        rows = self.store.items.get(history).values()
        alike = sum(row.fields.get(n) == v for row in rows for n, v in item.fields.items())
        return alike + sum(e.item == item.id for e in self.log) / 100

    def _served(self, row: StoredItem, score: float, source: str, ask: Ask, history: Sequence[str]) -> Served:
        reason = None
        if ask.explained:
            because = tuple((name, name, 0.5) for name in history[-1:])
            words = "因为你喜欢" if ask.language == "zh" else "Because of what you liked"
            reason = Reason(words, because, {"text": score}, method="removal")
        fields = {name: row.fields[name] for name in ask.fields or () if name in row.fields}
        media = {"photo": f"/v1/media?item={row.id}&field=photo"} if row.fields.get("photo") else {}
        return Served(row.id, str(row.fields.get("title", "")), float(score), source, fields, media, reason)

    def similar(self, item: str, ask: Ask) -> Reply:
        self.item(item)
        return self._reply(replace(ask, history=(item,)), source="similar")

    def similar_users(self, user: str, k: int) -> list[tuple[str, float]]:
        self.user(user)
        mine = {e.item for e in self.log if e.user == user}
        others = {e.user for e in self.log} - {user}
        scores = [
            (other, len(mine & {e.item for e in self.log if e.user == other}) / (len(mine) or 1)) for other in others
        ]
        return sorted(scores, key=lambda pair: (-pair[1], pair[0]))[:k]

    def popular(self, ask: Ask) -> Reply:
        return self._reply(ask, lambda item, _: sum(e.item == item.id for e in self.log), "popular")

    def newest(self, ask: Ask) -> Reply:
        return self._reply(ask, lambda item, _: item.created, "new")

    def search(self, query: Mapping[str, str | Path], ask: Ask, taste: float = 0.3) -> list[Found]:
        for kind, path in query.items():
            if isinstance(path, Path) and kind == "image":
                decode_image(path)
        words = set(str(query.get("text", "")).lower().split())

        def score(item: StoredItem, _: Sequence[str]) -> float:
            return len(words & set(str(item.fields.get("title", "")).lower().split()))

        reply = self._reply(replace(ask, seen=True), score, "search")
        return [Found(item, {"text: same": item.score}) for item in reply.items if item.score or not words]

    def explain(self, ask: Ask, item: str) -> Mapping[str, Any]:
        row = self.item(item)
        history = self._history(ask)
        value = self._score(row, history)
        parts = [{"id": name, "title": name, "value": value / len(history), "by": {"text": value}} for name in history]
        told = {"id": item, "title": str(row.fields.get("title", "")), "score": value, "parts": parts, "rest": 0.0}
        return {
            **told,
            "by": {"text": value},
            "method": "removal",
            "words": "Because",
            "despite": "",
            "source": "double",
        }

    def person(self, user: str, k: int = 10, language: str = "en") -> Mapping[str, Any]:
        reply = self._reply(Ask(user=user, k=k, explained=True, language=language))
        events = [{"item": e.item, "kind": e.kind, "time": e.time} for e in self.log if e.user == user]
        return {"user": user, "history": events, "recommended": [{"id": i.id, "title": i.title} for i in reply.items]}

    # -- what is told ------------------------------------------------------------------------------------------------

    def put_items(self, items: Sequence[StoredItem]) -> list[Receipt]:
        with self.lock:
            for item in items:
                self.store.items.rows[item.id] = replace(item, created=item.created or time.time())
        return [Receipt(item.id, "stored") for item in items]

    def patch_item(self, item: str, fields: Mapping[str, Any], hidden: bool | None) -> StoredItem:
        old = self.item(item)
        new = {name: value for name, value in {**old.fields, **fields}.items() if value is not None}
        self.store.items.rows[item] = replace(old, fields=new, hidden=old.hidden if hidden is None else hidden)
        return self.store.items.rows[item]

    def item(self, item: str) -> StoredItem:
        if item not in self.store.items.rows:
            raise UnknownIdError(f"There is no item {item!r}.", hint=did_you_mean(item, self.store.items.rows))
        return self.store.items.rows[item]

    def items(self, cursor: str = "", n: int = 100, filter: str = "") -> Page:
        page = self.store.items.page(cursor, n)
        return Page(tuple(row for row in page.rows if self._holds(row, filter)), page.cursor)

    def delete_items(self, items: Sequence[str]) -> int:
        with self.lock:
            self.log = [e for e in self.log if e.item not in items]
            return sum(self.store.items.rows.pop(name, None) is not None for name in items)

    def put_medium(self, item: str, name: str, content: bytes, suffix: str) -> Job:
        self.item(item)
        if name != "photo":
            raise MediaError(f"The field {name!r} holds no media.", hint=did_you_mean(name, ["photo"]))
        decode_image(content)
        place = f"{next(self.count)}{suffix}"
        (self.folder / place).write_bytes(content)
        self.patch_item(item, {name: place}, None)
        self.work.insert(0, Job(f"j-{next(self.count)}", "encode", "done", time.time(), time.time(), {"item": item}))
        return self.work[0]

    def medium(self, item: str, name: str) -> Path:
        place = self.item(item).fields.get(name)
        if name != "photo" or not place:
            raise UnknownIdError(f"{item!r} has no medium {name!r}.")
        return self.folder / str(place)

    def put_users(self, users: Sequence[StoredUser]) -> list[Receipt]:
        self.store.users.rows |= {user.id: replace(user, created=time.time()) for user in users}
        return [Receipt(user.id, "stored") for user in users]

    def patch_user(self, user: str, fields: Mapping[str, Any]) -> StoredUser:
        old = self.user(user)
        new = {name: value for name, value in {**old.fields, **fields}.items() if value is not None}
        self.store.users.rows[user] = replace(old, fields=new)
        return self.store.users.rows[user]

    def user(self, user: str) -> StoredUser:
        if user not in self.store.users.rows:
            raise UnknownIdError(f"There is no person {user!r}.")
        return self.store.users.rows[user]

    def users(self, cursor: str = "", n: int = 100) -> Page:
        return self.store.users.page(cursor, n)

    def delete_users(self, users: Sequence[str]) -> int:
        with self.lock:
            self.log = [e for e in self.log if e.user not in users]
            return sum(self.store.users.rows.pop(name, None) is not None for name in users)

    def merge_users(self, source: str, target: str) -> int:
        with self.lock:
            moved = sum(e.user == source for e in self.log)
            self.log = [replace(e, user=target) if e.user == source else e for e in self.log]
        return moved

    def add_events(self, events: Sequence[StoredEvent]) -> list[Receipt]:
        receipts = []
        with self.lock:
            known = {e.event_id for e in self.log}
            for event in events:
                name = event.event_id or f"e-{next(self.count)}"
                if event.value is not None and event.value > 1e9:
                    error = {"code": "data", "message": "The value is too large.", "hint": "", "retryable": False}
                    receipts.append(Receipt(name, "rejected", error))
                    continue
                receipts.append(Receipt(name, "known" if name in known else "stored"))
                if name not in known:
                    known.add(name)
                    revision = next(self.count)
                    when = event.time or time.time()
                    self.log.append(replace(event, event_id=name, revision=revision, time=when))
        return receipts

    def events(self, cursor: str = "", n: int = 100, **where: str) -> Page:
        after = int(cursor) if cursor.isdecimal() else 0
        if cursor and not cursor.isdecimal():
            raise SettingError(f"The cursor {cursor!r} is none.", hint="Take it from the page before.")
        rows = [e for e in self.log if e.revision > after and all(getattr(e, k) == v for k, v in where.items())]
        return Page(tuple(rows[:n]), str(rows[n - 1].revision) if len(rows) > n else "")

    def delete_events(self, **where: str) -> int:
        with self.lock:
            kept = [e for e in self.log if not all(getattr(e, k) == v for k, v in where.items())]
            gone, self.log = len(self.log) - len(kept), kept
        return gone

    # -- keeping shop ------------------------------------------------------------------------------------------------

    def catalogue(self) -> Mapping[str, Any]:
        fields = [{"name": "title", "modality": "text"}, {"name": "photo", "modality": "image"}]
        counts = {"items": len(self.store.items.rows), "users": len(self.store.users.rows), "events": len(self.log)}
        return {
            "fields": fields,
            "kinds": ["view", "like", "not_interested"],
            "counts": counts,
            "languages": ["en", "zh"],
        }

    def versions(self) -> list[Version]:
        return list(self.models)

    def refit(self) -> Job:
        self.work.insert(0, Job(f"j-{next(self.count)}", "refit", "running", time.time()))
        return self.work[0]

    def activate(self, version: str) -> Version:
        if version not in [one.version for one in self.models]:
            raise UnknownIdError(f"There is no version {version!r}.")
        now = time.time()
        self.models = [
            replace(one, state="live", activated=now) if one.version == version else replace(one, state="retired")
            for one in self.models
        ]
        return next(one for one in self.models if one.version == version)

    def rollback(self) -> Version:
        older = [one for one in self.models if one.state == "retired"]
        if not older:
            raise ConflictError("No version came before the live one.")
        return self.activate(older[0].version)

    def jobs(self) -> list[Job]:
        return list(self.work)

    def scenarios(self) -> Mapping[str, Mapping[str, Any]]:
        return dict(self.placements)

    def put_scenario(self, name: str, body: Mapping[str, Any]) -> None:
        for key in body:
            if key not in ("diversity", "filter"):
                raise SettingError(f"Unknown setting {key!r}.", hint=did_you_mean(key, ("diversity", "filter")))
        self.placements[name] = dict(body)

    def delete_scenario(self, name: str) -> None:
        if self.placements.pop(name, None) is None:
            raise UnknownIdError(f"There is no scenario {name!r}.")

    def experiments(self) -> Mapping[str, Mapping[str, Any]]:
        return dict(self.trials)

    def put_experiment(self, name: str, body: Mapping[str, Any]) -> None:
        if len(body.get("variants", ())) < 2:
            raise SettingError("An experiment needs two variants.")
        self.trials[name] = dict(body)

    def delete_experiment(self, name: str) -> None:
        if self.trials.pop(name, None) is None:
            raise UnknownIdError(f"There is no experiment {name!r}.")

    def experiment_results(self, name: str) -> Mapping[str, Any]:
        if name not in self.trials:
            raise UnknownIdError(f"There is no experiment {name!r}.")
        return {"name": name, "variants": {}, "ratio": {"p": 1.0}}

    def quality(self, language: str = "en") -> Mapping[str, Any]:
        return {"findings": []}

    def map(self, most: int = 2000) -> Mapping[str, Any]:
        rows = list(self.store.items.rows.values())[:most]
        items = [{"id": r.id, "title": r.fields.get("title", ""), "x": 0.1 * i, "y": 0.0} for i, r in enumerate(rows)]
        return {"items": items, "label": "kind"}

    def comparison(self) -> Mapping[str, Any]:
        return {"rows": []}

    def stats(self) -> Mapping[str, Any]:
        placed = {"scenario": "home", "variant": "b", "answers": 4, "clicks": 1, "click_through": 0.25}
        return {
            "coverage": 0.5,
            "click_through": None,
            "model": {"age_seconds": 10.0},
            "modalities": {"text": 1.0},
            "sources": {"double": 1.0},
            "placements": [placed],
        }
