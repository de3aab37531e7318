"""DCN-v2 and DeepFM: their equations against slow versions, what they learn, and how they are fed."""

from __future__ import annotations

from itertools import combinations

import numpy as np
import pytest
import torch
from ranker_world import LIKES, SOURCES, two_halves
from torch import nn

from salon.component import load_component
from salon.data import Dataset, Events, Queries
from salon.data.split import leave_last_out, random_split
from salon.models.ensemble_choice import quality
from salon.models.joining import member
from salon.models.ranker import Groups
from salon.models.ranker_deep import DCN, DeepFM, GroupBatches, Scaling
from salon.models.ranker_network import CrossNetwork, DCNNetwork, DeepFMNetwork, layers, pair_interactions

BOTH = pytest.mark.parametrize("cls", [DCN, DeepFM])


def numbers(tensor):
    return tensor.detach().numpy().astype(np.float64)


def relu_layers(deep, inputs):
    """The plain network, written out."""
    for layer in deep:
        if isinstance(layer, nn.Linear):
            inputs = np.maximum(numbers(layer.weight) @ inputs + numbers(layer.bias), 0)
    return inputs


def test_cross_layers_follow_their_equation():
    torch.manual_seed(0)
    network, start = CrossNetwork(5, 3), torch.randn(4, 5)
    for row, found in zip(numbers(start), numbers(network(start)), strict=True):
        now = row
        for layer in network.layers:
            weight, bias = numbers(layer.weight), numbers(layer.bias)
            now = np.array(
                [row[i] * (sum(weight[i, j] * now[j] for j in range(5)) + bias[i]) + now[i] for i in range(5)]
            )
        np.testing.assert_allclose(found, now, atol=1e-5)


def test_one_cross_layer_holds_products_of_two_features():
    network = CrossNetwork(2, 1)
    nn.init.zeros_(network.layers[0].bias)
    with torch.no_grad():
        network.layers[0].weight.copy_(torch.tensor([[0.0, 1.0], [0.0, 0.0]]))
    assert network(torch.tensor([[3.0, 5.0]])).tolist() == [[3 * 5 + 3, 5]]


def test_pair_interactions_are_the_sum_over_all_pairs():
    fields = torch.randn(3, 2, 6, 4, generator=torch.Generator().manual_seed(1))
    found = pair_interactions(fields)
    for a, b in np.ndindex(3, 2):
        each = numbers(fields[a, b])
        assert float(found[a, b]) == pytest.approx(sum(float(x @ y) for x, y in combinations(each, 2)), abs=1e-4)


def test_a_dcn_is_a_cross_and_a_plain_network_side_by_side():
    torch.manual_seed(2)
    network = DCNNetwork(4, 3, 2, 0.0, 2, layers(5, (6, 4), 0.1)).eval()
    features, row = torch.randn(1, 3), torch.tensor([2])
    start = np.concatenate([numbers(features)[0], numbers(network.embedding.weight)[2]])
    cross = numbers(network.cross(torch.tensor(start, dtype=torch.float32)))
    joined = np.concatenate([cross, relu_layers(network.deep, start)])
    want = numbers(network.head.weight)[0] @ joined + numbers(network.head.bias)[0]
    assert float(network.scores(features, row).detach()) == pytest.approx(want, abs=1e-5)


def test_a_deepfm_adds_linear_terms_pairs_and_a_plain_network():
    torch.manual_seed(3)
    network = DeepFMNetwork(4, 3, 2, 0.0, layers(8, (6, 4), 0.1)).eval()
    nn.init.normal_(network.bias.weight)
    features, row = torch.randn(1, 3), torch.tensor([1])
    x = numbers(features)[0]
    fields = [x[j] * numbers(network.fields)[j] for j in range(3)] + [numbers(network.embedding.weight)[1]]
    linear = (
        numbers(network.linear.weight)[0] @ x + numbers(network.linear.bias)[0] + numbers(network.bias.weight)[1, 0]
    )
    pairs = sum(float(a @ b) for a, b in combinations(fields, 2))
    deep = relu_layers(network.deep, np.concatenate(fields))
    want = linear + pairs + numbers(network.head.weight)[0] @ deep + numbers(network.head.bias)[0]
    assert float(network.scores(features, row).detach()) == pytest.approx(want, abs=1e-5)


def test_the_loss_is_the_softmax_over_the_group_and_padding_is_nothing():
    torch.manual_seed(4)
    network = DCNNetwork(5, 2, 2, 0.0, 1, layers(4, (3,), 0.0)).eval()
    features, rows = torch.randn(2, 4, 2), torch.tensor([[1, 2, 3, 4], [1, 2, 0, 0]])
    labels = torch.tensor([[1.0, 0, 1, 0], [0, 1, 0, 0]])
    there = torch.tensor([[True] * 4, [True, True, False, False]])
    scores, want = numbers(network.scores(features, rows)), []
    for row, label, real in zip(scores, labels.numpy(), there.numpy(), strict=True):
        log_p = row[real] - np.log(np.exp(row[real]).sum())
        want.append(-(log_p * label[real]).sum() / label.sum())
    assert float(network(features, rows, labels, there).detach()) == pytest.approx(np.mean(want), abs=1e-5)


def test_unknown_items_share_a_row_that_is_learned():
    network = DCNNetwork(3, 1, 2, 1.0, 1, layers(3, (3,), 0.0))
    network(
        torch.ones(1, 2, 1), torch.tensor([[1, 2]]), torch.tensor([[1.0, 0]]), torch.ones(1, 2, dtype=bool)
    ).backward()
    assert not network.embedding.weight.grad[1:].any(), "with hide = 1 all items are unknown"


def test_scaling_marks_what_is_unknown():
    scaling = Scaling.of(np.array([[1.0, np.nan, 4], [3.0, 2.0, 4]], np.float32))
    made = scaling(np.array([[5.0, np.nan, np.nan], [1000.0, 2, 5]], np.float32))
    np.testing.assert_allclose(made, [[3, 0, 0, 1], [5, 0, 1, 0]])


def test_batches_hold_every_right_candidate_and_some_wrong_ones():
    labels = np.array([1, 0, 0, 0, 0, 0, 1, 1, 0], np.float32)
    groups = Groups(np.arange(9.0, dtype=np.float32)[:, None], np.arange(9), labels, np.array([6, 3]))
    batches = GroupBatches(groups, groups.features, np.arange(9), 2, 3)
    inputs, rows, marks, there = next(iter(batches(np.random.default_rng(0))))
    assert inputs.shape == (2, 4, 1)
    for line in range(2):
        chosen = set(rows[line, there[line]].tolist())
        assert len(chosen) == there[line].sum()
        assert chosen in ({6, 7, 8}, chosen & set(range(6)) | {0})
        np.testing.assert_array_equal(marks[line, there[line]], labels[sorted(chosen, key=rows[line].tolist().index)])
        assert not marks[line, ~there[line]].any()
    np.testing.assert_array_equal(inputs[there][:, 0], rows[there])


def test_ndcg_of_groups_is_the_mean_over_the_groups():
    groups = Groups(np.zeros((5, 1)), np.arange(5), np.array([0, 1.0, 1, 0, 0]), np.array([2, 3]))
    value = groups.ndcg(np.array([2.0, 1.0, 0.0, 5.0, 4.0]))
    assert value == pytest.approx((1 / np.log2(3) + 1 / np.log2(4)) / 2)
    assert groups.ndcg(np.array([0, 1.0, 2, 0, 1])) == 1


@BOTH
def test_the_ranker_beats_each_of_its_sources(cls):
    data, features = two_halves()
    split = random_split(data, valid=0.15, test=0.15, rng=0)

    def value(model):
        return float(quality(model.score(split.test.queries), split.test).mean())

    alone = [value(member(name, {}).fit(split.train, features)) for name in SOURCES]
    model = cls(members=SOURCES, epochs=20).fit(split.train, features, rng=0, validation=split.valid)
    assert value(model) > 1.2 * max(alone)


@BOTH
def test_the_seed_decides_and_all_is_saved(cls, tmp_path):
    data, features = two_halves()
    queries = Queries.from_lists([[0, 2, 5], [1], []])
    models = [cls(members=SOURCES, epochs=2).fit(data, features, rng=seed) for seed in (3, 3, 4)]
    scores = [model.score(queries) for model in models]
    np.testing.assert_array_equal(scores[0], scores[1])
    assert not np.array_equal(scores[0], scores[2])
    models[0].save(tmp_path / "model")
    np.testing.assert_array_equal(load_component(tmp_path / "model", "model").score(queries), scores[0])


def test_other_test_actions_do_not_change_the_fit():
    data, features = two_halves(3)
    liked, events, fitted = data.positives().toarray() > 0, data.events, []
    last = events.times == LIKES - 1
    for other in (False, True):
        items = events.items.copy()
        if other:
            items[last] = [int(np.flatnonzero(~liked[u])[-1]) for u in events.users[last]]
        split = leave_last_out(data.with_events(Events.of(events.users, items, times=events.times)))
        model = DCN(members=SOURCES, epochs=2).fit(split.train, features, validation=split.valid)
        fitted.append(model.score(split.train.queries()))
    np.testing.assert_array_equal(*fitted)


@BOTH
def test_where_nothing_can_be_learned_the_sources_are_averaged(cls):
    data = Dataset.of(Events.of([0, 1, 1], [0, 1, 2]), 2, 5)
    model = cls(members={"popular": {}}).fit(data)
    assert not model.trained_
    assert np.isfinite(model.score(Queries.from_lists([[0]]))[0, 1:3]).all()
