"""What all tests share: where the real data sets are, if they are."""

import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
from hypothesis import settings
from PIL import Image

from postgres_server import PostgresServer, binaries
from salon.store import open_store
from store_tools import wipe

REPO = Path(__file__).resolve().parent.parent
settings.register_profile("salon", deadline=None)  # a busy machine is no fault of the code
settings.load_profile("salon")


@pytest.fixture(scope="session")
def repo() -> Path:
    return REPO


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """The folder of real data sets beside the project; the test is skipped where it is absent."""
    folder = REPO.parent / "shared" / "data"
    if not folder.is_dir():
        pytest.skip("the real data sets are not here")
    return folder


@pytest.fixture(scope="session")
def shared_splits() -> Path:
    """The folder of the peers' splits; the test is skipped where it is absent."""
    folder = REPO.parent / "shared" / "splits"
    if not folder.is_dir():
        pytest.skip("the splits are not here")
    return folder


def write_shop(folder: Path, *, model: str = 'name = "ease"') -> Path:
    """A tiny catalogue of files: 24 things in two colours, 30 people who each like one colour, and the odd flaw."""
    rng = np.random.default_rng(0)
    (folder / "media").mkdir(parents=True, exist_ok=True)
    rows = ["id,name,photo,kind,price"]
    for i in range(24):
        colour = ("crimson", "azure")[i % 2]
        photo = f"media/{i}.png"
        fill = (200 + i, 20, 30) if i % 2 == 0 else (20, 40, 200 + i)
        Image.new("RGB", (32, 32), fill).save(folder / photo)
        rows.append(f"thing-{i:02d},A {colour} thing number {i},{photo},{colour},{10 + i}")
    (folder / "media/3.png").write_bytes((folder / "media/3.png").read_bytes()[:40])
    rows.append("thing-24,A crimson thing nobody touched,,crimson,40")
    rows.append(",nameless,,,1")
    (folder / "items.csv").write_text("\n".join(rows) + "\n", encoding="utf-8")
    events = ["user,item,at,action"]
    for user in range(30):
        liked = [i for i in range(24) if i % 2 == user % 2]
        for time, item in enumerate(rng.permutation(liked)[:8]):
            events.append(f"p{user:02d},thing-{item:02d},{1000 + time},{'buy' if time % 3 == 0 else 'view'}")
        events.append(f"p{user:02d},thing-{(user + 1) % 2:02d},999,dislike")
    events.append("p00,thing-99,1200,view")
    (folder / "events.csv").write_text("\n".join(events) + "\n", encoding="utf-8")
    users = "\n".join(["id,club", *(f"p{u:02d},{('red', 'blue')[u % 2]}" for u in range(30))])
    (folder / "users.csv").write_text(users + "\n", encoding="utf-8")
    shop = folder / "shop.toml"
    shop.write_text(SHOP.replace("MODEL", model), encoding="utf-8")
    return shop


SHOP = """
[items]
path = "items.csv"
id = "id"
text = ["name"]
image = "photo"
category = ["kind"]
number = ["price"]

[events]
path = "events.csv"
user = "user"
item = "item"
time = "at"
kind = "action"
positive = { view = 1, buy = 2 }
negative = ["dislike"]

[users]
path = "users.csv"
id = "id"
category = ["club"]

[encode]
text = { name = "hashing", dim = 64 }
image = "colour"

[model]
MODEL
"""


@pytest.fixture(scope="session")
def shop(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The catalogue file of a tiny shop, shared by all tests, which must not change it."""
    return write_shop(tmp_path_factory.mktemp("shop"))


@pytest.fixture(scope="session")
def make_shop() -> Callable[..., Path]:
    """Writes a tiny shop into a folder and gives its catalogue file."""
    return write_shop


@pytest.fixture(scope="session", autouse=True)
def own_cache(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Vectors of tests go to a folder of their own; converted weights stay where they are."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("SALON_VECTORS", str(tmp_path_factory.mktemp("vectors") / "vectors.sqlite"))
        yield


@pytest.fixture(scope="session")
def postgres_server() -> Iterator[PostgresServer]:
    """A PostgreSQL of the tests' own; the test is skipped where none is installed."""
    folder = binaries()
    if folder is None:
        pytest.skip("no PostgreSQL is installed with its user: apt-get install postgresql")
    server = PostgresServer(folder)
    yield server
    server.close()


@pytest.fixture(scope="session")
def empty_sqlite(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The file of an empty store, to be copied."""
    path = tmp_path_factory.mktemp("store") / "empty.sqlite"
    open_store(path).close()
    return path


@pytest.fixture(scope="session")
def empty_postgres(postgres_server: PostgresServer) -> str:
    """The URL of a store that `store_url` wipes for each test: a fresh one would take longer than most tests."""
    url = postgres_server.new_database()
    open_store(url).close()
    return url


@pytest.fixture(params=["sqlite", "postgres"])
def store_url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """The URL of an empty store of the test's own: the test runs once on SQLite and once on PostgreSQL."""
    if request.param == "sqlite":
        path = shutil.copy(request.getfixturevalue("empty_sqlite"), tmp_path / "store.sqlite")
        return f"sqlite:///{path}"
    url: str = request.getfixturevalue("empty_postgres")
    with open_store(url) as store:
        wipe(store)
    return url
