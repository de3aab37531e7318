"""The network of generated ids and its searches, against loops over all ids."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from sequence_world import sequences, softmax

from salon.models import generative_search
from salon.models.generative_answers import Generator
from salon.models.generative_network import CodeDecoder, DenseItems, GenerativeNetwork
from salon.models.semantic_ids import with_digit
from salon.models.sequence_cores import CausalTransformer

N = 40
NONE = np.zeros((0, 8), np.float32)


def codes() -> np.ndarray:
    """Forty items under two levels of five codes and a digit; item 7 has none."""
    rng = np.random.default_rng(0)
    found = rng.integers(5, size=(N, 2))
    found[7] = -1
    return with_digit(found)


def network(can_come: np.ndarray | None = None, dense: DenseItems | None = None) -> GenerativeNetwork:
    torch.manual_seed(1)
    given = codes()
    sizes = (given.max(axis=0) + 1).tolist()
    core = CausalTransformer(8, 6, 1, 2, 0.0, intervals=False)
    net = GenerativeNetwork(
        core, CodeDecoder(sizes, 8, 12, 0.0), given, np.ones(N, bool) if can_come is None else can_come, dense
    )
    for part in net.parameters():
        part.data += 0.5 * torch.randn_like(part)
    return net.eval()


def slow_chance(net: GenerativeNetwork, state: np.ndarray, item: int, legal: list[tuple[int, ...]]) -> float:
    """log p of one item: at each code a softmax over the codes with which some legal id goes on."""
    given, decoder = codes(), net.decoder
    path, total = tuple(given[item]), 0.0
    for level, code in enumerate(path):
        seen, gate = state + decoder.level[level].detach().numpy(), np.ones(8)
        for before in range(level):
            seen = seen + decoder.before[before][path[before]].detach().numpy()
            gate = gate + decoder.gate[before][path[before]].detach().numpy()
        with torch.no_grad():
            inner = torch.nn.functional.gelu(decoder.wide(torch.from_numpy(seen.astype(np.float32))))
            mixed = seen + state * (gate - 1) + decoder.narrow(inner).numpy()
        options = sorted({other[level] for other in legal if other[:level] == path[:level]})
        logits = np.array([mixed @ decoder.out[level][option].detach().numpy() for option in options])
        total += float(np.log(softmax(logits)[options.index(code)]))
    return total


HISTORIES = [[1, 2, 3], [30], [7, 5, 12, 13, 14, 15, 16, 17]]


def slow_states(net: GenerativeNetwork) -> np.ndarray:
    found = []
    for history in HISTORIES:
        steps = [
            sum((t[c].detach().numpy() for t, c in zip(net.shown, codes()[i], strict=True)), np.zeros(8)) * (i != 7)
            for i in history[-6:]
        ]
        with torch.no_grad():
            x = torch.from_numpy(np.array(steps, np.float32))[None]
            found.append(net.core(x, torch.full(x.shape[:2], float("nan")))[0, -1].numpy())
    return np.array(found)


def slow_chances(net: GenerativeNetwork) -> np.ndarray:
    legal = [tuple(row) for row in codes() if row[0] >= 0]
    states = slow_states(net)
    return np.array([[-np.inf if i == 7 else slow_chance(net, h, i, legal) for i in range(N)] for h in states])


@pytest.mark.parametrize("piece", [1, 1 << 18])
def test_the_chance_of_every_item_is_what_a_loop_over_its_codes_computes(
    piece: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(generative_search, "PIECE", piece)
    net = network()
    found = Generator(net, codes(), NONE, 0.0, 6).scores(sequences([*HISTORIES, []]))
    np.testing.assert_allclose(found[:3], slow_chances(net), atol=1e-4)
    np.testing.assert_allclose(np.exp(found[:3]).sum(axis=1), 1, atol=1e-4)
    assert (found[3] == -np.inf).all()


def test_the_loss_lets_the_codes_of_items_that_can_come_compete() -> None:
    can_come = np.arange(N) % 3 > 0
    net = network(can_come)
    legal = [tuple(row) for row, there in zip(codes(), can_come, strict=True) if there and row[0] >= 0]
    steps, targets = np.array([[1, 2, 3], [30, 31, -1]]), np.array([[2, 4, 5], [31, -1, -1]])
    batch = [torch.from_numpy(part) for part in (steps, targets, np.full((2, 3), np.nan), np.zeros(0, np.int64))]
    with torch.no_grad():
        found = net(*batch).item()
        states = net.core(net.vectors(batch[0]), batch[2]).numpy()
    wanted = [
        -slow_chance(net, states[row, place], int(targets[row, place]), legal)
        for row, place in zip(*np.nonzero(targets >= 0), strict=True)
    ]
    assert found == pytest.approx(np.mean(wanted), abs=1e-4)


@pytest.mark.parametrize("piece", [1, 1 << 21])
def test_a_wide_beam_finds_what_full_enumeration_finds(piece: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(generative_search, "BEAM_PIECE", piece)
    net = network()
    allowed = np.random.default_rng(3).random((3, N)) < 0.6
    found = Generator(net, codes(), NONE, 0.0, 6).beam(sequences(HISTORIES), 10, 40, allowed)
    for row, slow in enumerate(np.where(allowed, slow_chances(net), -np.inf)):
        best = np.argsort(-slow, kind="stable")[:10]
        assert found.ids[row].tolist() == best.tolist()
        np.testing.assert_allclose(found.scores[row], slow[best], atol=1e-4)


def test_a_narrow_beam_gives_legal_ids_with_their_true_chances() -> None:
    net = network()
    found = Generator(net, codes(), NONE, 0.0, 6).beam(sequences(HISTORIES), 3, 3, np.ones((3, N), bool))
    assert ((found.ids >= 0) & (found.ids != 7)).all()
    np.testing.assert_allclose(found.scores, np.take_along_axis(slow_chances(net), found.ids, axis=1), atol=1e-4)
    assert (np.diff(found.scores, axis=1) <= 0).all()


def test_a_filter_never_starves_a_beam() -> None:
    net = network()
    worst = np.where(np.arange(N) == 7, np.inf, slow_chances(net)).argmin(axis=1)
    allowed = np.arange(N) == worst[:, None]
    generator = Generator(net, codes(), NONE, 0.0, 6)
    found = generator.beam(sequences(HISTORIES), 2, 2, allowed)
    assert found.ids.tolist() == [[int(i), -1] for i in worst]
    assert (found.scores[:, 1] == -np.inf).all()
    nothing = generator.beam(sequences([[1], []]), 2, 2, np.zeros((2, N), bool))
    assert (nothing.ids == -1).all()


def with_vectors(can_come: np.ndarray | None = None) -> tuple[GenerativeNetwork, np.ndarray]:
    """A network that compares items by a map of vectors as well, and what it compares them by."""
    vectors = np.random.default_rng(5).standard_normal((N, 3)).astype(np.float32)
    net = network(can_come, DenseItems(vectors, 8))
    assert net.dense is not None
    stretched = vectors * np.sqrt(3)
    return net, stretched @ net.dense.map.weight.detach().numpy().T + net.dense.map.bias.detach().numpy()


def slow_joined(net: GenerativeNetwork, compared: np.ndarray, weight: float) -> np.ndarray:
    chances = slow_chances(net)
    for row, state in enumerate(slow_states(net)):
        products = np.delete(compared @ state, 7)
        dense = np.insert(np.log(softmax(products)), 7, -np.inf)
        chances[row] = (1 - weight) * np.where(dense > -np.inf, chances[row], 0) + weight * dense
    return chances


@pytest.mark.parametrize("weight", [0.3, 1.0])
def test_log_chances_of_ids_and_of_vectors_are_averaged(weight: float) -> None:
    net, compared = with_vectors()
    shown, found = net.tables()
    assert shown.shape == (N, 8)
    np.testing.assert_allclose(found, compared, atol=1e-5)
    generator = Generator(net, codes(), found, weight, 6)
    slow = slow_joined(net, compared, weight)
    np.testing.assert_allclose(generator.scores(sequences(HISTORIES)), slow, atol=1e-4)
    allowed = np.random.default_rng(3).random((3, N)) < 0.6
    best = generator.beam(sequences(HISTORIES), 10, 40, allowed)
    wanted = np.argsort(-np.where(allowed, slow, -np.inf), axis=1, kind="stable")[:, :10]
    assert best.ids.tolist() == wanted.tolist()
    np.testing.assert_allclose(best.scores, np.take_along_axis(slow, wanted, axis=1), atol=1e-4)
    narrow = generator.beam(sequences(HISTORIES), 2, 2, np.ones((3, N), bool))
    np.testing.assert_allclose(narrow.scores, np.take_along_axis(slow, narrow.ids, axis=1), atol=1e-4)


def test_the_loss_of_vectors_is_a_softmax_over_what_can_come() -> None:
    can_come = np.arange(N) % 3 > 0
    steps, targets = np.array([[1, 2, 3]]), np.array([[2, 4, 5]])
    batch = [torch.from_numpy(part) for part in (steps, targets, np.full((1, 3), np.nan), np.zeros(0, np.int64))]
    net, compared = with_vectors(can_come)
    with torch.no_grad():
        both = net(*batch).item()
        states = net.core(net.vectors(batch[0]), batch[2]).numpy()[0]
        net.dense = None
        ids = net(*batch).item()
    others = np.flatnonzero(can_come)
    wanted = [-np.log(softmax(compared[others] @ h)[others == i][0]) for h, i in zip(states, targets[0], strict=True)]
    assert both - ids == pytest.approx(np.mean(wanted), abs=1e-4)


def test_one_item_alone_is_certain() -> None:
    given = np.array([[0, 0], [-1, -1]])
    core = CausalTransformer(8, 6, 1, 2, 0.0, intervals=False)
    net = GenerativeNetwork(core, CodeDecoder([1, 1], 8, 12, 0.0), given, np.ones(2, bool)).eval()
    generator = Generator(net, given, NONE, 0.0, 6)
    assert generator.scores(sequences([[0]])).tolist() == [[0.0, -np.inf]]
    assert generator.beam(sequences([[0]]), 2, 2, np.ones((1, 2), bool)).ids.tolist() == [[0, -1]]
