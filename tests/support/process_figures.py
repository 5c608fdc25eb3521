"""What a process takes of the machine, by Linux's account of it."""

from pathlib import Path
from typing import NamedTuple


class ProcessFigures(NamedTuple):
    """Memory in MiB."""

    resident: float
    descriptors: int
    threads: int


def process_figures(pid: int) -> ProcessFigures:
    """Look at a process."""
    process = Path(f"/proc/{pid}")
    status = dict(line.split(":", 1) for line in (process / "status").read_text().splitlines())
    return ProcessFigures(
        round(int(status["VmRSS"].split()[0]) / 1024, 1),
        len(list((process / "fd").iterdir())),
        int(status["Threads"]),
    )
