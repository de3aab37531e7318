"""The contracts of encoders, fusers and indexes."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from typing import Any

import numpy as np
from scipy import sparse

from salon.data.toy import content_world
from salon.encode.base import Encoder, FeatureSet
from salon.errors import NotFittedError
from salon.fuse.base import Fuser
from salon.index.base import Index
from salon.testing.common import (
    check_settings,
    check_unfitted,
    expect,
    expect_close,
    expect_padded,
    saved_and_loaded,
)
from salon.testing.recommenders import features_of
from salon.types import Modality, TopK


def check_encoder(cls: type[Encoder], values: Sequence[Any], *, tolerance: float = 1e-3, **settings: Any) -> None:
    """Raises AssertionError unless the class keeps the contract of encoders.

    Args:
        cls: The class; it must be registered, as saving writes its short name.
        values: At least three different raw values of its modality, as `encode` takes them.
        tolerance: Largest difference, relative to the largest number, between one value alone and in a batch;
            quantised networks need more than the default.
        settings: Settings to check it with.
    """
    check_settings(cls, settings)
    expect(isinstance(cls.modality, Modality), "The modality is declared.")
    encoder = cls(**settings)
    if cls.needs_fit:
        check_unfitted({"encode": lambda: encoder.encode(values)})
    expect(encoder.fit(values) is encoder, "fit returns the object itself.")
    vectors = encoder.encode(values)
    expect(vectors.shape == (len(values), encoder.dim), f"encode gives (n, dim), not {vectors.shape}.")
    expect(vectors.dtype == np.float32 and bool(np.isfinite(vectors).all()), "Vectors are finite float32.")
    expect(len(np.unique(vectors.round(5), axis=0)) > 1, "Different values get different vectors.")
    expect(encoder.encode([]).shape == (0, encoder.dim), "No values give no vectors of the right length.")
    one = np.concatenate([encoder.encode([value]) for value in values])
    expect_close(one, vectors, "A value alone is encoded like in a batch.", tolerance)
    turned = encoder.encode(values[::-1], batch_size=2)[::-1]
    expect_close(turned, vectors, "Order and batch size change nothing.", tolerance)
    again = cls(**settings).fit(values)
    expect(again.fingerprint == encoder.fingerprint, "The same settings and data give the same fingerprint.")
    loaded = saved_and_loaded(encoder)
    expect(loaded.fingerprint == encoder.fingerprint, "A loaded encoder has the fingerprint of the saved one.")
    expect_close(loaded.encode(values[:1]), vectors[:1], "A loaded encoder encodes like the saved one.", tolerance)


def check_fuser(cls: type[Fuser], **settings: Any) -> None:
    """Raises AssertionError unless the class keeps the contract of fusers, on two modalities with gaps.

    Args:
        cls: The class; it must be registered, as saving writes its short name.
        settings: Settings to check it with.
    """
    check_settings(cls, settings)
    world = content_world()
    features = features_of(world)
    fuser = cls(**settings)
    with suppress(NotFittedError):  # a fuser that learns nothing may also work before fit
        fuser.transform(features)
    expect(fuser.fit(features, world.data.events) is fuser, "fit returns the object itself.")
    joined = fuser.transform(features)
    expect(len(joined) > 0 and joined.n_items == features.n_items, "The joined features are over the same items.")
    expect(np.array_equal(joined.having_any(), features.having_any()), "An item has joined features if it has any.")
    for part in joined.values():
        expect(part.vectors.dtype == np.float32, "Joined vectors are float32.")
        expect(not part.vectors[~part.present].any(), "Rows of absent items are 0.")
        expect(part.fingerprint != "", "Joined features say what made them.")
    rows = np.arange(features.n_items)[::3]
    _expect_same(fuser.transform(features.take(rows)), joined.take(rows), "Every item is joined by itself.")
    _expect_same(cls(**settings).fit(features, world.data.events).transform(features), joined, "fit is repeatable.")
    _expect_same(saved_and_loaded(fuser).transform(features), joined, "A loaded fuser joins like the saved one.")


def _expect_same(one: FeatureSet, other: FeatureSet, sentence: str) -> None:
    expect(list(one) == list(other), sentence)
    for name in one:
        expect(np.array_equal(one[name].present, other[name].present), sentence)
        expect(one[name].fingerprint == other[name].fingerprint, sentence)
        expect_close(one[name].vectors, other[name].vectors, sentence)


def check_index(cls: type[Index], *, recall: float = 1.0, **settings: Any) -> None:
    """Raises AssertionError unless the class keeps the contract of indexes.

    Args:
        cls: The class; it must be registered, as saving writes its short name.
        recall: Smallest share of the true neighbours that must be found; 1 for exact indexes.
        settings: Settings to check it with.
    """
    check_settings(cls, settings)
    rng = np.random.default_rng(0)
    vectors = rng.standard_normal((300, 12)).astype(np.float32)
    queries = rng.standard_normal((20, 12)).astype(np.float32)
    index = cls(**settings)
    check_unfitted({"search": lambda: index.search(queries, 3)})
    given = vectors.copy()
    expect(index.build(given, fingerprint="toy") is index, "build returns the object itself.")
    found = index.search(queries, 10)
    _expect_neighbours(found, queries, vectors, None, recall)
    given[:] = 0
    _expect_neighbours(index.search(queries, 10), queries, vectors, None, recall)
    one = index.search(queries[:1], 10)
    expect_close(one.scores[0], found.scores[0], "A batch of one answers like a row of a batch.")
    allow = rng.random(len(vectors)) < 0.2
    _expect_neighbours(index.search(queries, 10, allow=allow), queries, vectors, np.tile(~allow, (20, 1)), recall)
    out = rng.random((20, len(vectors))) < 0.4
    exclude = sparse.csr_array(out.astype(np.float32))
    _expect_neighbours(index.search(queries, 10, exclude=exclude), queries, vectors, out, recall)
    both = index.search(queries, 10, exclude=exclude, allow=allow)
    _expect_neighbours(both, queries, vectors, out | ~allow, recall)
    expect_padded(index.search(queries, 400), 20, 400)
    expect_padded(index.search(queries[:0], 5), 0, 5)
    none = index.search(queries, 3, allow=np.zeros(len(vectors), bool))
    expect((none.ids == -1).all(), "Where nothing is allowed the rows are empty.")
    loaded = saved_and_loaded(index).search(queries, 10)
    expect_close(loaded.scores, found.scores, "A loaded index finds what the saved one finds.")


def _expect_neighbours(found: TopK, queries: Any, vectors: Any, out: Any, recall: float) -> None:
    scores = queries @ vectors.T
    if out is not None:
        scores[out] = -np.inf
    expect_padded(found, len(queries), found.k)
    place = np.maximum(found.ids, 0)
    own = np.where(found.ids >= 0, np.take_along_axis(scores, place, axis=1), -np.inf)
    expect_close(found.scores, own, "Scores are the dot products of allowed items.")
    edge = -np.sort(-scores, axis=1)[:, [min(found.k, scores.shape[1]) - 1]]
    wanted = np.minimum((scores > -np.inf).sum(axis=1), found.k).sum()
    share = (own >= edge - 1e-5)[found.ids >= 0].sum() / max(1, wanted)
    expect(share >= recall, f"The index finds {share:.3f} of the true neighbours, less than {recall}.")
