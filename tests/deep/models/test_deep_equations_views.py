"""Vectors and losses of the models with several views against slow, obvious versions."""

import numpy as np
import pytest
import torch
from deep_world import (
    BATCH,
    ITEMS,
    USERS,
    adjacency,
    bpr,
    built,
    loss_of,
    nce,
    neighbours,
    propagated,
    ridge,
    sigmoid,
    small_material,
    softmax,
    unit,
    vectors,
    weights,
)

from salon import arrays
from salon.models import lattice
from salon.models.deep_network import Material

MATERIAL = small_material()
LIKES, TOUCHED = MATERIAL.rows.toarray(), MATERIAL.touched
OWN = TOUCHED[:, None]
LINKS = adjacency(LIKES)[:USERS, USERS:]


def close(found: tuple[np.ndarray, np.ndarray], wanted: tuple[np.ndarray, np.ndarray]) -> None:
    for one, other in zip(found, wanted, strict=True):
        np.testing.assert_allclose(one, other, atol=3e-6)


def linear(w: dict, name: str, values: np.ndarray) -> np.ndarray:
    return values @ w[f"{name}.weight"].T + w.get(f"{name}.bias", 0)


def graphs(k: int, material: Material = MATERIAL) -> list[np.ndarray]:
    return [neighbours(one.raw, one.present, TOUCHED, k) for one in material.media.values()]


def reached(graph: np.ndarray) -> np.ndarray:
    """(users + items,) whether a view over the graph says anything."""
    items = graph.any(axis=1)
    return np.concatenate([(LIKES @ items) > 0, items])


def spread(gated: np.ndarray, graph: np.ndarray) -> np.ndarray:
    items = graph @ gated
    return np.concatenate([LINKS @ items, items])


def test_lattice_joins_the_given_and_the_learned_graph() -> None:
    network = built("lattice", MATERIAL, layers=2, k=3, keep=0.6, reg=0.3)
    w = weights(network)
    own = w["items"] * OWN
    users, items = propagated(LIKES, w["users"], own, 2)
    there = np.stack([one.present for one in MATERIAL.media.values()], axis=1)
    step = np.zeros_like(own)
    for m, (one, given) in enumerate(zip(MATERIAL.media.values(), graphs(3), strict=True)):
        projected = linear(w, f"maps.{m}", one.vectors)
        learned = (neighbours(projected, one.present, TOUCHED, 3) > 0) * np.maximum(
            unit(projected) @ unit(projected).T, 1e-6
        )
        total = learned.sum(axis=1, keepdims=True)
        learned = np.divide(learned, total, out=np.zeros_like(learned), where=total > 0)
        for i in np.flatnonzero(one.present):
            share = softmax(w["trust"])[m] / (softmax(w["trust"]) * there[i]).sum()
            step[i] += share * ((0.6 * given + 0.4 * learned)[i] @ own)
    wanted = (users, items + unit(step))
    close(vectors(network), wanted)
    network.train()
    network.begin_epoch(np.random.default_rng(0))
    expected = bpr(*wanted, BATCH) + 0.3 * ridge(w["users"], w["items"], BATCH)
    assert loss_of(network) == pytest.approx(expected, abs=1e-5)
    assert loss_of(network) == pytest.approx(expected, abs=1e-5)  # the second batch, over the closed graph


def test_lattice_learns_its_graph_from_the_first_batch_of_an_epoch() -> None:
    network = built("lattice", MATERIAL, keep=0.5, k=3).train()
    network.begin_epoch(np.random.default_rng(0))
    for first in (True, False):
        network.zero_grad(set_to_none=True)
        network(*(torch.from_numpy(part) for part in BATCH)).backward()
        learned = [weight.grad for name, weight in network.named_parameters() if name.startswith(("maps", "trust"))]
        assert all((grad is not None and bool(grad.abs().sum() > 0)) == first for grad in learned)
        assert network.items.grad is not None


def test_lattice_searches_anew_only_where_a_map_has_moved(monkeypatch: pytest.MonkeyPatch) -> None:
    network = built("lattice", MATERIAL, keep=0.5, k=3).eval()
    before, searched = network.vectors()[1], []
    monkeypatch.setattr(lattice, "nearest_rows", lambda *a, **b: searched.append(1) or arrays.nearest_rows(*a, **b))
    network.begin_epoch(np.random.default_rng(0))
    assert torch.equal(network.vectors()[1], before)
    assert not searched
    with torch.no_grad():
        network.maps[0].weight.copy_(-torch.roll(network.maps[0].weight, 1, dims=1))
    moved, fresh = network.vectors()[1], built("lattice", MATERIAL, keep=0.5, k=3).eval()
    fresh.load_state_dict(network.state_dict())
    assert len(searched) == 1
    assert torch.equal(moved, fresh.vectors()[1])
    assert not torch.equal(moved, before)


def mgcn_parts(w: dict, k: int) -> tuple[np.ndarray, np.ndarray]:
    own = w["items"] * OWN
    shared = np.concatenate(propagated(LIKES, w["users"], own, 2))
    views, masks = [], []
    for m, (one, graph) in enumerate(zip(MATERIAL.media.values(), graphs(k), strict=True)):
        let = sigmoid(linear(w, f"gates.{m}.0", linear(w, f"maps.{m}", one.vectors)))
        views.append(spread(w["items"] * let, graph))
        masks.append(reached(graph))
    side = np.zeros_like(shared)
    for row in range(len(shared)):
        here = [m for m in range(len(views)) if masks[m][row]]
        common = np.zeros(shared.shape[1])
        if here:
            asked = [np.tanh(linear(w, "query.0", views[m][row])) @ w["query.2.weight"][0] for m in here]
            common = sum(s * views[m][row] for s, m in zip(softmax(np.array(asked)), here, strict=True))
        parts = [common]
        for m in here:
            wish = sigmoid(linear(w, f"wishes.{m}.0", shared[row]))
            parts.append(wish * (views[m][row] - common))
        side[row] = np.mean(parts, axis=0)
    return shared, side


def view_loss(shared: np.ndarray, side: np.ndarray, *, weight: float, reg: float) -> float:
    users, items = (shared + side)[:USERS], (shared + side)[USERS:]
    alike = nce(side, shared, BATCH[0], 0.2) + nce(side, shared, BATCH[1] + USERS, 0.2)
    return bpr(users, items, BATCH) + weight * alike + reg * ridge(users, items, BATCH)


def test_mgcn_gates_views_by_behaviour() -> None:
    network = built("mgcn", MATERIAL, layers=2, k=3, contrast_weight=0.4, reg=0.3)
    shared, side = mgcn_parts(weights(network), 3)
    close(vectors(network), ((shared + side)[:USERS], (shared + side)[USERS:]))
    assert loss_of(network) == pytest.approx(view_loss(shared, side, weight=0.4, reg=0.3), abs=1e-4)


def smore_parts(w: dict, k: int) -> tuple[np.ndarray, np.ndarray]:
    media, own = list(MATERIAL.media.values()), w["items"] * OWN
    dim = own.shape[1]
    shared = np.concatenate(propagated(LIKES, w["users"], own, 2))
    filters = [w[f"filters.{m}"][0, :, 0] + 1j * w[f"filters.{m}"][0, :, 1] for m in range(3)]
    spectra = [np.fft.rfft(linear(w, f"maps.{m}", one.vectors), norm="ortho") for m, one in enumerate(media)]
    product = np.ones_like(spectra[0])
    for one, spectrum in zip(media, spectra, strict=True):
        product[one.present] *= spectrum[one.present]
    denoised = [np.fft.irfft(s * f, n=dim, norm="ortho") for s, f in zip([*spectra, product], filters, strict=True)]
    gated = [w["items"] * sigmoid(linear(w, f"gates.{m}.0", part)) for m, part in enumerate(denoised)]
    each = graphs(k)
    largest = np.maximum(*each)
    total = largest.sum(axis=1, keepdims=True)
    joined = np.divide(largest, total, out=np.zeros_like(largest), where=total > 0)
    views = [spread(part, graph) for part, graph in zip(gated, [*each, joined], strict=True)]
    side = np.zeros_like(shared)
    for row in range(len(shared)):
        wishes = [sigmoid(linear(w, f"wishes.{m}.0", shared[row])) for m in range(3)]
        parts = [wishes[2] * views[2][row]]
        for m in range(2):
            if reached(each[m])[row]:
                asked = w[f"queries.{m}.2.weight"] @ np.tanh(linear(w, f"queries.{m}.0", views[2][row]))
                parts.append(softmax(asked) * wishes[m] * views[m][row])
        side[row] = np.mean(parts, axis=0)
    return shared, side


def test_smore_filters_in_the_spectrum() -> None:
    network = built("smore", MATERIAL, layers=2, k=3, contrast_weight=0.4, reg=0.3)
    shared, side = smore_parts(weights(network), 3)
    close(vectors(network), ((shared + side)[:USERS], (shared + side)[USERS:]))
    assert loss_of(network) == pytest.approx(view_loss(shared, side, weight=0.4, reg=0.3), abs=1e-4)


def test_lgmrec_adds_local_and_global_parts() -> None:
    network = built("lgmrec", MATERIAL, hyperedges=3, hyper_weight=0.4, contrast_weight=0.2, reg=0.3, media_layers=2)
    w = weights(network)
    users, items = propagated(LIKES, w["users"], w["items"] * OWN, 2)
    behaviour, graph, parts = items, adjacency(LIKES), []
    for m, one in enumerate(MATERIAL.media.values()):
        content = one.vectors @ w[f"maps.{m}.weight"].T
        start = np.concatenate([LIKES @ content / LIKES.sum(axis=1, keepdims=True), content])
        found = graph @ graph @ start
        found[USERS:][~TOUCHED] = content[~TOUCHED]
        users, items = users + unit(found[:USERS]), items + unit(found[USERS:])
        logits = one.vectors @ w[f"edges.{m}.weight"].T
        of_items = np.array([softmax(row / 0.2) for row in logits]) * one.present[:, None]
        of_users = np.array([softmax(row / 0.2) for row in LIKES @ logits])
        edges = of_items.T @ behaviour
        parts.append((of_users @ edges, of_items @ edges))
    users = users + 0.4 * unit(parts[0][0] + parts[1][0])
    items = items + 0.4 * unit(parts[0][1] + parts[1][1])
    close(vectors(network), (users, items))
    keep = (BATCH[1] > 2)[:, None]  # items 0, 1 and 2 lack a global part
    batch = tuple(part[keep[:, 0]] for part in BATCH)
    alike = nce(parts[1][0], parts[0][0], batch[0], 0.2) + nce(parts[1][1], parts[0][1], batch[1], 0.2)
    expected = bpr(users, items, batch) + 0.3 * ridge(w["users"], w["items"], batch) + 0.2 * alike
    assert loss_of(network, batch) == pytest.approx(expected, abs=1e-4)


def test_mmgnn_passes_messages_between_three_kinds_of_nodes() -> None:
    network = built("mmgnn", MATERIAL, layers=3, k=3, exchange=0.7, reg=0.3)
    w = weights(network)
    media = list(MATERIAL.media.values())
    users, items = w["users"], w["items"] * OWN
    nodes = [one.vectors @ w[f"maps.{m}.weight"].T for m, one in enumerate(media)]
    found = [(users, items)]
    for _ in range(3):
        said = np.zeros_like(items)
        for i in range(ITEMS):
            here = [m for m, one in enumerate(media) if one.present[i]]
            if here:
                said[i] = np.mean([w[f"turns.{m}.weight"] @ nodes[m][i] for m in here], axis=0)
        nodes = [graph @ (node + items) / 2 for graph, node in zip(graphs(3), nodes, strict=True)]
        users, items = LINKS @ items, LINKS.T @ users + 0.7 * said
        found.append((users, items))
    wanted = tuple(np.mean(part, axis=0) for part in zip(*found, strict=True))
    close(vectors(network), wanted)
    expected = bpr(*wanted, BATCH) + 0.3 * ridge(w["users"], w["items"], BATCH)
    assert loss_of(network) == pytest.approx(expected, abs=1e-5)
