"""
``python -m bench.report RUN.json [RUN.json …]``: figures of several runs as Markdown.

With ``--draw FOLDER`` the curves of the first run are drawn there instead.
"""

import argparse
import json
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path
from typing import Any

Row = dict[str, Any]

# Which parts make a picture, and what its axes say.
PICTURES = {
    "latency": ("sizes", "bytes of the answer", "Latency of a whole call by the size of its answer"),
    "growth-by-hops": ("growth by hops", "hops", "A walk in a graph of a million edges, by hops"),
    "growth-by-edges": (
        "growth by edges",
        "edges in the graph",
        "A walk of three hops, by the size of the graph",
    ),
}


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m bench.report", description=__doc__)
    parser.add_argument("runs", type=Path, nargs="+")
    parser.add_argument("--bars", action="store_true", help="only figures that have to meet a bar")
    parser.add_argument("--part", action="append", help="only this part (repeatable)")
    parser.add_argument("--draw", type=Path, metavar="FOLDER", help="draw curves")
    options = parser.parse_args()
    runs = [json.loads(path.read_text()) for path in options.runs]
    if options.draw:
        _draw(runs[0], options.draw)
    else:
        print("\n".join(_lines(runs, options.part, bars=options.bars)))


def _lines(runs: list[list[Row]], parts: list[str] | None, *, bars: bool) -> Iterator[str]:
    heads = ["part", "what", *(f"run {number}" for number in range(1, len(runs) + 1)), "bar"]
    yield f"| {' | '.join(heads)} |"
    yield f"|{'---|' * len(heads)}"
    for rows in zip(*runs, strict=True):
        first = rows[0]
        if (parts and first["part"] not in parts) or (bars and not _bar(first)):
            continue
        cells = [first["part"], first["what"].strip(), *(_cell(row) for row in rows), _bar(first)]
        yield f"| {' | '.join(cells)} |"


def _cell(row: Row) -> str:
    value = f"{row['value']:,.3g}" if abs(row["value"]) < 1_000 else f"{row['value']:,.0f}"
    missed = " (missed)" if not row["met"] and row.get("binding", True) else ""
    return f"{value} {row['unit']}{missed}".replace(" x", " ×")  # noqa: RUF001 - the sign that people read


def _bar(row: Row) -> str:
    for sign, bound in (("≤", row["at_most"]), ("≥", row["at_least"])):
        if bound is not None:
            return f"{sign} {bound:,.3g}"
    return ""


def _draw(figures: list[Row], folder: Path) -> None:
    import matplotlib as mpl  # noqa: PLC0415 - only pictures need it
    from matplotlib import pyplot as plt  # noqa: PLC0415

    mpl.use("svg")
    # The same figures give the same file.
    mpl.rcParams["svg.hashsalt"] = "depgraph"
    for name, (part, below, title) in PICTURES.items():
        curves = defaultdict(list)
        for figure in figures:
            if figure["part"] == part and figure["curve"]:
                curves[figure["curve"]].append((figure["x"], figure["value"]))
        if not curves:
            continue
        canvas, axes = plt.subplots(figsize=(8, 5))
        for curve, points in curves.items():
            axes.plot(*zip(*points, strict=True), marker="o", label=curve)
        axes.set(xscale="log", yscale="log", xlabel=below, ylabel="µs", title=title)
        axes.grid(visible=True, which="major", alpha=0.3)
        axes.legend()
        canvas.savefig(folder / f"{name}.svg", metadata={"Date": None})
        plt.close(canvas)


if __name__ == "__main__":
    main()
