"""RQ-VAE: its loss and gradients against written-out versions, idle codes, and what it learns."""

import numpy as np
import pytest
import torch
from torch import nn

from salon.errors import ArtifactError, DataError
from salon.models.semantic_ids import IdReport
from salon.models.semantic_rqvae import RQVAE, LearnedBooks
from salon.training.settings import TrainingSettings


def network(*, identity: bool = False) -> RQVAE:
    torch.manual_seed(0)
    found = RQVAE(4, 6, 4 if identity else 3, 2, 5)
    found.books.data.normal_()
    if identity:
        found.encoder = nn.Identity()
    return found


def slow_codes(told: np.ndarray, books: np.ndarray) -> tuple[list[int], list[np.ndarray]]:
    """The codes of one vector, and what is left before each level."""
    codes, left = [], [told]
    for book in books:
        codes.append(int(np.argmin([((left[-1] - centre) ** 2).sum() for centre in book])))
        left.append(left[-1] - book[codes[-1]])
    return codes, left


def test_the_loss_is_what_a_loop_computes() -> None:
    net = network()
    vectors = np.random.default_rng(1).standard_normal((7, 4)).astype(np.float32)
    known = np.array([[1, 1, 0, 0], [1, 1, 1, 1]] * 3 + [[0, 0, 1, 1]], bool)
    vectors = np.where(known, vectors, 0)
    total = 0.0
    with torch.no_grad():
        found = net(torch.from_numpy(vectors), torch.from_numpy(known)).item()
        for row, there in zip(vectors, known, strict=True):
            told = net.encoder(torch.from_numpy(row)).numpy()
            books = net.books.numpy()
            codes, left = slow_codes(told, books)
            centres = [book[code] for book, code in zip(books, codes, strict=True)]
            decoded = net.decoder(torch.from_numpy(np.sum(centres, axis=0))).numpy()
            total += ((decoded - row)[there] ** 2).sum()
            total += 1.25 * sum(((r - centre) ** 2).sum() for r, centre in zip(left[:-1], centres, strict=True))
    assert found == pytest.approx(total / 7, rel=1e-4)


def test_the_error_of_the_decoder_passes_straight_through_the_codes() -> None:
    net = network(identity=True)
    row = torch.randn(1, 4, requires_grad=True)
    net(row, torch.ones(1, 4, dtype=torch.bool)).backward()
    books = net.books.detach().numpy()
    codes, left = slow_codes(row.detach().numpy()[0], books)
    centres = [book[code] for book, code in zip(books, codes, strict=True)]
    sums = torch.from_numpy(np.sum(centres, axis=0)).requires_grad_()
    off = net.decoder(sums) - row.detach()[0]
    through = torch.autograd.grad(off.pow(2).sum(), sums)[0].numpy()
    drawn = sum(0.25 * 2 * (r - centre) for r, centre in zip(left[:-1], centres, strict=True))
    np.testing.assert_allclose(row.grad[0].numpy(), -2 * off.detach().numpy() + through + drawn, atol=1e-4)
    for level, (code, centre) in enumerate(zip(codes, centres, strict=True)):
        found = net.books.grad[level].numpy()
        np.testing.assert_allclose(found[code], 2 * (centre - left[level]), atol=1e-4)
        assert np.abs(np.delete(found, code, axis=0)).max() == 0


def test_idle_codes_move_to_what_is_left_of_a_row_and_busy_ones_stay() -> None:
    net = network()
    net.books.data[:, 3] = 1e3
    vectors, before = torch.randn(30, 4), net.books.detach().clone()
    with torch.no_grad():
        told = net.encoder(vectors).numpy()
    found = [slow_codes(one, before.numpy()) for one in told]
    net.revive(vectors, np.random.default_rng(0))
    for level in range(2):
        left = np.array([rest[level] for _, rest in found])
        busy = {codes[level] for codes, _ in found}
        assert 3 not in busy
        for code in range(5):
            now = net.books[level, code].detach().numpy()
            if code in busy:
                np.testing.assert_array_equal(now, before[level, code].numpy())
            else:
                assert np.abs(left - now).max(axis=1).min() < 1e-5


def clusters() -> tuple[np.ndarray, np.ndarray]:
    """Twelve kinds of rows in two modalities; a third of the rows lacks the second, one lacks both."""
    rng = np.random.default_rng(3)
    rows = rng.standard_normal((12, 20))[np.arange(240) % 12] + 0.1 * rng.standard_normal((240, 20))
    known = np.ones((240, 20), bool)
    known[np.arange(240) % 5 == 0, 10:] = False
    known[7] = False
    rows /= np.linalg.norm(rows, axis=1, keepdims=True)
    return np.where(known, rows - rows.mean(axis=0), 0).astype(np.float32), known


def learned(seed: int = 0, epochs: int = 100) -> LearnedBooks:
    settings = TrainingSettings(epochs=epochs, batch_size=64, learning_rate=3e-3, device="cpu")
    rows, known = clusters()
    rng = np.random.default_rng(seed)
    return LearnedBooks.fit(rows, known, levels=2, codes=8, latent=4, rng=rng, settings=settings)


def test_rows_are_told_again_from_few_codes() -> None:
    rows, known = clusters()
    books = learned()
    codes = books.assign(rows, known)
    assert codes.shape == (240, 2)
    assert (codes[7] == -1).all()
    assert (books.decode(codes)[7] == 0).all()
    report = IdReport.of(books, rows, known, codes=8)
    assert report.error < 0.3
    assert min(report.used) == 1.0
    whole = known.all(axis=1)
    pairs = [
        np.unique(codes[whole & (np.arange(240) % 12 == kind)], axis=0, return_counts=True)[1] for kind in range(12)
    ]
    assert np.mean([counts.max() / counts.sum() for counts in pairs]) > 0.8  # rows of a kind share their codes


def test_seeds_decide_and_arrays_are_all_there_is() -> None:
    rows, known = clusters()
    one, same, other = learned(1, 2), learned(1, 2), learned(2, 2)
    np.testing.assert_array_equal(one.books, same.books)
    assert np.abs(one.books - other.books).max() > 1e-3
    again = LearnedBooks(**{name: np.array(value) for name, value in vars(one).items()})
    np.testing.assert_array_equal(again.assign(rows, known), one.assign(rows, known))
    with pytest.raises(ArtifactError, match="weights for a network of"):
        LearnedBooks(one.books, one.weights[1:], one.sizes).assign(rows, known)


def test_nothing_to_learn_from_is_refused() -> None:
    rows = np.ones((3, 2), np.float32)
    settings = TrainingSettings(epochs=1)
    with pytest.raises(DataError, match="no vector to learn codes from"):
        LearnedBooks.fit(
            rows, np.zeros(3, bool), levels=1, codes=2, latent=2, rng=np.random.default_rng(0), settings=settings
        )
