"""Rows that a page of `bench_models.py` shows: from results at hand, or kept from the page as it was.

Results are large and stay where they were made; the page has their summary. So that it can be continued elsewhere, a
row whose results are not at hand, or of fewer seeds than the page has, stays as it is. Where the best of a table was
measured elsewhere, rows made here have no paired test against it.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

MEASURED = 14
"""Cells of the row of a model in a table."""
HEAD = (
    "| model | seeds | R@10 | R@20 | N@10 | N@20 | sd | 95 % of N@20 | less than the best | p (Holm) "
    "| CPU s | MB | ms | front |\n|---|--:|--:|--:|--:|--:|--:|---|--:|--:|--:|--:|--:|---|"
)


@dataclass(frozen=True)
class Shown:
    """One model in one table.

    Attributes:
        name: Of the contestant.
        seeds: How many fits the means are of.
        means: R@10, R@20, N@10, N@20.
        sd: Of N@20 between seeds, as printed.
        interval: The 95 % interval of N@20, as printed.
        costs: CPU seconds, MB, ms of one request.
        gap: What it is less than the best, as printed, and p of the paired test.
        best: Who that was, and its score.
    """

    name: str
    seeds: int
    means: tuple[float, ...]
    sd: str
    interval: str
    costs: tuple[float, ...]
    gap: str
    best: tuple[str, str]

    @property
    def score(self) -> float:
        return self.means[-1]

    @property
    def key(self) -> tuple[str, str]:
        return self.name, f"{self.score:.4f}"

    @property
    def seconds(self) -> float:
        return round(self.costs[0], 1)

    def line(self, best: Shown, marked: bool) -> str:
        means = " | ".join(f"{mean:.4f}" for mean in self.means)
        known = self.gap if self.best == best.key else f"{best.score - self.score:.4f} | "
        gap = " | " if self is best else known
        cost = "{:.1f} | {:.0f} | {:.1f}".format(*self.costs)
        front = "front" if marked else ""
        return f"| {self.name} | {self.seeds} | {means} | {self.sd} | {self.interval} | {gap} | {cost} | {front} |"


def front(rows: Iterable[Shown]) -> set[str]:
    """Names of the rows that nobody beats in both nDCG@20 and CPU seconds."""
    points = {row.name: (row.score, row.seconds) for row in rows}
    return {
        name for name, (score, cost) in points.items()
        if not any(s >= score and c <= cost and (s, c) != (score, cost) for s, c in points.values())
    }  # fmt: skip


def table_lines(rows: Sequence[Shown]) -> list[str]:
    """The table of these rows, best first."""
    ordered, marked = sorted(rows, key=lambda row: -row.score), front(rows)
    return [HEAD, *(row.line(ordered[0], row.name in marked) for row in ordered)]


def joined(kept: Sequence[Shown], made: Sequence[Shown]) -> list[Shown]:
    """The rows made here, and the kept ones that have more seeds or were not made here."""
    rows = {row.name: row for row in kept}
    for row in made:
        former = rows.get(row.name)
        if former is None or row.seeds > former.seeds:
            rows[row.name] = row
        elif row.seeds == former.seeds:
            rows[row.name] = replace(row, gap=former.gap, best=former.best) if row.key == former.key else row
    return list(rows.values())


def cells(line: str) -> list[str]:
    return [cell.strip() for cell in line.strip().removeprefix("|").removesuffix("|").split("|")]


@dataclass(frozen=True)
class Former:
    """The made part of a page as it was.

    Attributes:
        tables: Title -> its rows.
        people: Title -> how many were asked.
        verdicts: (test, model, peer) -> line.
        rivals: (test, kind) -> line.
        quoted: Title -> the lines of quoted systems.
        without: Title -> what it says of models without a result.
    """

    tables: dict[str, list[Shown]]
    people: dict[str, int]
    verdicts: dict[tuple[str, ...], str]
    rivals: dict[tuple[str, ...], str]
    quoted: dict[str, list[str]]
    without: dict[str, list[str]]

    def lost(self, title: str, known: set[str]) -> list[str]:
        """What is said of models without a result that are not known since."""
        return [one for one in self.without.get(title, []) if one.partition(",")[0] not in known]


def former(page: str) -> Former:
    """What a page says; a page without tables says nothing."""
    rivals, _, rest = page.partition("## Verdicts")
    verdicts, _, tables = rest.partition("## Tables")
    sections = [part for part in tables.split("### ")[1:] if "\n" in part]
    titles = {part.partition("\n")[0]: part for part in sections}
    return Former(
        {title: rows_of(part) for title, part in titles.items()},
        {title: int(part.split("\n\n")[1].split()[0]) for title, part in titles.items()},
        by_subject(verdicts),
        by_subject(rivals),
        {title: [line for line in part.splitlines() if line.startswith("| *")] for title, part in titles.items()},
        {title: re.findall(r"^Without a result: (.*)$", part, re.MULTILINE) for title, part in titles.items()},
    )


def by_subject(text: str) -> dict[tuple[str, ...], str]:
    """The body lines of the tables in a text by what they are about."""
    body = [line for line in text.splitlines() if line.startswith("| ") and not line.startswith("| test |")]
    return {about(line): line for line in body}


def about(line: str) -> tuple[str, ...]:
    """(test, model, peer) of a verdict; (test, kind of rival) of a rival, whose second cell is a score."""
    found = cells(line)
    if found[1][:1].isdigit():
        return found[0], "quoted" if found[2].startswith("*") else found[2].partition(":")[0]
    return tuple(found[:3])


def rows_of(section: str) -> list[Shown]:
    lines = [cells(line) for line in section.splitlines() if line.startswith("| ")]
    measured = [line for line in lines if len(line) == MEASURED and line[1].isdigit()]
    return [
        Shown(
            line[0], int(line[1]), tuple(map(float, line[2:6])), line[6], line[7],
            tuple(map(float, line[10:13])), " | ".join(line[8:10]), (measured[0][0], measured[0][5]),
        )
        for line in measured
    ]  # fmt: skip


def updated(kept: dict[tuple[str, ...], str], made: Iterable[str]) -> list[str]:
    """Lines as kept, those made anew in their place, tests together in the order of their first."""
    lines = kept | {about(line): line for line in made}
    order = list(dict.fromkeys(key[0] for key in lines))
    return [line for _, line in sorted(lines.items(), key=lambda one: order.index(one[0][0]))]


Lines = dict[tuple[str, ...], str]
Shows = dict[str, list[Shown]]


def valid_rivals(kept: Lines, rows: Shows) -> Lines:
    """The kept rivals whose scores, and those of `linear`, are still what the tables show."""
    found, scores = {}, scores_of(rows)
    for key, line in kept.items():
        test, base, rival, score = cells(line)[:4]
        asked = {("linear", base)} | (set() if rival.startswith("*") else {(rival.partition(": ")[2], score)})
        if asked <= scores[test]:
            found[key] = line
    return found


def valid_verdicts(kept: Lines, rows: Shows) -> Lines:
    """The kept verdicts on scores that the tables still show."""
    found, scores = {}, scores_of(rows)
    for key, line in kept.items():
        test, name, _, score = cells(line)[:4]
        if (name, score) in scores[test]:
            found[key] = line
    return found


def scores_of(rows: Shows) -> dict[str, set[tuple[str, str]]]:
    """Names and scores of the rows of each test."""
    return {where_of(title): {row.key for row in shown} for title, shown in rows.items()}


def where_of(title: str) -> str:
    """A test as the lines of rivals name it: "lastfm, cold, ranked among all" is "lastfm, all"."""
    head, _, among = title.partition(", ranked among ")
    return f"{head.partition(',')[0]}, {among}" if among else title
