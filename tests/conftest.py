"""What all tests share: where the real data sets are, if they are."""

from pathlib import Path

import pytest

REPO = Path(__file__).resolve().parent.parent


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
