"""``python -m bench.plot FIGURES.json FOLDER``: draw the figures of ``python -m bench --json``."""

import argparse
import json
from collections import defaultdict
from pathlib import Path
from typing import Any

import matplotlib as mpl
from matplotlib import pyplot as plt

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
    parser = argparse.ArgumentParser(prog="python -m bench.plot", description=__doc__)
    parser.add_argument("figures", type=Path)
    parser.add_argument("folder", type=Path)
    options = parser.parse_args()
    mpl.use("svg")
    # The same figures give the same file.
    mpl.rcParams["svg.hashsalt"] = "depgraph"
    figures = json.loads(options.figures.read_text())
    for name, (part, below, title) in PICTURES.items():
        curves = _curves(figures, part)
        if curves:
            _draw(curves, below, title, options.folder / f"{name}.svg")


def _curves(figures: list[dict[str, Any]], part: str) -> dict[str, list[tuple[float, float]]]:
    curves: dict[str, list[tuple[float, float]]] = defaultdict(list)
    for figure in figures:
        if figure["part"] == part and figure["curve"]:
            curves[figure["curve"]].append((figure["x"], figure["value"]))
    return curves


def _draw(curves: dict[str, list[tuple[float, float]]], below: str, title: str, path: Path) -> None:
    canvas, axes = plt.subplots(figsize=(8, 5))
    for name, points in curves.items():
        axes.plot(*zip(*points, strict=True), marker="o", label=name)
    axes.set(xscale="log", yscale="log", xlabel=below, ylabel="µs", title=title)
    axes.grid(visible=True, which="major", alpha=0.3)
    axes.legend()
    canvas.savefig(path, metadata={"Date": None})
    plt.close(canvas)


if __name__ == "__main__":
    main()
