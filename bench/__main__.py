"""``python -m bench``: run the measurements and print one table."""

import argparse
import json
from collections.abc import Callable, Iterator
from pathlib import Path

from rich.console import Console
from rich.table import Table

from bench import feed, first_day
from bench.figures import Figure

PARTS: dict[str, Callable[[Path | None], Iterator[Figure]]] = {
    "first-day": first_day.measure,
    "fresh": feed.fresh,
    "triggers": feed.triggers,
}


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m bench", description=__doc__)
    parser.add_argument("--only", choices=sorted(PARTS), help="run one part")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the figures here too")
    parser.add_argument("--graph", type=Path, metavar="FILE", help="a Jaeger file to measure on")
    options = parser.parse_args()
    figures = [
        figure
        for name, measure in PARTS.items()
        if options.only in (None, name)
        for figure in measure(options.graph)
    ]
    table = Table("part", "what", "figure", "unit")
    for figure in figures:
        table.add_row(figure.part, figure.what, f"{figure.value:,.4g}", figure.unit)
    Console().print(table)
    if options.json:
        options.json.write_text(json.dumps([figure.__dict__ for figure in figures], indent=2) + "\n")


if __name__ == "__main__":
    main()
