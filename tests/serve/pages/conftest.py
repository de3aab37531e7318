"""A real service over a small drawn shop, and a browser that looks at its pages."""

import json
import shutil
import socket
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import uvicorn
from pages_site import WIDE, Site, Visit

from salon.data.worlds import draw_shop
from salon.pipeline import Pipeline
from salon.pipeline_judge import judge
from salon.serve.app import create_app
from salon.serve.keys import make_key
from salon.serve.service import LiveService
from salon.serve.settings import ServeSettings
from salon.serve.state import Tenant

SETTINGS = """[encode]
text = { name = "hashing", dim = 64 }
image = "colour"
audio = "logmel"
video = "none"

[model]
name = "linear"
search = false
point = { media = { text = 2.0, image = 2.0, audio = 2.0 } }
"""
QUIET = ("quic", "background-networking", "component-update", "sync", "gpu")
ARGUMENTS = ["--no-sandbox", "--no-first-run", *(f"--disable-{what}" for what in QUIET)]
BROWSERS = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")


@pytest.fixture(scope="session")
def drawn_model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A fitted model beside a comparison, over a drawn shop of 44 things."""
    folder = tmp_path_factory.mktemp("pages")
    world = draw_shop(folder / "shop", seed=3, items=44, people=40)
    (folder / "damaged.txt").write_text(world.planted["truncated"][0])
    shop = folder / "shop" / "shop.toml"
    shop.write_text(shop.read_text().replace('[model]\nname = "linear"\n', SETTINGS))
    pipeline = Pipeline.read(shop).encode().fit(rng=0)
    pipeline.save(folder / "model")
    trial = judge(pipeline, ["itemknn", "popular", "random"], seed=0)
    (folder / "report.json").write_text(json.dumps(trial.report.to_dict()))
    return folder / "model"


@pytest.fixture(scope="session")
def site(drawn_model: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    """The service of the drawn shop, listening on the loopback until the tests end."""
    service = LiveService(drawn_model, home=tmp_path_factory.mktemp("home"))
    service.start()
    text, key = make_key("tests", ["admin"])
    service.engine.store.keys.add(key)
    settings = ServeSettings()
    tenant = Tenant.of("default", service, service.engine.store, settings.limits)
    app = create_app({"default": tenant}, settings, bytes(range(32)))
    with socket.socket() as listening:
        listening.bind(("127.0.0.1", 0))
        server = uvicorn.Server(uvicorn.Config(app, log_config=None))
        thread = threading.Thread(target=server.run, kwargs={"sockets": [listening]})
        thread.start()
        while thread.is_alive() and not server.started:
            time.sleep(0.02)
        address = f"http://127.0.0.1:{listening.getsockname()[1]}"
        damaged = (drawn_model.parent / "damaged.txt").read_text()
        yield Site(address, text, drawn_model.parent / "shop", damaged)
        server.should_exit = True
        thread.join(20)


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    """A headless Chromium of this machine; where there is none the tests are skipped.

    It ends with its file: while it lives this thread has a running event loop, and no other test could start one.
    """
    sync_api = pytest.importorskip("playwright.sync_api", reason="the browser tests need playwright")
    found = next(filter(None, map(shutil.which, BROWSERS)), None)
    if found is None:
        pytest.skip(f"no browser was found: looked for {', '.join(BROWSERS)}")
    with sync_api.sync_playwright() as playwright:
        opened = playwright.chromium.launch(executable_path=found, args=ARGUMENTS)
        yield opened
        opened.close()


@pytest.fixture
def visit(browser: Any, site: Site) -> Iterator[Callable[..., Visit]]:
    """Opens windows: by default signed in, wide, in English; each must end without complaints or outside requests."""
    contexts, visits = [], []

    def make(*, signed_in: bool = True, size: dict[str, int] = WIDE, locale: str = "en-GB", **more: Any) -> Visit:
        context = browser.new_context(viewport=size, locale=locale, reduced_motion="reduce", **more)
        contexts.append(context)
        if signed_in:
            assert context.request.post(f"{site.address}/v1/session", data={"key": site.key}).ok
        visits.append(Visit(context.new_page(), site))
        return visits[-1]

    yield make
    for context in contexts:
        context.close()
    assert not [complaint for one in visits for complaint in one.complaints]
    assert not [address for one in visits for address in one.elsewhere]
