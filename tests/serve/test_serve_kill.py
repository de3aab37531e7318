"""The server is killed while it stores events: what it acknowledged is there, once, and nothing else is.

Set SALON_KILLS=50 for the long drill.
"""

import os
import signal
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx
import numpy as np

from salon.serve.homes import STORE
from salon.store import open_store

KILLS = int(os.environ.get("SALON_KILLS", "3"))


class Writers:
    """Clients that send events, again with the same ids where no answer came, and remember what was acknowledged."""

    def __init__(self, key: str, count: int) -> None:
        self.key, self.address = key, ""
        self.sent: set[str] = set()
        self.acknowledged: set[str] = set()
        self.unexpected: list[str] = []
        self._running = True
        self._threads = [threading.Thread(target=self._write, args=(number,)) for number in range(count)]
        for thread in self._threads:
            thread.start()

    def _write(self, number: int) -> None:
        made = 0
        with httpx.Client(headers={"X-API-Key": self.key}, timeout=5) as client:
            while self._running:
                if not self.address:
                    time.sleep(0.01)
                    continue
                size = (1, 1, 7)[made % 3]
                names = [f"w{number}-{made}-{part}" for part in range(size)]
                made += 1
                self._send(client, [(name, f"p{number:02d}", f"thing-{made % 24:02d}") for name in names])

    def _send(self, client: httpx.Client, events: list[tuple[str, str, str]]) -> None:
        body = {"events": [{"event_id": n, "user": u, "item": i, "kind": "view"} for n, u, i in events]}
        self.sent.update(name for name, _, _ in events)
        while self._running:
            try:
                answer = client.post(f"{self.address}/v1/events", json=body)
            except httpx.HTTPError:
                time.sleep(0.01)
                continue
            if answer.status_code == 503:
                continue
            if answer.status_code != 200:
                self.unexpected.append(answer.text)
                return
            for receipt in answer.json()["results"]:
                if receipt["status"] in ("stored", "known"):
                    self.acknowledged.add(receipt["id"])
                else:
                    self.unexpected.append(str(receipt))
            return

    def stop(self) -> None:
        self._running = False
        for thread in self._threads:
            thread.join()


@contextmanager
def server(model: Path, home: Path, key_file: Path) -> Iterator[tuple[subprocess.Popen[str], str]]:
    """A server in a process of its own, and its address."""
    command = [sys.executable, "-m", "salon", "serve", str(model), "--home", str(home), "--port", "0"]
    more = [] if key_file.exists() else ["--key-file", str(key_file)]
    process = subprocess.Popen(
        [*command, *more, "--log-level", "error"], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
    )
    assert process.stdout is not None
    try:
        lines = iter(process.stdout.readline, "")
        address = next(line.split()[1].rstrip("/") for line in lines if line.startswith("Window:"))
        while process.poll() is None:
            try:
                if httpx.get(f"{address}/health/ready", timeout=5).status_code == 200:
                    break
            except httpx.HTTPError:
                time.sleep(0.02)
        yield process, address
    finally:
        process.kill()
        process.wait()
        process.stdout.close()


def test_no_acknowledged_event_is_lost_and_none_is_doubled(shop_folder: Path, tmp_path: Path) -> None:
    home, key_file = tmp_path / "home", tmp_path / "key.txt"
    with server(shop_folder / "model", home, key_file):
        pass
    with open_store(home / STORE, create=False) as store:
        before = store.events.count()
    rng = np.random.default_rng(0)
    writers = Writers(key_file.read_text().strip(), 4)
    per_life = []
    try:
        for _ in range(KILLS):
            with server(shop_folder / "model", home, key_file) as (process, address):
                known, writers.address = len(writers.acknowledged), address
                deadline = time.monotonic() + 60
                while len(writers.acknowledged) == known:
                    assert time.monotonic() < deadline, writers.unexpected or "nothing was acknowledged"
                    time.sleep(0.005)
                time.sleep(float(rng.uniform(0.0, 0.7)))
                writers.address = ""
                process.send_signal(signal.SIGKILL)
                process.wait()
                per_life.append(len(writers.acknowledged) - known)
    finally:
        writers.stop()
    assert not writers.unexpected
    assert min(per_life) > 0
    with open_store(home / STORE, create=False) as store:
        kept = Counter(event.event_id for event in everything(store) if event.event_id.startswith("w"))
        assert store.events.count() == before + len(kept)
    assert set(kept) >= writers.acknowledged, "an acknowledged event is gone"
    assert set(kept) <= writers.sent
    assert set(kept.values()) == {1}
    print(f"{KILLS} kills, {len(writers.acknowledged)} events acknowledged, {len(kept)} kept")


def everything(store):  # type: ignore[no-untyped-def]
    cursor = 0
    while True:
        page = store.events.page(cursor, 10_000)
        yield from page.rows
        if not page.cursor:
            return
        cursor = int(page.cursor)
