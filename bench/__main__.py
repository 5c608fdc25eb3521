"""``python -m bench``: run measurements, print one table, exit with 1 when a bar is missed."""

import argparse
import dataclasses
import json
import sys
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

from rich.console import Console
from rich.table import Table

from bench import (
    alerts,
    analyses,
    calls,
    console,
    credentials,
    cycles,
    diff,
    fairness,
    feed,
    giant,
    history_writes,
    hostile,
    otlp,
    overload,
    past,
    peers,
    pictures,
    starting,
    tracing,
    transport,
    walks,
    wire,
    writes,
)
from bench.measuring import Figure
from bench.stage import Stage
from server.lifecycle.kernels import use_compiled_kernels

PARTS: dict[str, Callable[[Stage], Iterator[Figure]]] = {
    "core-traverse": walks.traverse,
    "core-vs-cte": peers.recursive_query,
    "handler": walks.handlers,
    "wire": wire.measure,
    "rtt": calls.rtt,
    "batch": calls.batch,
    "component": cycles.component,
    "cuts": cycles.cuts,
    "check": cycles.check,
    "detection": alerts.detection,
    "giant": giant.measure,
    "backlog": feed.backlog,
    "effective": walks.effective_walks,
    "impact": analyses.impact,
    "paths": analyses.paths,
    "audit": analyses.audit,
    "drift": analyses.drift,
    "warm": starting.warm,
    "memory": starting.memory,
    "step": feed.step,
    "fresh": feed.fresh,
    "bulk": calls.bulk,
    "upsert": writes.upsert,
    "triggers": writes.triggers,
    "sweep": writes.sweeps,
    "as-of": past.measure,
    "history": history_writes.writes,
    "diff": diff.measure,
    "growth": walks.growth,
    "alerts": alerts.reads,
    "sizes": calls.sizes,
    "peers": peers.libraries,
    "hostile": hostile.measure,
    "overload": overload.measure,
    "fairness": fairness.measure,
    "transport": transport.measure,
    "tracing": tracing.measure,
    "credentials": credentials.measure,
    "otlp": otlp.measure,
    "pictures": pictures.measure,
    "console": console.measure,
    "first-day": starting.first_day,
    "capacity": starting.capacity,
}


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m bench", description=__doc__)
    parser.add_argument("--only", choices=sorted(PARTS), action="append", help="run this part (repeatable)")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the figures here too")
    parser.add_argument("--graph", type=Path, metavar="FILE", help="a Jaeger file to measure on")
    parser.add_argument(
        "--giant-services",
        type=int,
        default=50_000,
        metavar="N",
        help="services of the graph of `giant` and `backlog`",
    )
    options = parser.parse_args()
    if not use_compiled_kernels():
        parser.error("kernels are not compiled: run 'depgraph compile'")
    figures: list[Figure] = []
    with Stage.set_up(options.graph, options.giant_services) as stage:
        for name in options.only or PARTS:
            print(f"measuring {name} ...", file=sys.stderr)
            figures += (dataclasses.replace(each, part=each.part or name) for each in PARTS[name](stage))
            _keep(figures, options.json)
    Console(width=160).print(_table(figures))
    return 1 if any(figure.failed for figure in figures) else 0


def _keep(figures: Sequence[Figure], path: Path | None) -> None:
    """Write what there is so far: a part that fails must not cost those before it."""
    if path:
        rows = [dataclasses.asdict(figure) | {"met": figure.met} for figure in figures]
        path.write_text(json.dumps(rows, indent=2) + "\n")


def _table(figures: Sequence[Figure]) -> Table:
    table = Table("part", "what", "figure", "unit", "bar", "met", "calls")
    for figure in figures:
        met = ("yes" if figure.met else "NO" if figure.binding else "no") if figure.bar else ""
        value = f"{figure.value:,.4g}" if figure.value < 1000 else f"{figure.value:,.0f}"
        table.add_row(figure.part, figure.what, value, figure.unit, figure.bar, met, str(figure.calls or ""))
    return table


if __name__ == "__main__":
    sys.exit(main())
