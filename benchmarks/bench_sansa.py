"""SANSA (Spisak et al., RecSys 2023) on the made data of `bench_scale.py`, called directly, with numpy and scipy alone.

    python benchmarks/bench_scale.py data --items N --onto N.npz
    python benchmarks/bench_sansa.py N.npz --l2 20 --entries-per-item 50 [--factors ICF]

It runs in an environment of its own, as it asks for older libraries than salon. Its weights W = A B^-1 are two sparse
factors; `--entries-per-item` is the density asked of each. The figures are those of `bench_scale.py`.
"""

from __future__ import annotations

import argparse
import json
import resource
import sys
import time

import numpy as np
from sansa import (
    SANSA,
    CHOLMODGramianFactorizerConfig,
    ICFGramianFactorizerConfig,
    SANSAConfig,
    UMRUnitLowerTriangleInverterConfig,
)
from scipy import sparse


def accuracy(model: SANSA, queries: sparse.csr_matrix, answers: np.ndarray) -> tuple[float, list[float]]:
    """nDCG@20 of one answer per query, and the median and 95th percentile of 200 requests in milliseconds."""
    gains, spans = np.zeros(len(answers)), []
    for row, answer in enumerate(answers):
        start = time.perf_counter()
        one = queries[row]
        scores = sparse.csr_matrix(model.forward(one))
        scores.sum_duplicates()
        kept = ~np.isin(scores.indices, one.indices)
        ids, values = scores.indices[kept], scores.data[kept]
        best = ids[np.argsort(-values, kind="stable")[:20]]
        spans.append(1e3 * (time.perf_counter() - start))
        place = np.flatnonzero(best == answer)
        gains[row] = 1 / np.log2(place[0] + 2) if len(place) else 0.0
    return float(gains.mean()), [round(float(x), 1) for x in np.percentile(spans[:200], [50, 95])]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data")
    parser.add_argument("--l2", type=float, default=20.0)
    parser.add_argument("--entries-per-item", type=float, default=50.0)
    parser.add_argument("--factors", choices=["CHOLMOD", "ICF"], default="ICF")
    args = parser.parse_args()
    with np.load(args.data) as stored:
        shape = tuple(stored["shape"])
        rows = sparse.csr_matrix(
            (np.ones(len(stored["indices"]), np.float32), stored["indices"], stored["indptr"]), shape
        )
        queries = rows[stored["people"]]
        answers = stored["answers"]
    way = ICFGramianFactorizerConfig() if args.factors == "ICF" else CHOLMODGramianFactorizerConfig()
    density = args.entries_per_item / shape[1]
    clock, processor = time.perf_counter(), time.process_time()
    model = SANSA(SANSAConfig(args.l2, density, way, UMRUnitLowerTriangleInverterConfig())).fit(rows)
    spent = time.perf_counter() - clock, time.process_time() - processor
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
    ndcg, latency = accuracy(model, queries, answers)
    found = {
        "items": int(shape[1]), "factors": args.factors, "l2": args.l2, "clock_s": round(spent[0], 1),
        "cpu_s": round(spent[1], 1), "peak_gb": round(peak, 2), "entries": int(sum(w.nnz for w in model.weights)),
        "latency_ms": latency, "ndcg": round(ndcg, 4),
    }  # fmt: skip
    sys.stdout.write(json.dumps(found) + "\n")


if __name__ == "__main__":
    main()
