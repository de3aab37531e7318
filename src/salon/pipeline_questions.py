"""Questions in the words of a catalogue: ids, attributes and moments, turned into `Queries`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np

from salon.data import Dataset, Queries
from salon.errors import DataError, SettingError


def questions(
    data: Dataset,
    users: Sequence[str] | None = None,
    histories: Sequence[Sequence[str]] | None = None,
    profile: Mapping[str, str] | None = None,
    *,
    times: Sequence[Sequence[float]] | None = None,
    now: float | None = None,
) -> Queries:
    """Known users by id, with the times of the log, or histories of people who are in no table.

    Args:
        data: The catalogue, the log and its people.
        users: Ids of known users.
        histories: Lists of item ids, oldest first.
        profile: Attributes of a person without a row in the user table.
        times: Seconds since 1970 of each action of `histories`.
        now: Seconds since 1970 at which all of this is asked; models that read the moment take it from here.

    Raises:
        SettingError: Both or neither of users and histories is given, or times without histories.
        DataError: Times are not as many as the actions, or the catalogue has no user attributes.
        UnknownIdError: A user or an item is unknown.
    """
    if (users is None) == (histories is None):
        raise SettingError("Give either users or histories.", hint="A history is a list of item ids.")
    if users is not None and times is not None:
        raise SettingError("Times were given for known users.", hint="Theirs are in the log; leave `times` out.")
    if users is not None:
        rows = data.users.ids.index(users)
        known = data.queries(np.unique(rows))
        queries = known.take(np.searchsorted(known.users, rows))
    else:
        histories = histories or ()
        queries = Queries.from_lists([data.items.ids.index(list(one)).tolist() for one in histories], times=times)
    if now is not None:
        queries = replace(queries, now=np.full(len(queries), now, np.float64))
    return _with_profile(data, queries, profile) if profile else queries


def _with_profile(data: Dataset, queries: Queries, profile: Mapping[str, str]) -> Queries:
    profiles = data.profiles()
    if profiles is None:
        raise DataError("The catalogue declares no user attributes.", hint="Name them under [users].")
    row = profiles.row(profile)
    return replace(queries, profiles=row[np.zeros(len(queries), np.int64)])
