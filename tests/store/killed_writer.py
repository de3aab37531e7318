"""Kills a process that writes events, again and again, and says which events had been acknowledged before.

    python killed_writer.py URL KILLS SEED

A program of its own, because only a process with one thread may fork safely. The child sends events through the group
commit, some of them twice, and writes their ids into a pipe once they are acknowledged.
"""

import json
import os
import random
import signal
import sys
import time

from salon.store import EventWriter, open_store
from salon.store.values import StoredEvent


def write(url: str, child: int, pipe: int) -> None:
    with open_store(url) as store, EventWriter(store) as writer:
        n = 0
        while True:
            waiting = []
            for _ in range(random.Random(n).randrange(1, 6)):
                events = [StoredEvent("u", "a", event_id=f"{child}-{n}-{part}") for part in range(3)]
                waiting += [(events, writer.submit(events)), (events[:1], writer.submit(events[:1]))]
                n += 1
            for events, answer in waiting:
                answer.result()
                os.write(pipe, "".join(event.event_id + "\n" for event in events).encode())


def kill_once(url: str, child: int, seconds: float) -> list[str]:
    """The ids that were acknowledged before the kill."""
    reading, writing = os.pipe()
    pid = os.fork()
    if pid == 0:
        try:
            write(url, child, writing)
        finally:
            os._exit(1)
    os.close(writing)
    told = os.read(reading, 1 << 16)  # waits for the first one
    time.sleep(seconds)
    os.kill(pid, signal.SIGKILL)
    _, status = os.waitpid(pid, 0)
    assert os.WTERMSIG(status) == signal.SIGKILL
    while more := os.read(reading, 1 << 16):
        told += more
    os.close(reading)
    return told.decode().splitlines()


def main() -> None:
    url, kills, seed = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])
    rng = random.Random(seed)
    told = [kill_once(url, child, rng.uniform(0, 0.05)) for child in range(kills)]
    sys.stdout.write(json.dumps(told))


if __name__ == "__main__":
    main()
