"""What the towers compute, against slow versions written step by step; and which steps a pair is shown."""

import numpy as np
import pytest
import torch
from sequence_world import normed, sequences, sigmoid, softmax, weights
from torch import nn

from salon.data import Dataset, Events
from salon.encode.base import Features, FeatureSet
from salon.errors import DataError
from salon.models import two_tower_experts
from salon.models.deep_media import Projection, prepared
from salon.models.sequence_data import PAD
from salon.models.sequence_network import Catalogue
from salon.models.two_tower_data import Histories, PairBatches, Pairs, Reading, in_no_order
from salon.models.two_tower_experts import TaskExperts, TaskNetwork, task_loss
from salon.models.two_tower_network import (
    AttentionPool,
    ContentTower,
    InBatchNetwork,
    MeanPool,
    RecurrentPool,
    TowerItems,
    UserTower,
)
from salon.models.two_tower_settings import MMoESettings
from salon.models.two_tower_tasks import labelled
from salon.training.batches import Negatives

DIM = 8
STEPS = torch.tensor([[2, PAD, 0, 4], [1, PAD, PAD, PAD], [PAD] * 4, [3, 2, 1, 0]])


def table() -> torch.Tensor:
    return torch.randn(5, DIM, generator=torch.Generator().manual_seed(3))


def catalogue() -> Catalogue:
    """Six items: item 0 lacks the image, item 1 the text, item 2 both; item 5 is untouched."""
    rng = np.random.default_rng(0)
    features = {}
    for name, width, absent in (("text", 4, [1, 2]), ("image", 3, [0, 2])):
        present = np.ones(6, bool)
        present[absent] = False
        vectors = np.where(present[:, None], rng.standard_normal((6, width)), 0).astype(np.float32)
        features[name] = Features(vectors, present)
    return Catalogue(np.arange(6) < 5, prepared(FeatureSet(features), 256))


def item_tower(*, hide: float = 0.0) -> TowerItems:
    torch.manual_seed(0)
    return TowerItems(catalogue(), ids=True, dim=DIM, hide=hide, heads=2, layers=1)


# -- pooling -----------------------------------------------------------------------------------------------------------


def test_a_mean_is_a_mean_and_nothing_where_there_is_no_step() -> None:
    x = table()
    found = MeanPool()(x, STEPS)
    for row, steps in enumerate(STEPS):
        own = [x[i] for i in steps if i >= 0]
        wanted = torch.stack(own).mean(dim=0) if own else torch.zeros(DIM)
        assert torch.allclose(found[row], wanted, atol=1e-6)


def test_attention_over_a_history_is_what_a_loop_computes() -> None:
    torch.manual_seed(1)
    pool, x = AttentionPool(DIM), table()
    w = weights(pool)
    found = pool(x, STEPS).detach().numpy()
    for row, steps in enumerate(STEPS.numpy()):
        own = [x[i].numpy() for i in steps if i >= 0]
        if not own:
            assert not found[row].any()
            continue
        logits = [w["query.weight"][0] @ np.tanh(w["inner.weight"] @ v + w["inner.bias"]) for v in own]
        wanted = sum(share * v for share, v in zip(softmax(np.array(logits)), own, strict=True))
        np.testing.assert_allclose(found[row], wanted, atol=1e-5)


def test_a_recurrent_pool_is_the_state_after_the_last_step() -> None:
    pool, x = RecurrentPool(DIM).eval(), table()
    found = pool(x, STEPS)
    for row, steps in enumerate(STEPS):
        there = steps[steps >= 0]
        if len(there):
            alone = pool.core(x[there][None], x.new_zeros(0))[0, -1]
            assert torch.allclose(found[row], alone, atol=1e-6)
        else:
            assert not found[row].any()


@pytest.mark.parametrize("pool", [MeanPool(), AttentionPool(DIM), RecurrentPool(DIM)])
def test_order_matters_to_a_recurrent_pool_alone(pool: nn.Module) -> None:
    forth, back = (pool(table(), torch.tensor([steps])) for steps in ([0, 1, 2], [2, 1, 0]))
    assert torch.allclose(forth, back, atol=1e-6) != isinstance(pool, RecurrentPool)


# -- towers ------------------------------------------------------------------------------------------------------------


def test_a_masked_modality_is_ignored_exactly() -> None:
    torch.manual_seed(0)
    tower = ContentTower((4, 3), DIM, 2, 1).eval()
    text, image = torch.randn(5, 4), torch.randn(5, 3)
    there = torch.tensor([[True, False]] * 4 + [[False, False]])
    found = tower([text, image], there)
    other = tower([text, 100 * torch.randn(5, 3)], there)
    assert torch.equal(found, other)
    assert not found[4].any()
    assert not torch.allclose(found[:4], tower([text, image], torch.ones(4 + 1, 2, dtype=torch.bool))[:4], atol=1e-4)


def test_with_one_modality_the_content_tower_is_what_a_loop_computes() -> None:
    torch.manual_seed(0)
    tower = ContentTower((4,), DIM, 1, 1).eval()
    for weight in tower.parameters():
        weight.data += 0.1 * torch.randn_like(weight)
    w, text = weights(tower), torch.randn(1, 4)
    token = normed(text[0].numpy() @ w["maps.0.weight"].T + w["maps.0.bias"], np.ones(DIM), np.zeros(DIM))
    x = np.stack([w["join.first"][0, 0], token + w["join.kind"][0, 0]])  # the pooled token may look at the first one
    block = "join.layers.0."
    inner = np.stack([normed(r, w[block + "norms.0.weight"], w[block + "norms.0.bias"]) for r in x])
    projected = inner @ w[block + "attention.in_proj_weight"].T + w[block + "attention.in_proj_bias"]
    q, k, v = np.split(projected, 3, axis=1)
    mixed = np.stack([softmax(row @ k.T / np.sqrt(DIM)) @ v for row in q])
    x = x + mixed @ w[block + "attention.out_proj.weight"].T + w[block + "attention.out_proj.bias"]
    inner = np.stack([normed(r, w[block + "norms.1.weight"], w[block + "norms.1.bias"]) for r in x])
    hidden = nn.functional.gelu(
        torch.from_numpy(inner @ w[block + "dense.0.weight"].T + w[block + "dense.0.bias"])
    ).numpy()
    x = x + hidden @ w[block + "dense.2.weight"].T + w[block + "dense.2.bias"]
    wanted = normed(x[1], w["join.norm.weight"], w["join.norm.bias"]) @ w["out.weight"].T + w["out.bias"]
    with torch.no_grad():
        np.testing.assert_allclose(tower([text], torch.tensor([[True]]))[0].numpy(), wanted, atol=1e-4)


def test_an_item_is_its_content_and_its_free_vector_where_somebody_liked_it() -> None:
    items = item_tower().eval()
    assert items.content is not None
    assert items.ids is not None
    rows = torch.arange(6)
    content = items.content(items.features(rows), items.there[:, :2] > 0)
    free = items.ids * torch.tensor([1.0] * 5 + [0.0])[:, None]
    assert torch.allclose(items.outputs(rows), content + free, atol=1e-6)
    assert torch.equal(items.outputs(rows)[2], items.ids[2])  # no modality at all
    vectors = items.vectors(items.outputs(rows)).detach()
    assert torch.allclose(vectors[:, :-1].norm(dim=1), torch.ones(6), atol=1e-5)
    assert torch.allclose(vectors[:, -1], items.outputs(rows).detach() @ items.bias.detach(), atol=1e-6)


def test_training_hides_modalities_and_free_vectors() -> None:
    items = item_tower(hide=0.5).train()
    torch.manual_seed(0)
    shown = torch.stack([items.shown(torch.arange(6)) for _ in range(400)]).mean(dim=0)
    assert (shown <= items.there).all()
    assert ((shown[3] > 0.45) & (shown[3] < 0.75)).all()
    assert shown[5, 2] == 0  # never liked, so it has no free vector
    assert shown[2, 2] == 1  # all it has


def test_a_user_is_a_history_and_a_profile() -> None:
    torch.manual_seed(0)
    tower, x = UserTower(DIM, 3, "mean").eval(), table()
    for weight in tower.parameters():
        weight.data += 0.1 * torch.randn_like(weight)
    w, profiles = weights(tower), torch.tensor([[1.0, 0, 0], [0, 0, 0], [0, 1, 1], [0, 0, 0]])
    with torch.no_grad():
        found = tower(x, STEPS, profiles).numpy()
    for row, steps in enumerate(STEPS.numpy()):
        own = [x[i].numpy() for i in steps if i >= 0]
        mean = np.mean(own, axis=0) if own else np.zeros(DIM)
        z = w["read.weight"] @ mean + profiles[row].numpy() @ w["profile"]
        inner = normed(z, np.ones(DIM), np.zeros(DIM)) @ w["dense.0.weight"].T + w["dense.0.bias"]
        bent = nn.functional.gelu(torch.from_numpy(inner)).numpy()
        u = z + bent @ w["dense.2.weight"].T + w["dense.2.bias"]
        np.testing.assert_allclose(found[row], [*(u / np.linalg.norm(u)), 1], atol=1e-4)


@pytest.mark.parametrize("correct", [True, False])
def test_the_in_batch_loss_is_what_a_loop_over_all_draws_computes(correct: bool) -> None:
    items, users, tau = item_tower(), UserTower(DIM, 0, "mean"), 0.3
    liked, uniform = np.array([0.4, 0.2, 0.2, 0.1, 0.1, 0.0]), np.array([0.2] * 5 + [0.0])
    with np.errstate(divide="ignore"):
        log_q = np.log(np.stack([liked, uniform])).astype(np.float32)
    network = InBatchNetwork(items, users, temperature=tau, log_q=log_q, correct=correct).eval()
    wanted, negatives = torch.tensor([0, 3, 0, 2]), torch.tensor([4, 0, 1])
    with torch.no_grad():
        loss = float(network(wanted, STEPS, torch.zeros(4, 0), negatives))
        outputs = items.outputs(torch.arange(6))
        people, vectors = users(outputs, STEPS, torch.zeros(4, 0)).numpy(), items.vectors(outputs).numpy()
    draws, slow = [*wanted.tolist(), *negatives.tolist()], 0.0
    chance = (4 * liked + 3 * uniform) / 7
    for person, own in zip(people, wanted.tolist(), strict=True):
        s = vectors @ person / tau
        share = 7 * chance if correct else np.ones(6)
        others = sum(np.exp(s[j]) / share[j] for j in draws if j != own)
        slow += np.log(np.exp(s[own]) + others) - s[own]
    assert loss == pytest.approx(slow / 4, abs=1e-4)


# -- what a pair is shown ----------------------------------------------------------------------------------------------

SOME = sequences([[0, 1, 2, 3], [4, 5], [6], []])


@pytest.mark.parametrize("past", [True, False])
def test_a_pair_never_shows_its_item_and_where_order_counts_nothing_later(past: bool) -> None:
    histories = Histories(SOME, 7, Reading(50, past=past))
    pairs = Pairs.of(SOME)
    shown = [[int(i) for i in row if i != PAD] for row in histories.steps(pairs)]
    if past:
        assert shown == [[], [0], [0, 1], [0, 1, 2], [], [4], []]
    else:
        assert shown == [[1, 2, 3], [0, 2, 3], [0, 1, 3], [0, 1, 2], [5], [4], []]
    assert histories.useful(pairs).tolist() == [bool(row) for row in shown]


@pytest.mark.parametrize("past", [True, False])
def test_long_histories_are_cut_to_the_length_without_losing_a_place_to_the_item(past: bool) -> None:
    long = sequences([list(range(20))])
    histories = Histories(long, 20, Reading(4, past=past))
    pairs = Pairs.of(long)
    for rng in (np.random.default_rng(seed) for seed in range(5)):
        steps = histories.shuffled(rng).steps(pairs)
        if past:
            assert [int(i) for i in steps[10]] == [6, 7, 8, 9]
        else:
            assert ((steps != PAD).sum(axis=1) == 4).all()
            assert not (steps == pairs.items[:, None]).any()


def test_a_pair_of_a_disliked_item_shows_the_whole_history() -> None:
    pairs = Pairs(np.array([1]), np.array([0]), np.zeros((1, 0), np.float32))
    assert Histories(SOME, 7, Reading(50, past=False)).steps(pairs).tolist() == [[4, 5]]


def test_without_order_an_answer_depends_on_the_set_alone() -> None:
    forth, back = (in_no_order(sequences([steps]), 9) for steps in ([5, 1, 8], [8, 5, 1]))
    assert forth.items.tolist() == back.items.tolist()
    assert sorted(forth.items) == [1, 5, 8]


def test_hidden_steps_leave_somebody_with_something() -> None:
    reading = Reading(50, past=False, dropout=0.9)
    negatives = Negatives(SOME.matrix(7))
    batches = PairBatches(Pairs.of(SOME), Histories(SOME, 7, reading), negatives, size=4, count=2, reading=reading)
    seen = 0
    for items, steps, profiles, drawn in batches(np.random.default_rng(0)):
        assert (steps != PAD).any(axis=1).all()
        assert profiles.shape == (len(items), 0)
        assert len(drawn) == 2
        seen += len(items)
    assert seen == 6  # the pair of the person who likes one item only says nothing


def test_people_with_one_like_and_no_profile_teach_nothing() -> None:
    alone = sequences([[0], [1]])
    reading = Reading(50, past=False)
    with pytest.raises(DataError, match="one liked item"):
        PairBatches(
            Pairs.of(alone), Histories(alone, 2, reading), Negatives(alone.matrix(2)), size=4, count=0, reading=reading
        )


# -- new items ---------------------------------------------------------------------------------------------------------


def test_new_features_are_made_ready_like_those_of_the_fit() -> None:
    rng = np.random.default_rng(0)
    features = Features(rng.standard_normal((9, 6)).astype(np.float32), np.arange(9) != 4, "v1")
    (media,) = prepared(FeatureSet({"text": features}), 3).values()
    np.testing.assert_allclose(
        media.projection.media(features.take(np.array([4, 7]))).vectors, media.vectors[[4, 7]], atol=1e-6
    )
    assert Projection.of(features, 6).width == 6
    assert Projection.of(features, 3).width == 3


# -- tasks -------------------------------------------------------------------------------------------------------------


def test_the_mixture_of_experts_is_what_a_loop_computes() -> None:
    torch.manual_seed(0)
    width, tasks, experts, hidden = 5, 2, 3, 4
    module = TaskExperts(width, tasks, experts, hidden, 6)
    w, users, items = weights(module), torch.randn(2, width), torch.randn(3, width)
    own = torch.tensor([[0, 1, 2], [2, 1, 1]])
    found = module(users, items, own).detach().numpy()
    assert found.shape == (2, 3, tasks)

    def joint(part: str, u: np.ndarray, i: np.ndarray) -> np.ndarray:
        x = np.concatenate([u, i, u * i])
        full = np.concatenate([w[f"{part}.{name}.weight"] for name in ("user", "item", "both")], axis=1)
        return full @ x + w[f"{part}.item.bias"]

    for a, b in np.ndindex(2, 3):
        item = items[own[a, b]]
        u, i = (v.numpy().astype(np.float64) * width**0.5 for v in (users[a], item))
        each = np.maximum(joint("experts", u, i), 0).reshape(experts, hidden)
        gates = joint("gates", u, i).reshape(tasks, experts)
        for task in range(tasks):
            mixed = sum(share * expert for share, expert in zip(softmax(gates[task]), each, strict=True))
            first = np.maximum(w[f"heads.{task}.0.weight"] @ mixed + w[f"heads.{task}.0.bias"], 0)
            z = w[f"heads.{task}.2.weight"] @ first + w[f"heads.{task}.2.bias"]
            direct = w["direct"][task] * (users[a] @ item).item()
            assert found[a, b, task] == pytest.approx(z.item() + direct, abs=1e-4)


@pytest.mark.parametrize("experts", [1, 3])
def test_experts_say_of_all_items_what_they_say_of_each(experts: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(two_tower_experts, "AT_ONCE", 4)
    torch.manual_seed(1)
    module, users, items = TaskExperts(5, 2, experts, 4, 6), torch.randn(2, 5), torch.randn(9, 5)
    with torch.no_grad():
        expected = module(users, items, torch.arange(9).expand(2, 9))
    for user, right in zip(users, expected, strict=True):
        torch.testing.assert_close(module.of_all(user, items.T.contiguous()).T, right)


def test_losses_of_tasks_read_known_labels_alone() -> None:
    given, right = torch.tensor([0.3, -2.0, 1.0]), torch.tensor([1.0, 0.0, float("nan")])
    logistic = -(np.log(sigmoid(np.array(0.3))) + np.log(1 - sigmoid(np.array(-2.0)))) / 2
    assert float(task_loss(given, right, binary=True)) == pytest.approx(logistic, abs=1e-6)
    assert float(task_loss(given, right, binary=False)) == pytest.approx((0.7**2 + 2**2) / 2, abs=1e-6)
    assert float(task_loss(given, right * float("nan"), binary=True)) == 0


@pytest.mark.parametrize("learned", [False, True])
def test_the_joint_loss_adds_the_tasks_and_counts_negatives_as_not_clicked(learned: bool) -> None:
    items, users = item_tower(), UserTower(DIM, 0, "mean")
    torch.manual_seed(2)
    experts = TaskExperts(DIM + 1, 2, 2, 4, 4)
    scale = np.array([[0, 3], [1, 2]], np.float32)
    network = TaskNetwork(
        items,
        users,
        experts,
        tasks=("click", "rating"),
        scale=scale,
        weights=np.array([1.0, 0.5], np.float32),
        learned=learned,
    ).eval()
    if network.log_variance is not None:
        network.log_variance.data = torch.tensor([0.3, -0.2])
    wanted, negatives = torch.tensor([0, 3]), torch.tensor([[4], [1]])
    labels = torch.tensor([[1.0, 5.0], [0.0, float("nan")]])
    with torch.no_grad():
        loss = float(network(wanted, STEPS[:2], torch.zeros(2, 0), negatives, labels))
        outputs = items.outputs(torch.arange(6))
        people, vectors = users(outputs, STEPS[:2], torch.zeros(2, 0)), items.vectors(outputs)
        z = experts(people, vectors, torch.arange(6).expand(2, 6)).numpy()
    clicks = [(z[0, 0, 0], 1), (z[0, 4, 0], 0), (z[1, 3, 0], 0), (z[1, 1, 0], 0)]
    click = np.mean([np.log1p(np.exp(-v if y else v)) for v, y in clicks])
    rating = (z[0, 0, 1] - (5 - 3) / 2) ** 2
    if learned:
        click, rating = np.exp(-0.3) * click + 0.15, 0.5 * np.exp(0.2) * rating - 0.1
    assert loss == pytest.approx(click + 0.5 * rating, abs=1e-4)


def test_labels_say_what_came_of_a_pair() -> None:
    events = Events.of(
        [0, 0, 0, 0, 1, 1],
        [2, 2, 1, 0, 0, 2],
        weights=[1, 1, 1, 0, -1, 1],
        values=[4, 2, np.nan, np.nan, 1, np.nan],
        times=[2, 3, 1, 0, 5, 6],
        kinds=np.array([0, 1, 0, 0, 0, 1], np.int16),
        kind_names=("view", "like"),
        shown=np.array([0, 0, 0, 1, 0, 0], bool),
        context={"dwell": np.array([10.0, 5.0, np.nan, np.nan, 0.0, 2.0])},
    )
    pairs = labelled(Dataset.of(events, 2, 3), MMoESettings(), np.ones(3, bool))
    assert pairs.tasks == ("click", "like", "rating", "dwell")
    found = {(int(u), int(i)): row for u, i, row in zip(pairs.people, pairs.items, pairs.labels, strict=True)}
    nan = np.nan
    wanted = {
        (0, 2): [1, 1, 2, np.log1p(15)],
        (0, 1): [1, 0, nan, nan],
        (0, 0): [0, nan, nan, nan],  # shown, and nothing done
        (1, 0): [0, 0, 1, 0],  # a dislike
        (1, 2): [1, 1, nan, np.log1p(2)],
    }
    assert found.keys() == wanted.keys()
    for pair, row in wanted.items():
        np.testing.assert_allclose(found[pair], row, rtol=1e-6)
