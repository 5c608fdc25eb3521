"""The graphs that are measured on."""

import json
import random
from pathlib import Path

DEBIAN = Path(__file__).parents[2] / "shared" / "data" / "debian12_depends.json.gz"


def jaeger_file(given: Path | None, folder: Path) -> Path:
    """The graph asked for, else Debian's packages where that file lies, else a random one of about its size."""
    if given is not None:
        return given
    if DEBIAN.exists():
        return DEBIAN
    path = folder / "random.json"
    path.write_text(json.dumps(random_calls(58_000, 244_000)))
    return path


def random_calls(services: int, calls: int) -> list[dict[str, object]]:
    """Distinct calls, sources uniform, targets with hubs: the square of a uniform number."""
    chooser = random.Random(1)
    pairs: set[tuple[int, int]] = set()
    while len(pairs) < calls:
        source, target = chooser.randrange(services), int(services * chooser.random() ** 2)
        if source != target:
            pairs.add((source, target))
    return [{"parent": f"s{s}", "child": f"s{t}", "callCount": 1} for s, t in sorted(pairs)]
