"""``python -m bench.table RUN.json [RUN.json …]``: figures of several runs as Markdown."""

import argparse
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

Row = dict[str, Any]


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m bench.table", description=__doc__)
    parser.add_argument("runs", type=Path, nargs="+")
    parser.add_argument("--bars", action="store_true", help="only figures that have to meet a bar")
    parser.add_argument("--part", action="append", help="only this part (repeatable)")
    options = parser.parse_args()
    runs = [json.loads(path.read_text()) for path in options.runs]
    for line in _lines(runs, options.part, bars=options.bars):
        print(line)


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


if __name__ == "__main__":
    main()
