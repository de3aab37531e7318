"""The softmax loss, dropout and attention of training beside torch's own, each with its gradients.

    python benchmarks/bench_softmax.py [--times 7]

Prints a table in Markdown: median processor milliseconds of one thread.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from salon.models.sequence_cores import CausalAttention
from salon.training.dropout import dropped
from salon.training.softmax import softmax_loss

SHAPES = ((500, 1425), (2000, 2000), (12000, 1349), (2500, 8713), (2500, 60000))
"""Rows and items."""
WIDTH = 64
"""Numbers per vector."""


def milliseconds(step: Callable[[], Tensor], times: int) -> float:
    """Median processor time of a step and of its gradients."""
    found = []
    for _ in range(times + 1):  # the first is thrown away
        start = time.process_time()
        step().backward()
        found.append(1e3 * (time.process_time() - start))
    return float(np.median(found[1:]))


def softmaxes(rows: int, items: int, times: int) -> tuple[float, float]:
    """(torch's, ours) over random vectors."""
    queries, vectors = torch.randn(rows, WIDTH, requires_grad=True), torch.randn(items, WIDTH, requires_grad=True)
    wanted = torch.randint(items, (rows,))
    plain = milliseconds(lambda: functional.cross_entropy(queries @ vectors.T, wanted), times)
    return plain, milliseconds(lambda: softmax_loss(queries, vectors, wanted), times)


def dropouts(times: int) -> tuple[float, float]:
    """(torch's, ours) of 12,800 x 256 numbers."""
    x = torch.randn(12_800, 256, requires_grad=True)
    return tuple(milliseconds(lambda way=way: way(x, 0.2).sum(), times) for way in (functional.dropout, dropped))


def attentions(times: int) -> tuple[float, float]:
    """(torch's, ours) of 256 histories of 50 steps, two heads, a fifth of the weights dropped, maps included."""
    layer, x = CausalAttention(WIDTH, 2, 0.2, intervals=False), torch.randn(256, 50, WIDTH, requires_grad=True)

    def plain() -> Tensor:
        parts = layer.project(x).view(256, 50, 3, 2, WIDTH // 2).permute(2, 0, 3, 1, 4).unbind(0)
        mixed = functional.scaled_dot_product_attention(*parts, dropout_p=0.2, is_causal=True)
        return layer.out(mixed.transpose(1, 2).reshape(256, 50, WIDTH)).sum()

    return milliseconds(plain, times), milliseconds(lambda: layer(x, None).sum(), times)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--times", type=int, default=7)
    times = parser.parse_args().times
    torch.set_num_threads(1)
    torch.manual_seed(0)
    print("| | torch | salon |\n|---|--:|--:|")
    for rows, items in SHAPES:
        print(
            "| softmax loss, {:,} rows, {:,} items | {:.1f} | {:.1f} |".format(
                rows, items, *softmaxes(rows, items, times)
            )
        )
    print("| dropout of 12,800 x 256 | {:.1f} | {:.1f} |".format(*dropouts(times)))
    print("| attention with dropout, 256 x 50 steps | {:.1f} | {:.1f} |".format(*attentions(times)))


if __name__ == "__main__":
    main()
