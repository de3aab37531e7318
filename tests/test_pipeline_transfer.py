"""A model of one shop in another one that shares no ids: at once, from a file, over the command line."""

from collections.abc import Callable
from pathlib import Path

import pytest
from typer.testing import CliRunner

from salon import Pipeline, load
from salon.cli.main import program
from salon.errors import ArtifactError, DataError, FingerprintError, SettingError

MakeShop = Callable[..., Path]
MEDIA = 'name = "fewshot"\nspace = "media"'


@pytest.fixture(scope="module")
def first(tmp_path_factory: pytest.TempPathFactory, make_shop: MakeShop) -> Path:
    """The folder of the saved first shop."""
    folder = tmp_path_factory.mktemp("shops")
    Pipeline.read(make_shop(folder / "a", model=MEDIA)).fit().save(folder / "a" / "model")
    return folder / "a" / "model"


def second(make_shop: MakeShop, folder: Path, pretrained: str, *, log: bool) -> Path:
    """Another shop with ids of its own that begins where the first one ended."""
    path = make_shop(folder, model=f'{MEDIA}\npretrained = "{pretrained}"')
    for name in ("items.csv", "events.csv"):
        table = folder / name
        table.write_text(table.read_text().replace("thing-", "b-"))
    if not log:
        text = path.read_text()
        path.write_text(text[: text.index("[events]")] + text[text.index("[encode]") :])
    return path


def test_a_shop_without_a_log_answers_a_history_at_once(first: Path, tmp_path: Path, make_shop: MakeShop) -> None:
    beside = first.parent.parent / "b"
    beside.mkdir()
    shop = Pipeline.read(second(make_shop, beside, "../a/model", log=False)).fit()
    red, blue = shop.recommend(histories=[["b-02"], ["b-07"]], k=6)
    for answer, side in ((red, 0), (blue, 1)):
        assert all(int(one.id[-2:]) % 2 == side for one in answer.items)
        assert {one.source for one in answer.items} == {"fewshot"}
    shop.save(tmp_path / "model")
    again = load(tmp_path / "model").recommend(histories=[["b-02"], ["b-07"]], k=6)
    assert again == [red, blue]


def test_a_shop_with_a_log_begins_where_the_other_ended(first: Path, tmp_path: Path, make_shop: MakeShop) -> None:
    shop = Pipeline.read(second(make_shop, tmp_path, str(first), log=True)).fit()
    (answer,) = shop.recommend(users=["p00"], k=3)
    assert all(int(one.id[-2:]) % 2 == 0 for one in answer.items)


def test_the_command_line_fits_it_and_names_a_next_step_without_people(
    first: Path, tmp_path: Path, make_shop: MakeShop
) -> None:
    path, run = second(make_shop, tmp_path, str(first), log=False), CliRunner()
    done = run.invoke(program(), ["fit", str(path), "--out", str(tmp_path / "model")])
    assert done.exit_code == 0
    assert "--history b-00" in done.output.replace("\n", " ")
    told = run.invoke(program(), ["recommend", str(tmp_path / "model"), "--history", "b-02", "-k", "3", "--json", "-"])
    assert '"id": "b-' in told.output


def test_what_does_not_fit_is_told(first: Path, tmp_path: Path, make_shop: MakeShop) -> None:
    path = second(make_shop, tmp_path, str(first), log=False)
    text = path.read_text()
    path.write_text(text.replace("dim = 64", "dim = 32"))
    with pytest.raises(FingerprintError, match="'text'"):
        Pipeline.read(path).fit()
    path.write_text(text.replace('"media"', '"clicks"'))
    with pytest.raises(SettingError, match="space is clicks"):
        Pipeline.read(path).fit()
    path.write_text(text.replace(str(first), str(tmp_path / "nothing")))
    with pytest.raises(ArtifactError, match="nothing"):
        Pipeline.read(path).fit()
    path.write_text(text.replace(f'\npretrained = "{first}"', ""))
    with pytest.raises(DataError, match="no events"):
        Pipeline.read(path).fit()
