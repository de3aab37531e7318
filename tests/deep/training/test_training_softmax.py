"""The softmax loss made block by block, against the plain one and its gradients by torch."""

import pytest
import torch
from torch.nn import functional

from salon.training import softmax
from salon.training.softmax import scores_at_once, softmax_loss


def drawn(*shapes: tuple[int, ...], dtype: torch.dtype = torch.float32) -> list[torch.Tensor]:
    generator = torch.Generator().manual_seed(0)
    return [torch.randn(*shape, generator=generator, dtype=dtype).requires_grad_() for shape in shapes]


def plain(queries: torch.Tensor, items: torch.Tensor, targets: torch.Tensor, shift: torch.Tensor) -> torch.Tensor:
    scores, own = queries @ items.T, targets.unsqueeze(1)
    return functional.cross_entropy((scores + shift).scatter(1, own, scores.gather(1, own)), targets)


@pytest.fixture
def blocks_of(monkeypatch: pytest.MonkeyPatch):
    """Makes blocks have so many rows."""

    def choose(rows: int) -> None:
        monkeypatch.setattr(softmax, "FEWEST_ROWS", rows)
        monkeypatch.setitem(softmax.NUMBERS_AT_ONCE, "cpu", 1)

    return choose


@pytest.mark.parametrize("rows", [1, 3, 100])
def test_it_is_the_cross_entropy_and_so_are_its_gradients(blocks_of, rows: int) -> None:
    blocks_of(rows)
    queries, items = drawn((4, 3), (10, 3))
    targets, shift = torch.tensor([0, 9, 3, 3]), torch.linspace(-2, 3, 10)
    for given in (None, shift):
        whole = plain(queries, items, targets, torch.zeros(10) if given is None else given)
        found = softmax_loss(queries, items, targets, given)
        assert torch.isclose(found, whole)
        gradients = (torch.autograd.grad(5 * loss, [queries, items]) for loss in (found, whole))
        for one, other in zip(*gradients, strict=True):
            assert torch.allclose(one, other, atol=1e-6)


def test_derivatives_are_those_of_small_differences() -> None:
    queries, items = drawn((5, 3), (7, 3), dtype=torch.float64)
    targets = torch.tensor([6, 0, 2, 2, 5])
    assert torch.autograd.gradcheck(lambda q, e: softmax_loss(q, e, targets), (queries, items))


def test_large_scores_do_not_overflow() -> None:
    queries, items = (1e3 * part.detach() for part in drawn((6, 4), (9, 4)))
    targets = torch.arange(6)
    assert torch.allclose(softmax_loss(queries, items, targets), functional.cross_entropy(queries @ items.T, targets))


@pytest.mark.parametrize("half", [torch.bfloat16, torch.float16])
def test_half_precision_is_near_and_its_gradients_have_the_type_of_what_was_given(half: torch.dtype) -> None:
    queries, items = drawn((40, 16), (300, 16))
    targets = torch.arange(40)
    whole = softmax_loss(queries, items, targets)
    right = torch.autograd.grad(whole, [queries, items])
    with torch.autocast("cpu", half):
        found = softmax_loss(queries, items, targets)
    assert found.dtype == torch.float32
    assert torch.isclose(found, whole, rtol=0.02)
    for one, other in zip(torch.autograd.grad(found, [queries, items]), right, strict=True):
        assert one.dtype == torch.float32
        assert functional.cosine_similarity(one.flatten(), other.flatten(), dim=0) > 0.999


def test_a_scaled_loss_keeps_small_gradients_of_half_precision() -> None:
    """As mixed precision with float16 does: many rows, whose gradients alone are below the smallest float16."""
    queries, items = drawn((3000, 4), (50, 4))
    targets, scale = torch.arange(3000) % 50, 2.0**14
    (right,) = torch.autograd.grad(scale * softmax_loss(queries, 1e-4 * items, targets), queries)
    states = queries.detach().half().requires_grad_()
    with torch.autocast("cpu", torch.float16):
        loss = softmax_loss(states, 1e-4 * items, targets)
    (found,) = torch.autograd.grad(scale * loss, states)
    assert found.dtype == torch.float16
    assert torch.allclose(found.float(), right, rtol=0.01, atol=1e-6)


def test_a_block_is_small_whatever_the_batch_and_has_some_rows_whatever_the_catalogue() -> None:
    assert scores_at_once(100) == 100 * (softmax.NUMBERS_AT_ONCE["cpu"] // 100)
    assert scores_at_once(1_000_000) == softmax.FEWEST_ROWS * 1_000_000
