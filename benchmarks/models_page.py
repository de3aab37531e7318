"""The tables of `bench_models.py` in markdown: what was measured, what is quoted, and how they compare.

A row is the mean over seeds; tests and intervals are on the means of each user over the seeds. Quoted rows come from
`models_quoted.csv`, measured with the same metric on the same files at another time. What the page has and the results
have not stays (`models_kept.py`).
"""

from __future__ import annotations

import csv
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from models_kept import Former, Shown, former, joined, table_lines, updated, valid_rivals, valid_verdicts

from salon.evaluate.significance import compare, measure, sign_flip_test
from salon.evaluate.values import Comparison

METRICS = ("R@10", "R@20", "N@10", "N@20")
MAIN = "N@20"
SHARE = 1 / 3
"""Of the CPU seconds of its peer, what a model may take."""
UNRESOLVED = 0.01
"""The difference that such tests cannot resolve, for a table of one model."""
SHALLOW = (
    "popular",
    "recent",
    "contentknn",
    "itemknn",
    "userknn",
    "rp3beta",
    "graphfilter",
    "mediafilter",
    "als",
    "bpr",
)
SHALLOW += ("ease", "linear", "decision", "ensemble")
"""First words of what is neither trained by gradients through a network nor a ranker over others."""

RANKERS = ("lambdamart", "dcn", "deepfm")


@dataclass(frozen=True)
class Row:
    """One model in one test.

    Attributes:
        name: Of the contestant.
        runs: Its results, one per seed.
        values: Metric -> (seeds, users).
    """

    name: str
    runs: list[dict[str, Any]]
    values: dict[str, np.ndarray]

    @property
    def per_user(self) -> np.ndarray:
        """(users,) the mean over the seeds."""
        return np.asarray(self.values[MAIN].mean(axis=0), np.float64)

    def mean(self, metric: str = MAIN) -> float:
        return float(self.values[metric].mean())

    @property
    def sd(self) -> str:
        means = self.values[MAIN].mean(axis=1)
        return f"{means.std(ddof=1):.4f}" if len(means) > 1 else ""

    def cost(self, name: str) -> float:
        return float(np.mean([run[name] for run in self.runs]))


@dataclass(frozen=True)
class Table:
    """One test of one set and protocol."""

    dataset: str
    protocol: str
    test: str
    rows: list[Row]
    quoted: list[dict[str, str]]
    lost: list[dict[str, Any]]

    def __getitem__(self, name: str) -> Row | None:
        return next((row for row in self.rows if row.name == name), None)


def tables(results: Path, lines: list[dict[str, Any]], quoted: Path) -> list[Table]:
    """All tables that the lines make, models by nDCG@20."""
    with quoted.open(encoding="utf-8", newline="") as file:
        peers = list(csv.DictReader(file))
    done = [line for line in lines if line["status"] == "ok"]
    keys = dict.fromkeys((line["set"], line["protocol"], test) for line in done for test in line["tests"])
    found = []
    for dataset, protocol, test in keys:
        here = [line for line in done if (line["set"], line["protocol"]) == (dataset, protocol)]
        rows = [
            row_of(results, name, [line for line in here if line["model"] == name], test)
            for name in dict.fromkeys(line["model"] for line in here)
        ]
        rows.sort(key=lambda row: -row.mean())
        named = [peer for peer in peers if (peer["set"], peer["protocol"], peer["test"]) == (dataset, protocol, test)]
        lost = [
            line for line in lines
            if (line["set"], line["protocol"]) == (dataset, protocol) and line["status"] in ("failed", "too slow")
        ]  # fmt: skip
        found.append(Table(dataset, protocol, test, rows, named, lost))
    return found


def row_of(results: Path, name: str, runs: list[dict[str, Any]], test: str) -> Row:
    stored = []
    for run in runs:
        with np.load(results / run["arrays"]) as arrays:
            stored.append({metric: arrays[f"{test}/{metric}"] for metric in METRICS})
    return Row(name, runs, {metric: np.stack([one[metric] for one in stored]) for metric in METRICS})


def title_of(table: Table) -> str:
    ranked = f", ranked among {table.test}" if table.test != table.protocol else ""
    return f"{table.dataset}, {table.protocol}{ranked}"


def shown(table: Table) -> list[Shown]:
    """The rows made here, with paired tests against the best of them."""
    best, rng = table.rows[0], np.random.default_rng(0)
    bounds = measure({row.name: row.per_user for row in table.rows}, rng)
    against = {one.name: one for one in compare({r.name: r.per_user for r in table.rows}, best.name, MAIN, rng)}
    found = []
    for row in table.rows:
        low, high = bounds[row.name].low or 0.0, bounds[row.name].high or 0.0
        one: Comparison | None = against.get(row.name)
        means, costs = (tuple(map(row.mean, METRICS)), tuple(map(row.cost, ("cpu_s", "peak_mb", "p50_ms"))))
        gap = f"{-one.difference:.4f} | {one.p_holm:.3f}" if one else " | "
        key = best.name, f"{best.mean():.4f}"
        found.append(Shown(row.name, len(row.runs), means, row.sd, f"{low:.4f} to {high:.4f}", costs, gap, key))
    return found


def main_table(title: str, rows: list[Shown], table: Table | None, kept: Former) -> Iterator[str]:
    """Every model of a test, and the quoted systems below."""
    people = len(table.rows[0].per_user) if table else kept.people[title]
    yield f"### {title}\n"
    yield f"{people} people. Best on test: {max(rows, key=lambda row: row.score).name}.\n"
    yield from table_lines(rows)
    yield from [] if table else kept.quoted[title]
    for peer in table.quoted if table else []:
        means = " | ".join(f"{float(peer[metric]):.4f}" for metric in METRICS)
        yield f"| *{peer['system']}, quoted* | | {means} | | | | | {peer['cpu_s']} | {peer['peak_mb']} | | |"
    names = {row.name for row in rows}
    lost = [
        f"{one['model']}, seed {one['seed']}: {one['status']}, {one['why']}." for one in (table.lost if table else [])
    ]
    yield from (
        f"\nWithout a result: {one}" for one in lost + kept.lost(title, names | {o.split(",")[0] for o in lost})
    )
    yield ""


def noise(row: Row, rows: list[Row]) -> float:
    """Half the width of the 95 % interval of a paired difference that means nothing.

    That of two seeds of the model; for a model of one seed that to its nearest neighbour in the table.
    """
    if len(row.runs) > 1:
        pair = row.values[MAIN][0] - row.values[MAIN][1]
    else:
        others = [r for r in rows if r is not row]
        if not others:
            return UNRESOLVED
        pair = row.per_user - min(others, key=lambda r: abs(r.mean() - row.mean())).per_user
    return float(1.96 * pair.std(ddof=1) / np.sqrt(len(pair)))


RERUN = {
    "implicit-als": ("als", "als-small"),
    "implicit-bpr": ("bpr", "bpr-small", "bprmf"),
    "recbole-sasrec": ("sasrec",),
}
"""Peers that run here -> the models that answer them."""


def verdicts(table: Table) -> Iterator[str]:
    """The line of every model that has a peer in this test."""
    where = f"{table.dataset}, {table.test}"
    for peer, row in ((one, table[ours]) for one in table.quoted for ours in one["ours"].split("/")):
        if row is None or peer["system"] in RERUN:
            continue
        gap, slack = row.mean() - float(peer["N@20"]), noise(row, table.rows)
        yield verdict(where, row, peer["system"] + ", quoted", (gap, slack), float(peer["cpu_s"]))
    for name, ours in ((name, one) for name, several in RERUN.items() for one in several):
        row, peer_row = table[ours], table[name]
        if row and peer_row:
            pair = row.per_user - peer_row.per_user
            slack = float(1.96 * pair.std(ddof=1) / np.sqrt(len(pair)))
            yield verdict(where, row, name + ", same run", (float(pair.mean()), slack), peer_row.cost("cpu_s"))


def verdict(where: str, row: Row, peer: str, gap: tuple[float, float], seconds: float) -> str:
    mine = row.cost("cpu_s")
    share = mine / seconds if seconds else float("nan")
    words = "better" if gap[0] > gap[1] else "level" if gap[0] >= -gap[1] else "**worse**"
    told = f"{share:.2f}{'' if share <= SHARE else ' **above**'}" if seconds else "below .05 s"
    compared = f"{row.mean():.4f} | {gap[0]:+.4f} | {gap[1]:.4f} | {words}"
    return f"| {where} | {row.name} | {peer} | {compared} | {mine:.1f} | {told} |"


def verdict_table(found: list[Table], kept: Former, rows: dict[str, list[Shown]]) -> Iterator[str]:
    new = [line for table in found for line in verdicts(table if complete(table, kept) else repeated(table))]
    everything = updated(valid_verdicts(kept.verdicts, rows), new)
    for what, references in (("published systems", False), ("plain numpy references, whose settings were given", True)):
        lines = [line for line in everything if ("| ref-" in line) == references]
        accurate = sum("**worse**" not in line for line in lines)
        cheap = sum("**above**" not in line and "below" not in line for line in lines)
        yield f"Beside {what}: level or better in {accurate} of {len(lines)} pairs, at most a third of the CPU seconds"
        yield f"in {cheap}.\n"
        yield "| test | model | peer | N@20 | minus peer | noise | verdict | CPU s | share of the peer's |"
        yield "|---|---|---|--:|--:|--:|---|--:|--:|"
        yield from lines
        yield ""


def kind_of(name: str) -> str:
    """What a row is beside `linear`; empty for what is not compared with it."""
    if name == "linear+tokens":
        return "with tokens"
    if name in RANKERS:
        return "ranker over it"
    if name.startswith("ensemble-"):
        return "ensemble"
    return "" if name.split("-")[0] in (*SHALLOW, "implicit") or "+" in name else "network"


def rivals(table: Table, shown: list[Shown]) -> Iterator[str]:
    """`linear` beside the network, the ensemble and the quoted system that are best; ours chosen on validation.

    Only of kinds of which all rows that are shown were made here: else it is not known whom validation prefers.
    """
    base, made = table["linear"], {row.name for row in table.rows}
    if base is None:
        return
    for what in ("network", "ranker over it", "ensemble", "with tokens"):
        rows = [row for row in table.rows if kind_of(row.name) == what]
        if rows and all(row.name in made for row in shown if kind_of(row.name) == what):
            row = max(rows, key=lambda r: np.mean([run["valid"][MAIN] for run in r.runs]))
            pair = row.per_user - base.per_user
            p, slack = sign_flip_test(pair, np.random.default_rng(0)), 1.96 * pair.std(ddof=1) / np.sqrt(len(pair))
            yield (
                f"| {table.dataset}, {table.test} | {base.mean():.4f} | {what}: {row.name} | {row.mean():.4f} | "
                f"{pair.mean():+.4f} ± {slack:.4f} | {p:.4f} |"
            )
    if table.quoted:
        peer = max(table.quoted, key=lambda one: float(one[MAIN]))
        score = float(peer[MAIN])
        yield (
            f"| {table.dataset}, {table.test} | {base.mean():.4f} | *{peer['system']}, quoted* | {score:.4f} | "
            f"{score - base.mean():+.4f} | |"
        )


def complete(table: Table, kept: Former) -> bool:
    """Whether every row of the page was made here as well."""
    made = {row.name for row in table.rows}
    return all(row.name in made for row in kept.tables.get(title_of(table), []))


def repeated(table: Table) -> Table:
    """The rows of several seeds, whose noise is known without the rest of the table."""
    return replace(table, rows=[row for row in table.rows if len(row.runs) > 1])


def current(table: Table, kept: Former) -> Table:
    """The table without rows of which the page has more seeds."""
    seeds = {row.name: row.seeds for row in kept.tables.get(title_of(table), [])}
    rows = [row for row in table.rows if len(row.runs) >= seeds.get(row.name, 0)]
    return replace(table, rows=rows)


def page(results: Path, lines: list[dict[str, Any]], quoted: Path, before: str) -> str:
    """All of it; what was not made here stays as it was before."""
    kept = former(before)
    found = [current(table, kept) for table in tables(results, lines, quoted)]
    made = {title_of(table): table for table in found if table.rows}
    titles = dict.fromkeys([*kept.tables, *made])
    rows = {title: joined(kept.tables.get(title, []), shown(made[title]) if title in made else []) for title in titles}
    parts = ["## `linear` and its rivals\n"]
    parts += ["| test | linear N@20 | rival | its N@20 | minus linear, 95 % | p |", "|---|--:|---|--:|--:|--:|"]
    new = [line for title, table in made.items() for line in rivals(table, rows[title])]
    parts += updated(valid_rivals(kept.rivals, rows), new)
    parts += ["\n## Verdicts\n", *verdict_table(list(made.values()), kept, rows), "## Tables\n"]
    for title in titles:
        parts += main_table(title, rows[title], made.get(title), kept)
    return "\n".join(parts)
