"""`make bench`: every benchmark in turn, then one table and one figure of all that has been measured.

    python benchmarks/run.py                    start cells epoch collect watch fast: half an hour on two cores
    python benchmarks/run.py cells epoch        these
    python benchmarks/run.py best               five runs of experiment=best: an hour
    python benchmarks/run.py search             five rounds of searches: up to three hours, and it goes on
    python benchmarks/run.py stack              trials side by side in one program, and not: half an hour
    python benchmarks/run.py gpu                on an NVIDIA GPU: an epoch, and trials side by side
    python benchmarks/run.py --avx2 fast        as on a processor with AVX2 alone, by limiting every library to it
    python benchmarks/run.py --table            no measuring: the table and the figure of what is in results/

Each leaves results/NAME.json with its rows, round by round, and the machine that it ran on (NAME-avx2.json without
AVX-512); results/table.md and results/ratios.png are made of all of them.
"""

from __future__ import annotations

import argparse
import importlib
import json
import os
import statistics
import sys
from dataclasses import replace

import matplotlib

matplotlib.use("agg")
import matplotlib.pyplot as plt
from bench import AVX2_ALONE, RESULTS, Row, results_file, save

USUAL = ("start", "cells", "epoch", "collect", "watch", "fast")
RARE = ("best", "search", "stack", "gpu")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("names", nargs="*", help=f"of {' '.join(USUAL + RARE)}; none: all but {' '.join(RARE)}")
    parser.add_argument("--rounds", type=int, help="how often each subject takes its turn; every benchmark has its own")
    parser.add_argument("--avx2", action="store_true", help="limit every library to AVX2")
    parser.add_argument("--table", action="store_true", help="measure nothing")
    args = parser.parse_args()
    if unknown := set(args.names) - {*USUAL, *RARE}:
        parser.error(f"no benchmark {', '.join(sorted(unknown))}; there are {', '.join(USUAL + RARE)}")
    if args.avx2:
        os.environ.update(AVX2_ALONE)  # before torch is imported, here and in the subjects
    for name in [] if args.table else args.names or USUAL:
        measure = importlib.import_module(name).measure
        save(name, list(measure(args.rounds) if args.rounds else measure()))
    table = write_table()
    draw()
    sys.stdout.write(table)


def load() -> list[tuple[str, dict, list[Row]]]:
    """Returns name, machine and rows of every benchmark that has been run, those without AVX-512 last."""
    found = []
    for avx2 in (False, True):
        for name in USUAL + RARE:
            if (path := results_file(name, avx2)).exists():
                content = json.loads(path.read_text())
                found.append((name, content["machine"], [Row(**row) for row in content["rows"]]))
    return found


def write_table() -> str:
    lines = []
    for name, machine, rows in load():
        about = "{processor}, {cores} cores, {capability}, {memory_gb} GB, Python {python}, torch {torch}".format(
            **machine
        )
        if machine.get("limited"):
            about = about.replace("AVX2", "limited to AVX2")
        option, title = ("--avx2 " * machine.get("limited", False), name)
        if machine["capability"] == "AVX2":
            title = f"{name}, AVX2 alone"
        lines += [
            f"## {title}",
            "",
            f"`python benchmarks/run.py {option}{name}` on {about}; {machine['date']}, commit ",
        ]
        lines[-1] += (
            f"{machine['commit']}, load {machine['load_at_end']}. Medians (of accuracies, means) and [least, most]."
        )
        lines += ["", "| what | rnnexp | beside | | ratio | goal | |", "|---|---|---|---|---|---|---|"]
        lines += [line(row) for row in rows]
        lines.append("")
    text = "\n".join(lines)
    (RESULTS / "table.md").write_text(text)
    return text


def line(row: Row) -> str:
    met = {None: "", True: "met", False: "**not met**"}[row.is_met]
    if row.theirs:
        goal = "" if row.goal is None else f"{row.goal:g}"
        cells = [
            row.what,
            spread(row.ours, row.unit),
            row.against,
            spread(row.theirs, row.unit),
            spread(row.ratios, "x"),
        ]
    else:
        goal = "" if row.goal is None else f"{'>=' if row.higher else '<='} {row.goal:g} {row.unit}"
        cells = [row.what, spread(row.ours, row.unit), row.against, "", ""]
    return f"| {' | '.join([*cells, goal, f'{met} {row.note}'.strip()])} |"


def spread(values: list[float], unit: str) -> str:
    """Returns median and range to three digits, `1.52 [1.47, 1.60] x`; of accuracies, the mean and two decimals."""
    middle = statistics.mean(values) if unit == "%" else statistics.median(values)
    texts = [f"{v:.2f}" if unit == "%" else f"{v:.3g}" if v < 1000 else f"{v:,.0f}" for v in (middle, *values)]
    if len(values) == 1:
        return f"{texts[0]} {unit}"
    least, most = texts[1 + values.index(min(values))], texts[1 + values.index(max(values))]
    return f"{texts[0]} [{least}, {most}] {unit}"


def draw() -> None:
    """Draws every ratio that has a goal, with its range, into `results/ratios.png`; cells on all cores alone."""
    rows = [
        replace(row, what=f"{row.what}{', AVX2' * (machine['capability'] == 'AVX2')}")
        for _, machine, rows in load()
        for row in rows
        if row.ratios and row.goal and ", 1 thread," not in row.what
    ]
    figure, axes = plt.subplots(figsize=(10, 0.25 * len(rows) + 1), layout="constrained")
    for place, row in enumerate(reversed(rows)):
        color = "tab:blue" if row.is_met else "tab:orange"
        axes.plot([min(row.ratios), max(row.ratios)], [place, place], color=color, linewidth=2, alpha=0.5)
        axes.plot(statistics.median(row.ratios), place, "o", color=color, markersize=5)
        axes.plot(row.goal, place, "|", color="black", markersize=10)
    names = [f"{row.what}  |  {row.against}".replace("`", "") for row in reversed(rows)]
    axes.set_yticks(range(len(rows)), names, fontsize=7)
    axes.set_ylim(-0.7, len(rows) - 0.3)
    axes.axvline(1, color="0.7", linewidth=1, zorder=0)
    axes.set_xscale("log")
    ticks = [0.5, 1, 2, 5, 10, 20, 50]
    axes.set_xticks(ticks, [f"{tick:g}" for tick in ticks])
    axes.minorticks_off()
    axes.grid(axis="y", color="0.93")
    axes.set_axisbelow(True)
    figure.supxlabel(
        "theirs / ours. Dot: median, line: range of the rounds, tick: goal; blue: met, orange: not met", fontsize=8
    )
    figure.savefig(RESULTS / "ratios.png", dpi=110)


if __name__ == "__main__":
    main()
