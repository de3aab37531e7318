"""Do the modalities of a catalogue find each other: an aligner fitted on some items and judged on the others."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from salon.arrays import centred_unit_rows
from salon.data import Events
from salon.encode.base import Encoder, Features, FeatureSet
from salon.encode.pictures import Lite0
from salon.encode.sounds import MusiCNN
from salon.encode.words import Words
from salon.errors import DataError
from salon.fuse.align import Aligner, held_out
from salon.fuse.align_report import AlignmentReport, alignment_report
from salon.types import IntArray

LEAST = 20
"""Items that must be held out for a report."""


def judged_items(features: FeatureSet, *, share: float = 0.2, rng: np.random.Generator | None = None) -> IntArray:
    """The rows of a share of the items that have two modalities or more, drawn by `rng`.

    Raises:
        DataError: They are fewer than 20.
    """
    present = np.column_stack([part.present for part in features.values()]) if features else np.zeros((0, 0), bool)
    _, chosen = held_out(present, share, np.random.default_rng(0) if rng is None else rng)
    if len(chosen) < LEAST:
        raise DataError(
            f"{len(chosen)} items are too few to judge alignment by.",
            hint=f"It takes {LEAST} with two modalities, a fifth of all that have two.",
        )
    return chosen


def judged_alignment(
    aligner: Aligner,
    features: FeatureSet,
    judged: IntArray,
    events: Events | None = None,
    *,
    ks: Sequence[int] = (1, 10),
    rng: np.random.Generator | None = None,
) -> AlignmentReport:
    """Fits an aligner without the judged items and reports on them alone.

    Args:
        aligner: Not fitted; it is fitted here.
        features: Of all items, as encoded.
        judged: Rows that the aligner must not see, such as `judged_items` gives.
        events: For aligners that learn from them.
        ks: Cut-offs of recall.
        rng: For the fit.
    """
    hidden = FeatureSet({name: part.hide(judged) for name, part in features.items()}, features.n_items)
    aligned = aligner.fit(hidden, events, rng=rng).transform(features.take(judged))
    return alignment_report(aligned.only(aligner.aligned), ks=ks)


def worded(encoders: Mapping[str, Encoder], features: FeatureSet, *, text: str = "text") -> FeatureSet:
    """What can be compared without any alignment: texts, and pictures and sounds by the names of what is in them.

    Args:
        encoders: By the names of the features.
        features: As these encoders made them.
        text: The name of the texts.

    Returns:
        The texts and every modality whose encoder names classes, in the space of the text encoder (see `Words`);
        fewer than two where nothing can be compared.
    """
    if text not in features or text not in encoders:
        return FeatureSet({}, features.n_items)
    own = features[text]
    found = {text: Features(centred_unit_rows(own.vectors, own.present), own.present, own.fingerprint)}
    for name, part in features.items():
        encoder = encoders.get(name)
        if isinstance(encoder, Lite0 | MusiCNN):
            vectors = Words(encoder, encoders[text]).text_vectors(part.vectors)
            vectors = np.where(part.present[:, None], vectors, np.float32(0))
            found[name] = Features(vectors, part.present, own.fingerprint)
    return FeatureSet(found, features.n_items)
