"""Whatever is asked, the answer is right or a clear error: filters, exclusions, odd ids, nulls, more than there is."""

from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from salon.errors import SalonError
from salon.serve.options import LiveOptions
from salon.serve.service import LiveService
from salon.serve.values import Ask, Reply
from salon.store.values import StoredEvent, StoredItem

ODD = ("a/b", "🙂🙃", " blank inside ", "x" * 300, "-", "%2F", "null", "0", "../up", '"quoted"')
COLOURS = ("crimson", "azure", None)
HERE = tuple(f"thing-{i:02d}" for i in range(25))
names = st.sampled_from((*HERE, *ODD, "unknown", "also unknown"))
filters = st.sampled_from(
    ("", "price < 20", 'kind == "azure"', "missing(price)", 'kind == "nothing"', "not missing(stars) and stars > 2")
)
asks = st.builds(
    Ask,
    user=st.one_of(st.none(), st.sampled_from(("p00", "p01", "stranger", *ODD))),
    history=st.lists(names, max_size=6).map(tuple),
    k=st.sampled_from((1, 2, 7, 40, 5000)),
    filter=filters,
    booster=st.sampled_from(("", "price", "2 if missing(price) else 1", "-1", "price / 0")),
    exclude=st.lists(names, max_size=6).map(tuple),
    candidates=st.one_of(st.none(), st.lists(names, max_size=8).map(tuple)),
    diversity=st.one_of(st.none(), st.floats(0, 1)),
    exploration=st.one_of(st.none(), st.floats(0, 1)),
    seen=st.booleans(),
    explained=st.booleans(),
    scenario=st.sampled_from(("", "capped", "nowhere")),
)


@pytest.fixture(scope="module")
def odd_service(shop_models: dict[str, Path], tmp_path_factory: pytest.TempPathFactory) -> Iterator[LiveService]:
    """A service whose catalogue also has items with odd ids, nulls, and fields that nobody declared."""
    folder = tmp_path_factory.mktemp("odd")
    options = LiveOptions(update_seconds=3600, follow_seconds=3600, exposures=50)
    service = LiveService(shop_models["linear"] / "model", home=folder, options=options)
    service.start()
    odd = [
        StoredItem(name, {"name": None if n % 3 == 0 else name, "kind": COLOURS[n % 3], "price": None, "stars": n})
        for n, name in enumerate(ODD)
    ]
    assert all(one.status == "stored" for one in service.put_items(odd))
    service.add_events([StoredEvent(name, name, "buy") for name in ODD])
    service.put_scenario("capped", {"caps": {"kind": 3}, "sources": {"new": 0.2}})
    yield service
    service.close()


@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(ask=asks)
def test_every_answer_keeps_every_rule(odd_service: LiveService, ask: Ask) -> None:
    (reply,) = odd_service.recommend([ask])
    assert isinstance(reply, Reply), reply
    found = [one.id for one in reply.items]
    assert len(found) == len(set(found)) <= ask.k
    assert not set(found) & set(ask.exclude)
    if ask.candidates is not None:
        assert set(found) <= set(ask.candidates)
    if not ask.seen:
        assert not set(found) & set(ask.history)
        assert ask.user not in ODD or ask.user not in found
    fields = {one: odd_service.item(one).fields for one in found}
    if ask.filter == "price < 20":
        assert all(fields[one]["price"] < 20 for one in found)
    if ask.filter == 'kind == "azure"':
        assert all(fields[one]["kind"] == "azure" for one in found)
    if ask.filter == "missing(price)":
        assert all(fields[one].get("price") is None for one in found)
    if ask.filter == 'kind == "nothing"':
        assert not found
    assert all(np.isfinite(one.score) and 0 < one.propensity <= 1 and one.source for one in reply.items)
    assert all((one.reason is not None) == ask.explained for one in reply.items[:100])
    if ask.scenario == "capped":
        kinds = [fields[one].get("kind") for one in found]
        assert all(kinds.count(kind) <= 3 for kind in ("crimson", "azure"))
    assert len(found) == ask.k or not reply.more


@settings(max_examples=30, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(ask=asks, pages=st.integers(1, 4))
def test_pages_never_repeat(odd_service: LiveService, ask: Ask, pages: int) -> None:
    (reply,) = odd_service.recommend([ask])
    seen: list[str] = []
    for _ in range(pages):
        assert isinstance(reply, Reply), reply
        mine = [one.id for one in reply.items]
        assert not set(mine) & set(seen)
        seen += mine
        (reply,) = odd_service.recommend([Ask(after=reply.recommendation_id, k=3)])


@settings(max_examples=30, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    text=st.text(max_size=60),
    user=st.text(max_size=310),
    k=st.integers(-2, 3),
    diversity=st.floats(allow_nan=True),
    context=st.dictionaries(st.text(max_size=5), st.one_of(st.none(), st.floats(), st.lists(st.text())), max_size=2),
)
def test_anything_else_is_a_clear_error(
    odd_service: LiveService, text: str, user: str, k: int, diversity: float, context: dict[str, object]
) -> None:
    (reply,) = odd_service.recommend(
        [Ask(user=user, filter=text, k=k, diversity=diversity, context=context, logged=False)]
    )
    assert isinstance(reply, Reply | SalonError), reply
    if isinstance(reply, SalonError):
        assert reply.status < 500
        assert reply.message


@settings(max_examples=40, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    user=st.text(max_size=310),
    item=st.text(max_size=310),
    kind=st.text(max_size=12),
    value=st.one_of(st.none(), st.floats()),
    time=st.floats(),
)
def test_any_event_is_stored_or_rejected(
    odd_service: LiveService, user: str, item: str, kind: str, value: float | None, time: float
) -> None:
    (receipt,) = odd_service.add_events([StoredEvent(user, item, kind, value=value, time=time)])
    assert receipt.status in ("stored", "rejected")
    assert (receipt.error is None) == (receipt.status == "stored")
    if receipt.status == "stored":
        (reply,) = odd_service.recommend([Ask(user=user, k=2, logged=False)])
        assert isinstance(reply, Reply), reply


def test_an_empty_catalogue_answers_everything(open_service: Callable[..., LiveService], shop_folder: Path) -> None:
    service = open_service(shop_folder)
    service.delete_items(HERE)
    for ask in (Ask(), Ask(user="p00", explained=True), Ask(history=("x",), filter="price < 3", diversity=0.5)):
        (reply,) = service.recommend([ask])
        assert isinstance(reply, Reply)
        assert reply.items == ()
        assert "The catalogue is empty." in reply.notes
        assert not reply.more
    assert service.search({"text": "crimson"}, Ask()) == []
    assert service.map()["items"] == []
    assert service.catalogue()["counts"]["items"] == 0
    assert service.similar_users("p00", 3) == []
