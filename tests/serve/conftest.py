"""What the tests of the service share: tiny models saved once, and services over copies of them."""

import shutil
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from salon.pipeline import Pipeline
from salon.serve.options import LiveOptions
from salon.serve.service import LiveService
from salon.serve.values import Ask, Reply

QUICK = LiveOptions(update_seconds=0.05, follow_seconds=0.05, judged_questions=5)
"""Learns at once."""
STILL = LiveOptions(update_seconds=3600, follow_seconds=3600)
"""Learns nothing by itself, so that scores stay as they are."""
LINEAR = 'name = "linear"\nsearch = false'


@pytest.fixture(scope="session")
def shop_models(make_shop: Callable[..., Path], tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """A tiny shop, and a saved model of each kind that the tests ask about; not to be written to."""
    found = {}
    for name, settings in (("linear", LINEAR), ("ease", 'name = "ease"')):
        folder = tmp_path_factory.mktemp(f"shop-{name}")
        Pipeline.read(make_shop(folder, model=settings)).fit().save(folder / "model")
        found[name] = folder
    return found


@pytest.fixture
def shop_folder(shop_models: dict[str, Path], tmp_path: Path) -> Path:
    """A copy of the shop with a fitted linear model in `model`."""
    return Path(shutil.copytree(shop_models["linear"], tmp_path / "shop"))


@pytest.fixture
def open_service() -> Iterator[Callable[..., LiveService]]:
    """Starts services and closes those that are still open at the end."""
    opened: list[LiveService] = []

    def start(folder: Path, *, options: LiveOptions = QUICK, **more: object) -> LiveService:
        service = LiveService(folder / "model", options=options, **more)  # type: ignore[arg-type]
        service.start()
        opened.append(service)
        return service

    yield start
    for service in opened:
        if service.engine.main is not None and not service.keeper.ended:
            service.close()


@pytest.fixture
def service(open_service: Callable[..., LiveService], shop_folder: Path) -> LiveService:
    """A started service over the linear model of the tiny shop, which learns nothing by itself."""
    return open_service(shop_folder, options=STILL)


def answered(service: LiveService, **ask: object) -> Reply:
    """The reply to one question."""
    (found,) = service.recommend([Ask(**ask)])  # type: ignore[arg-type]
    if isinstance(found, Exception):
        raise found
    return found


def ids(reply: Reply) -> list[str]:
    """The items of a reply."""
    return [one.id for one in reply.items]


def until(holds: Callable[[], bool], seconds: float = 20.0) -> float:
    """Seconds until something holds."""
    start = time.monotonic()
    while not holds():
        assert time.monotonic() - start < seconds, "it never came to hold"
        time.sleep(0.01)
    return time.monotonic() - start


@pytest.fixture
def ask_service() -> Callable[..., Reply]:
    """Asks one question of a service."""
    return answered


@pytest.fixture
def wait_until() -> Callable[..., float]:
    """Waits until something holds."""
    return until
