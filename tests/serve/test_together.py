"""One run serves all who came before it began, and nobody who came after."""

import threading
import time

import pytest

from salon.serve.together import Together


def test_callers_share_runs_and_each_sees_a_run_that_began_after_its_call() -> None:
    told, seen, runs = [0], [0], [0]
    wrong = []

    def work() -> None:
        value = told[0]
        time.sleep(0.002)
        seen[0] = value
        runs[0] += 1

    together, lock = Together(work), threading.Lock()

    def call() -> None:
        for _ in range(20):
            with lock:
                told[0] += 1
                mine = told[0]
            together()
            if seen[0] < mine:
                wrong.append(mine)

    threads = [threading.Thread(target=call) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not wrong
    assert runs[0] < 160, "many calls shared a run"


def test_an_error_goes_to_its_caller_and_the_next_call_works_again() -> None:
    left = [1]

    def work() -> None:
        if left[0]:
            left[0] = 0
            raise ValueError("once")

    together = Together(work)
    with pytest.raises(ValueError, match="once"):
        together()
    together()
