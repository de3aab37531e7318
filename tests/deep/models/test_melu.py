"""The adapted network: the inner step against one by hand, the outer loss, episodes, what one action does."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import nn

from salon.data import Dataset, Events, Queries
from salon.encode.base import Features, FeatureSet
from salon.errors import DataError, SettingError
from salon.models.deep_media import prepared
from salon.models.melu import MeLU
from salon.models.melu_episodes import Episodes, padded
from salon.models.melu_network import MeLUNetwork, adapt, blank_decision, decide, decide_all, inner_loss
from salon.models.popular import Random
from taste_world import Shop, taste_shop

QUICK = {"dim": 16, "hidden": 16, "epochs": 30, "patience": 0, "learning_rate": 1e-2, "batch_size": 16}


@pytest.fixture(scope="module")
def shops() -> tuple[Shop, Shop]:
    return taste_shop("a", 1), taste_shop("b", 2)


def halves(people: int = 40, items: int = 30) -> tuple[Dataset, FeatureSet]:
    """Even people like even items, odd people odd ones; a text tells which is which."""
    rng = np.random.default_rng(0)
    likes = (np.arange(people)[:, None] % 2 == np.arange(items) % 2) & (rng.random((people, items)) < 0.5)
    vectors = 0.2 * rng.standard_normal((items, 4))
    vectors[:, 0] = 1 - 2 * (np.arange(items) % 2)
    text = Features(vectors.astype(np.float32), np.ones(items, bool), "t")
    return Dataset.of(Events.of(*np.nonzero(likes)), people, items), FeatureSet({"text": text})


def layers(seed: int, dim: int = 3, hidden: int = 4) -> list[nn.Parameter]:
    generator = torch.Generator().manual_seed(seed)
    return [nn.Parameter(torch.randn(part.shape, generator=generator)) for part in blank_decision(dim, hidden)]


def by_hand(parts: list[np.ndarray], vectors: np.ndarray, history: list[int], signs: list[int], others: list[int]):
    """The inner loss of one person and its gradient, item by item."""
    wide, shift, last, bias = parts
    loss, gradient = 0.0, [np.zeros_like(part) for part in parts]
    terms = [(i, s, 1 / len(history)) for i, s in zip(history, signs, strict=True)]
    free = [i for i in others if i not in history]
    terms += [(i, -1, signs.count(1) / len(signs) / len(free)) for i in free]
    for item, sign, share in terms:
        inside = wide @ vectors[item] + shift
        score = last @ np.maximum(inside, 0) + bias
        loss += share * np.log1p(np.exp(-sign * score))
        slope = -sign * share / (1 + np.exp(sign * score))
        below = slope * last * (inside > 0)
        for place, part in enumerate((np.outer(below, vectors[item]), below, slope * np.maximum(inside, 0), slope)):
            gradient[place] = gradient[place] + part
    return loss, gradient


@pytest.mark.parametrize("steps", [1, 3])
def test_the_inner_step_is_the_one_by_hand(steps: int) -> None:
    start, vectors = layers(0), np.random.default_rng(0).standard_normal((8, 3)).astype(np.float32)
    rows, signs = torch.tensor([[2, 5, -1], [-1, -1, -1], [0, 1, 7]]), torch.tensor([[1.0, -1, 0], [0] * 3, [1, 1, 1]])
    references = torch.tensor([1, 5, 6])
    found = adapt(start, torch.from_numpy(vectors), rows, signs, references, steps, 0.4)
    for person, (history, y) in enumerate((([2, 5], [1, -1]), ([], []), ([0, 1, 7], [1, 1, 1]))):
        want = [part.detach().numpy().astype(np.float64) for part in start]
        for _ in range(steps if history else 0):
            loss, gradient = by_hand(want, vectors, history, y, [1, 5, 6])
            here = [torch.tensor(part, dtype=torch.float32).expand(3, *part.shape) for part in want]
            told = inner_loss(here, torch.from_numpy(vectors), rows, signs, references)
            assert float(told[person]) == pytest.approx(loss, rel=1e-4)
            want = [part - 0.4 * slope for part, slope in zip(want, gradient, strict=True)]
        for mine, theirs in zip(found, want, strict=True):
            np.testing.assert_allclose(mine[person].detach().numpy(), theirs, rtol=1e-3, atol=1e-5)


def test_all_items_at_once_are_scored_as_one_by_one() -> None:
    mine = [torch.stack([one, two]).detach() for one, two in zip(layers(0), layers(1), strict=True)]
    vectors = torch.randn(7, 3, generator=torch.Generator().manual_seed(2))
    torch.testing.assert_close(decide_all(mine, vectors), decide(mine, vectors.expand(2, -1, -1)))


def test_gradients_pass_to_the_layers_as_if_the_step_had_added_a_constant() -> None:
    start, vectors = layers(1), torch.randn(6, 3, generator=torch.Generator().manual_seed(0))
    asked = torch.tensor([[0, 3]]), torch.ones(1, 2), torch.tensor([1, 2])
    adapted = adapt(start, vectors, *asked, 1, 0.5)
    decide(adapted, vectors.expand(1, -1, -1)).sum().backward()
    here = [part.detach()[0].clone().requires_grad_() for part in adapted]
    decide([part.unsqueeze(0) for part in here], vectors.expand(1, -1, -1)).sum().backward()
    for one, other in zip(start, here, strict=True):
        assert one.grad is not None
        assert other.grad is not None
        np.testing.assert_allclose(one.grad.numpy(), other.grad.numpy(), atol=1e-5)


def test_the_outer_loss_asks_by_the_adapted_layers() -> None:
    _, features = halves(items=8)
    torch.manual_seed(0)
    network = MeLUNetwork(prepared(features, 9), 3, 4, np.array([0, 1]), steps=2, rate=0.3, start=None)
    rows, signs = torch.tensor([[2, 4], [3, -1]]), torch.tensor([[1.0, 1], [1, 0]])
    asked, negatives = torch.tensor([[6, -1], [5, 7]]), torch.tensor([1, 2, 5])
    vectors = network.embedded()
    adapted = adapt(list(network.decision), vectors, rows, signs, network.references, 2, 0.3)
    scores = decide(adapted, vectors.expand(2, -1, -1)).detach().numpy()
    losses = []
    for person, item in ((0, 6), (1, 5), (1, 7)):
        others = [scores[person, i] for i in (1, 2, 5) if i != item]
        losses.append(np.log(np.exp([scores[person, item], *others]).sum()) - scores[person, item])
    assert float(network(rows, signs, asked, negatives).detach()) == pytest.approx(np.mean(losses), rel=1e-4)


def test_episodes_part_the_actions_of_a_person_into_shown_and_asked() -> None:
    lists, weights = [[0, 1, 2, 3, 4], [5, 6], [7], [8, 9]], [[1, -1, 1, 1, 1], [1, 2], [1], [-1, -1]]
    episodes = Episodes(Queries.from_lists(lists, weights), 10, size=9, support=3, negatives=4)
    for seed in range(20):
        (batch,) = episodes(np.random.default_rng(seed))
        rows, signs, asked, negatives = batch
        assert len(rows) <= 2  # one action, or no like, teaches nothing
        assert rows.shape[1] <= 3
        assert negatives.shape == (4,)
        for shown, sign, wanted in zip(rows, signs, asked, strict=True):
            mine = lists[0] if shown[0] < 5 else lists[1]
            shown, wanted = shown[shown >= 0], wanted[wanted >= 0]
            assert len(shown) >= 1
            assert len(wanted) >= 1
            assert not set(shown) & set(wanted)
            assert set(shown) | set(wanted) <= set(mine)
            assert 1 not in wanted
            assert sign[: len(shown)].tolist() == [-1 if item == 1 else 1 for item in shown]
    with pytest.raises(DataError, match="Nobody has a like"):
        Episodes(Queries.from_lists([[1], [2, 3]], [[1], [-1, -1]]), 10, size=9, support=3, negatives=4)


def test_padding_keeps_the_first_chosen_and_their_signs() -> None:
    queries = Queries.from_lists([[4, 2, 3], [], [1]], [[2, -3, 1], [], [1]])
    rows, signs = padded(queries, np.array([True, True, True, False]), 2)
    assert rows.tolist() == [[4, 2], [-1, -1], [-1, -1]]
    assert signs.tolist() == [[1, -1], [0, 0], [0, 0]]


def test_one_action_moves_the_answer_to_the_right_half_and_a_dislike_the_other_way() -> None:
    model = MeLU(**QUICK).fit(*halves(), rng=0)
    assert (model.recommend(Queries.from_lists([[4], [7]]), 8).ids % 2 == [[0], [1]]).all()
    scores = model.score(Queries.from_lists([[4], [], [4]], [[1], [], [-1]]))
    lead = scores[:, ::2].mean(axis=1) - scores[:, 1::2].mean(axis=1)
    assert lead[0] > lead[1] > lead[2]


def test_neutral_actions_and_items_without_features_adapt_nothing() -> None:
    data, features = halves()
    hidden = FeatureSet({"text": features["text"].hide(np.array([6]))})
    model = MeLU(**{**QUICK, "epochs": 2}).fit(data, hidden, rng=0)
    scores = model.score(Queries.from_lists([[], [6], [4]], [[], [1], [0]]))
    np.testing.assert_array_equal(scores[1:], scores[[0, 0]])
    assert (scores[:, 6] == -np.inf).all()


def test_training_is_stopped_by_people_kept_apart_and_the_seed_decides() -> None:
    data, features = halves()
    settings = {**QUICK, "epochs": 9, "patience": 1, "validate_every": 2}
    one, same, other = (MeLU(**settings).fit(data, features, rng=seed) for seed in (0, 0, 1))
    np.testing.assert_array_equal(one.decision_, same.decision_)
    assert not np.array_equal(one.decision_, other.decision_)


def test_on_another_catalogue_it_is_far_above_chance_at_once(shops: tuple[Shop, Shop]) -> None:
    here, there = shops
    model = MeLU(**QUICK).fit(here.data, here.features, rng=0)
    moved = model.moved_to(there.empty(), there.features)
    assert there.recall(moved) > 2.5 * there.recall(Random().fit(there.data, rng=0))


def test_a_log_without_likes_teaches_nothing() -> None:
    data, features = halves()
    with pytest.raises(DataError, match="Nobody has a like"):
        MeLU().fit(data.with_events(Events.of([0, 0], [1, 2], weights=[-1, -1])), features)


def test_no_epochs_need_a_pretrained_model() -> None:
    with pytest.raises(SettingError, match="epochs is 0"):
        MeLU(epochs=0).fit(*halves())
