"""A fit whose process is killed goes on from its checkpoint, and ends like one that was not killed."""

import json
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np

from salon.data.split import random_split
from salon.data.toy import checkerboard
from salon.models.lightgcn import LightGCN
from salon.training.watch import watching

SETTINGS = {"epochs": 8, "validate_every": 2, "patience": 0, "dim": 4, "device": "cpu"}
KILLED = """
import json, os, signal, sys
from salon.data.split import random_split
from salon.data.toy import checkerboard
from salon.models.lightgcn import LightGCN
from salon.training.watch import watching

def kill(epoch, score):
    if epoch == 6:
        os.kill(os.getpid(), signal.SIGKILL)

split = random_split(checkerboard().data, rng=0)
with watching(kill):
    LightGCN(**json.loads(sys.argv[1])).fit(split.train, rng=3, validation=split.valid)
"""


def test_a_fit_stopped_by_kill_9_goes_on_to_the_same_vectors(tmp_path: Path) -> None:
    kept = {**SETTINGS, "checkpoint": str(tmp_path / "state")}
    killed = subprocess.run([sys.executable, "-c", KILLED, json.dumps(kept)], check=False, timeout=120)
    assert killed.returncode == -signal.SIGKILL
    assert (tmp_path / "state").exists()
    split = random_split(checkerboard().data, rng=0)
    told: list[int] = []
    with watching(lambda epoch, score: told.append(epoch)):
        again = LightGCN(**kept).fit(split.train, rng=3, validation=split.valid)
    whole = LightGCN(**SETTINGS).fit(split.train, rng=3, validation=split.valid)
    assert told == [6, 8]  # not from the start
    np.testing.assert_array_equal(again.item_vectors(), whole.item_vectors())
    np.testing.assert_array_equal(again.users_, whole.users_)
