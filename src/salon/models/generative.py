"""Generated ids: a Transformer reads the codes of a history and generates those of the next item, code by code."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict
from typing import Any, ClassVar, Literal, Self, cast

import numpy as np
import torch
from pydantic import Field

from salon.data import Dataset, Queries
from salon.encode.base import FeatureSet
from salon.fuse.collaborative import EVENTS, collaborative_features
from salon.models.base import Grid
from salon.models.deep_media import having_any, prepared
from salon.models.generative_answers import Generator
from salon.models.generative_network import CodeDecoder, DenseItems, GenerativeNetwork
from salon.models.pretrained import Start
from salon.models.semantic_books import NO_CODE, ResidualBooks
from salon.models.semantic_catalogue import Books, CodedCatalogue, SemanticIdSettings
from salon.models.semantic_ids import IdReport
from salon.models.semantic_rqvae import LearnedBooks
from salon.models.sequence_cores import CausalTransformer
from salon.models.sequence_data import Sequences, Windows
from salon.models.sequence_fit import Lesson, NextItemRecommender, NextItemSettings
from salon.models.sequence_network import Catalogue
from salon.training.batches import Negatives
from salon.training.network import flat_weights, load_flat, seeded
from salon.types import BoolArray, FloatArray, IntArray, TopK

EXACT_UP_TO = 20_000
"""Items up to which a recommendation is made from the chance of every id, unless it is chosen."""
QUANTISER = "quantiser_"
"""Before the names of what the quantiser has learned."""


class GenerativeSettings(NextItemSettings, SemanticIdSettings):
    """Settings of `Generative`."""

    batch_size: int = Field(128, ge=1)
    """Windows per step."""
    learning_rate: float = Field(3e-3, gt=0)
    """Step size of Adam."""
    validate_every: int = Field(2, ge=1)
    """Epochs between two looks at the validation score."""
    patience: int = Field(4, ge=0)
    """Looks without a better score after which training stops; 0 never stops early."""
    blocks: int = Field(2, ge=1, le=24)
    """Layers of attention."""
    heads: int = Field(2, ge=1)
    """Sets of attention weights; must divide `dim`."""
    hidden: int = Field(256, ge=1)
    """Numbers inside the perceptron that generates a code."""
    search: Literal["auto", "exact", "beam"] = "auto"
    """Recommend from the chances of all items or from a beam; "auto": from all up to 20,000 items."""
    beam: int = Field(100, ge=1)
    """Prefixes that a beam keeps; at least as many as items are asked for."""
    dense: float = Field(0.5, ge=0, le=1)
    """Weight of a second score by a product of vectors, as in LIGER; the chance of the id has the rest."""


class Generative(NextItemRecommender):
    """Generative retrieval with semantic ids (TIGER: Rajput et al., NeurIPS 2023).

        score of item i as the next one = sum over its codes of log p(c_l(i) | history, c_1(i) .. c_(l-1)(i))

    The codes come from the content of the item, so an item that nobody touched is generated like all others. Differs
    from the paper: residual k-means over all modalities by default, a missing one filled by ridge from the others, and
    who acted on an item as one more of them (`clicks`). The history is read by a causal Transformer over
    items, each the sum of its code vectors, and the codes of the next are generated from the state of every step by a
    perceptron that the codes before gate: the two depths of the RQ-Transformer (Lee et al., CVPR 2022) in place of an
    encoder and decoder over a flat row of codes, in a fraction of the steps. Only legal codes compete, in training
    those of items that somebody liked, so that chances add up to 1 over the catalogue and new items are not taught to
    be unlikely. No token of the person.

    With `dense`, as by default, the item is also compared by a linear map of what was coded, trained beside the codes
    by a softmax over the catalogue, and both log chances are averaged, after LIGER (Yang et al., "Unifying Generative
    and Dense Retrieval for Sequential Recommendation", 2024), which ranks generated candidates by cosine alone. With
    `clicks` and `dense` 0 there are only ids of content.

    `score` works out the chance of every item. Above 20,000 items `recommend` searches by a beam, in a trie that holds
    only what may be recommended; it can miss an item whose first codes are unlikely.
    """

    needs_features = True
    handles_cold_items = True
    settings: GenerativeSettings
    grid: ClassVar[Grid] = {"dropout": (0.2, 0.5), "clicks": (0, 64), "dense": (0.0, 0.5)}

    # -- fitting -----------------------------------------------------------------------------------------------------

    def _catalogue(self, data: Dataset, items: FeatureSet, start: Start | None) -> Catalogue:
        s, given = self.settings, dict(items)
        if s.clicks:
            given[EVENTS] = collaborative_features(data.events, data.n_items, s.clicks)
        return Catalogue(data.touched(), prepared(FeatureSet(given, data.n_items), s.width))

    def _worked_out(self, catalogue: Catalogue, rng: np.random.Generator) -> CodedCatalogue:
        return CodedCatalogue.of(catalogue, self.settings, self.settings, rng)

    def _placed(self, catalogue: Catalogue) -> BoolArray:
        return having_any(catalogue.media, catalogue.n_items)

    def _prepared(self, lesson: Lesson, rng: np.random.Generator) -> tuple[GenerativeNetwork, Windows]:
        s, codes = self.settings, _coded(lesson.catalogue).codes
        negatives = Negatives(lesson.sequences.matrix(len(codes)))
        batches = Windows(
            lesson.sequences, s.length, s.batch_size, ordered=lesson.ordered, negatives=negatives, count=0
        )
        can_come = np.zeros(len(codes), bool)
        can_come[lesson.sequences.items] = True
        with seeded(rng):
            dense = DenseItems(_coded(lesson.catalogue).vectors, s.dim) if s.dense else None
            return self._network(codes, can_come, dense), batches

    def _network(self, codes: IntArray, can_come: BoolArray, dense: DenseItems | None = None) -> GenerativeNetwork:
        s, sizes = self.settings, [int(size) for size in codes.max(axis=0) + 1]
        core = CausalTransformer(s.dim, s.length, s.blocks, s.heads, s.dropout, intervals=False)
        return GenerativeNetwork(core, CodeDecoder(sizes, s.dim, s.hidden, s.dropout), codes, can_come, dense)

    def _answer(self, network: GenerativeNetwork, lesson: Lesson, asked: Sequences) -> FloatArray:
        s, codes = self.settings, _coded(lesson.catalogue).codes
        return Generator(network, codes, network.tables()[1], s.dense, s.length).scores(asked)

    def _learned(self, network: GenerativeNetwork, lesson: Lesson) -> dict[str, Any]:
        catalogue = _coded(lesson.catalogue)
        return {
            "weights_": flat_weights(network.kept()),
            "items_": network.tables()[1],
            "codes_": catalogue.codes,
            "report_": asdict(catalogue.report),
            **{f"{QUANTISER}{name}_": value for name, value in vars(catalogue.books).items()},
        }

    def restore(self, state: Mapping[str, Any]) -> Self:
        """Takes back what `state` gave, and makes the network and its trie again."""
        super().restore(state)
        with torch.random.fork_rng():
            network = self._network(self.codes_, np.zeros(len(self.codes_), bool))
        load_flat(network.kept(), self.weights_)
        s = self.settings
        self._generator = Generator(network.eval(), self.codes_, self.items_, s.dense, s.length)
        return self

    def _floats(self, catalogue: Catalogue, tokens: int, length: int) -> float:
        s = self.settings
        coded = 6.0 * sum(one.vectors.size for one in catalogue.media.values())
        tables = catalogue.n_items * (0.25 * s.codes + 4.0 * s.dim)
        steps = tokens * (6.0 * s.hidden + 3.0 * s.dim + 3.0 * s.codes) * (s.levels + 1)
        return coded + tables + steps + super()._floats(catalogue, tokens, length)

    def _floats_of_a_step(self, length: int) -> float:
        return 6.0 * self.settings.blocks * self.settings.heads * length

    # -- answers -----------------------------------------------------------------------------------------------------

    def _score(self, queries: Queries) -> FloatArray:
        return self._generator.scores(self._sequences(queries))

    def _recommend(self, queries: Queries, k: int, *, exclude_seen: bool, allow: BoolArray | None) -> TopK:
        s = self.settings
        if s.search == "exact" or (s.search == "auto" and self.n_items_ <= EXACT_UP_TO):
            return super()._recommend(queries, k, exclude_seen=exclude_seen, allow=allow)
        self._check_rows(queries)
        allowed = np.broadcast_to(True if allow is None else allow, (len(queries), self.n_items_)).copy()
        if exclude_seen:
            allowed[queries.row_of(), queries.items] = False
        return self._generator.beam(self._sequences(queries), k, max(k, s.beam), allowed)

    def _sequences(self, queries: Queries) -> Sequences:
        return Sequences.of(queries, self.codes_[:, 0] != NO_CODE)

    @property
    def codes(self) -> IntArray:
        """(items, levels + 1) int64 the id of every item, the digit last; -1 for items without.

        Raises:
            NotFittedError: `fit` was not called.
        """
        self.check_fitted()
        return self.codes_.copy()

    @property
    def report(self) -> IdReport:
        """How well the ids tell items apart.

        Raises:
            NotFittedError: `fit` was not called.
        """
        self.check_fitted()
        found = dict(self.report_)
        return IdReport(**found | {name: tuple(found[name]) for name in ("used", "perplexity")})

    @property
    def quantiser(self) -> Books:
        """What made the codes, of the vectors of all modalities side by side.

        Raises:
            NotFittedError: `fit` was not called.
        """
        self.check_fitted()
        arrays = {n.removeprefix(QUANTISER)[:-1]: v for n, v in self.state().items() if n.startswith(QUANTISER)}
        return LearnedBooks(**arrays) if self.settings.ids == "rqvae" else ResidualBooks(**arrays)

    weights_: FloatArray
    items_: FloatArray
    codes_: IntArray
    report_: dict[str, Any]


def _coded(catalogue: Catalogue) -> CodedCatalogue:
    return cast(CodedCatalogue, catalogue)
