"""What the networks compute, against slow versions written step by step; and that nobody sees the future."""

import numpy as np
import pytest
import torch
from sequence_world import normed, sequences, sigmoid, softmax, weights
from torch.nn import functional

from salon.encode.base import Features, FeatureSet
from salon.models.deep_media import prepared
from salon.models.mmrnn import SteppedItems
from salon.models.sequence_cores import BUCKETS, CausalAttention, CausalTransformer, Recurrent, interval_buckets
from salon.models.sequence_media import AdaptedItems, Experts
from salon.models.sequence_network import Catalogue, Core, IdItems, SequenceNetwork, read

TIMES = torch.tensor([[0.0, 3.0, 3.0, 100.0, 1e12]], dtype=torch.float64)
NONE = torch.full((1, 5), float("nan"), dtype=torch.float64)


def cores() -> list[Core]:
    torch.manual_seed(0)
    plain = CausalTransformer(8, 6, 2, 2, 0.0, intervals=False)
    timed = CausalTransformer(8, 6, 2, 2, 0.0, intervals=True)
    for weight in timed.parameters():
        weight.data += 0.2 * torch.randn_like(weight)
    return [plain.eval(), timed.eval(), Recurrent(8, 5, 8, 2, 0.0).eval()]


def test_buckets_are_half_octaves() -> None:
    found = interval_buckets(TIMES)[0]
    assert found[0].tolist() == [0, 4, 4, 13, BUCKETS - 1]
    assert found[3, 1] == int(2 * np.log2(1 + 97))
    assert torch.equal(found, found.T)
    unknown = interval_buckets(torch.tensor([[1.0, float("nan")]], dtype=torch.float64))[0]
    assert unknown.tolist() == [[0, BUCKETS], [BUCKETS, BUCKETS]]


@pytest.mark.parametrize("intervals", [False, True])
def test_attention_is_what_a_loop_computes(intervals: bool) -> None:
    torch.manual_seed(1)
    dim, heads, length, width = 6, 2, 5, 3
    layer = CausalAttention(dim, heads, 0.0, intervals=intervals).eval()
    w, x = weights(layer), torch.randn(1, length, dim)
    buckets = interval_buckets(TIMES)
    projected = x[0].numpy() @ w["project.weight"].T + w["project.bias"]
    q, k, v = projected[:, :dim], projected[:, dim : 2 * dim], projected[:, 2 * dim :]
    tables = w["intervals"] if intervals else np.zeros((2, BUCKETS + 1, width))
    mixed = np.zeros((length, dim))
    for head in range(heads):
        own = slice(head * width, (head + 1) * width)
        for i in range(length):
            r = buckets[0, i].numpy()
            logits = np.array([q[i, own] @ (k[j, own] + tables[0, r[j]]) / np.sqrt(width) for j in range(i + 1)])
            shares = softmax(logits)
            mixed[i, own] = sum(shares[j] * (v[j, own] + tables[1, r[j]]) for j in range(i + 1))
    wanted = mixed @ w["out.weight"].T + w["out.bias"]
    with torch.no_grad():
        np.testing.assert_allclose(layer(x, buckets if intervals else None)[0].numpy(), wanted, atol=1e-5)


def test_the_transformer_is_what_a_loop_computes() -> None:
    core = cores()[0]
    assert isinstance(core, CausalTransformer)
    w, steps = weights(core), torch.randn(1, 4, 8)
    x = np.array(
        [normed(steps[0, t].numpy() + w["positions"][t], w["first.weight"], w["first.bias"]) for t in range(4)]
    )
    for b, block in enumerate(core.blocks):
        name = f"blocks.{b}."
        first = np.array([normed(row, w[name + "norms.0.weight"], w[name + "norms.0.bias"]) for row in x])
        with torch.no_grad():
            x = x + block.attention(torch.from_numpy(first[None]).float(), None)[0].numpy()
        second = np.array([normed(row, w[name + "norms.1.weight"], w[name + "norms.1.bias"]) for row in x])
        hidden = second @ w[name + "dense.0.weight"].T + w[name + "dense.0.bias"]
        bent = functional.gelu(torch.from_numpy(hidden)).numpy()
        x = x + bent @ w[name + "dense.2.weight"].T + w[name + "dense.2.bias"]
    wanted = np.array([normed(row, w["last.weight"], w["last.bias"]) for row in x])
    with torch.no_grad():
        np.testing.assert_allclose(core(steps, NONE[:, :4])[0].numpy(), wanted, atol=1e-4)


def test_the_recurrent_network_is_what_a_loop_computes() -> None:
    torch.manual_seed(2)
    core, steps = Recurrent(4, 3, 5, 1, 0.0).eval(), torch.randn(1, 6, 4)
    w, h, wanted = weights(core), np.zeros(3), []
    for t in range(6):
        x = normed(steps[0, t].numpy(), w["first.weight"], w["first.bias"])
        fresh = w["gru.weight_ih_l0"] @ x + w["gru.bias_ih_l0"]
        old = w["gru.weight_hh_l0"] @ h + w["gru.bias_hh_l0"]
        reset, update = sigmoid(fresh[:3] + old[:3]), sigmoid(fresh[3:6] + old[3:6])
        new = np.tanh(fresh[6:] + reset * old[6:])
        h = (1 - update) * new + update * h
        wanted.append(w["out.weight"] @ h + w["out.bias"])
    with torch.no_grad():
        np.testing.assert_allclose(core(steps, NONE)[0].numpy(), wanted, atol=1e-5)


@pytest.mark.parametrize("place", range(3))
def test_a_later_action_changes_nothing_before_it(place: int) -> None:
    core = cores()[place]
    steps = torch.randn(1, 5, 8)
    other, later = steps.clone(), TIMES.clone()
    other[0, 3:] *= -1
    later[0, 3:] += 77
    with torch.no_grad():
        whole, changed, short = core(steps, TIMES), core(other, later), core(steps[:, :3], TIMES[:, :3])
    torch.testing.assert_close(whole[:, :3], changed[:, :3], atol=1e-6, rtol=0)
    torch.testing.assert_close(whole[:, :3], short, atol=1e-5, rtol=0)
    assert (whole[:, 3:] - changed[:, 3:]).abs().max() > 0.01


@pytest.mark.parametrize("place", range(3))
def test_what_is_asked_beside_a_history_changes_no_answer(place: int) -> None:
    core, shown = cores()[place], np.random.default_rng(0).standard_normal((9, 8)).astype(np.float32)
    many = sequences([[1, 2, 3, 4, 5, 6, 7, 8], [3], [], [8, 0]], [[1, 2, 9, 9, 20, 30, 31, 32], [5], [], [1, 9]])
    together = read(core, shown, many, 6)
    for row in range(4):
        np.testing.assert_allclose(read(core, shown, many.take(np.array([row])), 6)[0], together[row], atol=1e-5)
    assert (together[2] == 0).all()
    last = sequences([[3, 4, 5, 6, 7, 8]], [[9, 9, 20, 30, 31, 32]])
    np.testing.assert_allclose(read(core, shown, last, 6)[0], together[0], atol=1e-5)  # six steps are read, the last


def network(log_q: np.ndarray | None = None) -> tuple[SequenceNetwork, np.ndarray]:
    torch.manual_seed(3)
    core = CausalTransformer(8, 6, 1, 1, 0.0, intervals=False)
    items = IdItems(7, 8)
    items.ids.data *= 30
    return SequenceNetwork(items, core, np.array([0, 1, 2, 4, 5]), log_q).eval(), items.ids.detach().numpy()


STEPS, TARGETS = np.array([[0, 1, 2], [4, 5, -1]]), np.array([[1, 2, 4], [5, -1, -1]])


def losses(net: SequenceNetwork, table: np.ndarray, others: list[int], q: np.ndarray) -> float:
    with torch.no_grad():
        states = net.core(net.items.steps(torch.from_numpy(STEPS)), torch.full((2, 3), float("nan"))).numpy()
    found = []
    for row, place in zip(*np.nonzero(TARGETS >= 0), strict=True):
        wanted = TARGETS[row, place]
        rest = [i for i in others if i != wanted]
        scores = [states[row, place] @ table[i] - q[i] for i in [wanted, *rest]]
        found.append(-np.log(softmax(np.array(scores))[0]))
    return float(np.mean(found))


def test_the_loss_is_a_softmax_over_what_can_come_or_over_a_sample() -> None:
    batch = [torch.from_numpy(part) for part in (STEPS, TARGETS, np.full((2, 3), np.nan))]
    net, table = network()
    full = net(*batch, torch.zeros(0, dtype=torch.int64)).item()
    assert full == pytest.approx(losses(net, table, [0, 1, 2, 4, 5], np.zeros(7)), abs=1e-4)
    drawn = [5, 1, 0, 0]
    assert net(*batch, torch.tensor(drawn)).item() == pytest.approx(losses(net, table, drawn, np.zeros(7)), abs=1e-4)
    q = np.linspace(-3, -1, 7).astype(np.float32)
    net, table = network(q)
    assert net(*batch, torch.tensor(drawn)).item() == pytest.approx(losses(net, table, drawn, q), abs=1e-4)


def catalogue() -> Catalogue:
    """Six items: 0 lacks its text, 1 its image, 2 both, 5 was never touched."""
    rng = np.random.default_rng(5)
    features = {}
    for name, width, gone in (("text", 4, [0, 2]), ("image", 3, [1, 2])):
        present = ~np.isin(np.arange(6), gone)
        features[name] = Features(
            np.where(present[:, None], rng.standard_normal((6, width)), 0).astype(np.float32), present
        )
    return Catalogue(np.arange(6) < 5, prepared(FeatureSet(features), 256))


def expert_mixture(w: dict[str, np.ndarray], f: np.ndarray) -> np.ndarray:
    gates = softmax(w["gate.weight"] @ f)
    return sum(gates[g] * (f - w["shift"][g]) @ w["weight"][g] for g in range(len(gates)))


@pytest.mark.parametrize("gate", [False, True])
def test_adapted_items_join_what_is_there_and_add_the_free_vector_of_touched_ones(gate: bool) -> None:
    torch.manual_seed(4)
    given = catalogue()
    items = AdaptedItems(given, ids=True, dim=5, hide=0.5, experts=3, dropout=0.0, gate=gate).eval()
    for adaptor in items.adaptors:
        assert isinstance(adaptor, Experts)
        adaptor.shift.data.normal_()
    with torch.no_grad():
        found = items.outputs(torch.arange(6)).numpy()
    for i in range(6):
        parts = []
        for adaptor, one in zip(items.adaptors, given.media.values(), strict=True):
            if one.present[i]:
                parts.append(expert_mixture(weights(adaptor), one.vectors[i] * np.sqrt(one.vectors.shape[1])))
        shares = np.full(len(parts), 1 / max(len(parts), 1))
        if gate and parts:
            shares = softmax(np.array([weights(items)["query.weight"][0] @ part for part in parts]))
        wanted = sum((s * p for s, p in zip(shares, parts, strict=True)), np.zeros(5))
        wanted = wanted + (weights(items)["ids"][i] if i < 5 else 0)
        np.testing.assert_allclose(found[i], wanted, atol=1e-5)


def test_multimodal_steps_show_each_input_or_its_absent_vector_and_who_is_there() -> None:
    torch.manual_seed(5)
    given = catalogue()
    items = SteppedItems(given, ids=True, dim=5, hide=0.5).eval()
    w = weights(items)
    with torch.no_grad():
        shown, compared = items.inputs(torch.arange(6)).numpy(), items.outputs(torch.arange(6)).numpy()
    for i in range(6):
        inputs, parts, there = [], [], []
        for m, one in enumerate(given.media.values()):
            f = one.vectors[i] * np.sqrt(one.vectors.shape[1])
            inputs.append(w[f"read.{m}.weight"] @ f + w[f"read.{m}.bias"] if one.present[i] else w["absent"][m])
            parts += [w[f"compare.{m}.weight"] @ f + w[f"compare.{m}.bias"]] if one.present[i] else []
            there.append(float(one.present[i]))
        inputs.append(w["ids"][i] if i < 5 else w["absent"][2])
        np.testing.assert_allclose(shown[i], np.concatenate([*inputs, there, [float(i < 5)]]), atol=1e-5)
        wanted = (np.mean(parts, axis=0) if parts else 0) + (w["ids"][i] if i < 5 else 0)
        np.testing.assert_allclose(compared[i], wanted, atol=1e-5)


def test_hiding_never_takes_all_that_an_item_has() -> None:
    items = AdaptedItems(catalogue(), ids=True, dim=5, hide=0.5, experts=1, dropout=0.0, gate=False)
    torch.manual_seed(6)
    shown = torch.stack([items.shown(torch.arange(6)) for _ in range(50)])
    assert (shown.sum(dim=2) > 0).all()
    assert (shown <= items.there).all()
    assert shown[:, 3].mean() < 0.7  # 0.5, and all where none would be left
    assert torch.equal(items.eval().shown(torch.arange(6)), items.there)
