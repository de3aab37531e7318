"""`salon check --alignment`: a table of held-out items, and a clear word where they are too few."""

import json
from pathlib import Path

import numpy as np
import pytest
import typer

from salon.cli.data_verbs import check
from salon.errors import DataError


@pytest.fixture
def catalogue(tmp_path: Path) -> Path:
    """150 items whose two vectors are linear maps of one latent."""
    rng = np.random.default_rng(0)
    latent = rng.standard_normal((150, 4))
    for name, dim in (("seen", 12), ("heard", 9)):
        np.save(tmp_path / f"{name}.npy", (latent @ rng.standard_normal((4, dim))).astype(np.float32))
    rows = ["id,row,price", *(f"thing-{i},{i},{i}" for i in range(150))]
    (tmp_path / "items.csv").write_text("\n".join(rows) + "\n", encoding="utf-8")
    shop = tmp_path / "shop.toml"
    shop.write_text(
        '[items]\npath = "items.csv"\nid = "id"\nnumber = ["price"]\nvector_row = "row"\n'
        'vector = { seen = "seen.npy", heard = "heard.npy" }\n',
        encoding="utf-8",
    )
    return shop


def test_the_table_says_how_held_out_items_find_each_other(catalogue: Path, capsys: pytest.CaptureFixture[str]) -> None:
    check(catalogue, alignment=True, json="-")
    told = json.loads(capsys.readouterr().out)
    assert told["aligner"] == "CCA"
    assert told["before"] is None
    assert {(one["query"], one["item"]) for one in told["after"]["crossings"]} == {
        ("vector:seen", "vector:heard"),
        ("vector:heard", "vector:seen"),
    }
    for one in told["after"]["crossings"]:
        assert one["n"] == 30
        assert list(one["recall"]) == ["1"]  # 10 of 30 is above a quarter
        assert one["recall"]["1"] > 0.8
    check(catalogue, alignment=True, json="")
    assert "CCA learned from 120 items" in capsys.readouterr().out


def test_the_aligner_of_the_file_is_the_one_that_is_judged(catalogue: Path, capsys: pytest.CaptureFixture[str]) -> None:
    text = catalogue.read_text(encoding="utf-8")
    chosen = '[fuse]\nname = "ridgemap"\nmodalities = ["vector:seen", "vector:heard"]\n'
    catalogue.write_text(text + chosen, encoding="utf-8")
    check(catalogue, alignment=True, json="-")
    assert json.loads(capsys.readouterr().out)["aligner"] == "RidgeMap"


def test_too_few_items_are_refused(shop: Path) -> None:
    with pytest.raises((DataError, typer.Exit), match="too few to judge alignment"):
        check(shop, alignment=True, json="-")
