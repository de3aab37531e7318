"""Stores of both kinds for the tests of the contract."""

from collections.abc import Iterator

import pytest

from salon.store import Store, open_store


@pytest.fixture
def store(store_url: str) -> Iterator[Store]:
    """An empty store, on each database."""
    with open_store(store_url) as opened:
        yield opened
