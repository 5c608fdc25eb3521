"""Debian's Prometheus: blocks of the past, and a process that scrapes."""

import os
import socket
import subprocess
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path
from urllib.error import URLError
from urllib.request import urlopen

import pytest

from tests.support.eventually import PATIENCE_SECONDS
from tests.support.required import lacking, required_program

MINUTE = 60.0


def programs() -> tuple[str, str]:
    """Find prometheus and promtool; they are for `make check`."""
    if not os.environ.get("REQUIRE_REAL"):
        pytest.skip("`make check` runs it")
    return required_program("prometheus"), required_program("promtool")


class History:
    """Samples of the past, a minute apart; the newest is half a minute old."""

    def __init__(self) -> None:
        self.now = time.time() - MINUTE / 2
        self._samples: dict[str, list[str]] = {}

    def add(
        self, metric: str, labels: Mapping[str, str], values: Mapping[float, float] | list[float]
    ) -> None:
        """Add values by how many minutes ago they were; a list ends with the newest."""
        newest_first = enumerate(reversed(values)) if isinstance(values, list) else values.items()
        by_age = {float(age): value for age, value in newest_first}
        text = ",".join(f'{name}="{value}"' for name, value in labels.items())
        lines = self._samples.setdefault(metric, [])
        for age in sorted(by_age, reverse=True):
            lines.append(f"{metric}{{{text}}} {by_age[age]} {self.now - age * MINUTE:.3f}")

    def write(self, promtool: str, folder: Path) -> None:
        """Make blocks of a Prometheus's storage."""
        text = folder / "history.txt"
        kinds = {name: "gauge" if name.endswith("_info") else "counter" for name in self._samples}
        parts = [
            "\n".join([f"# TYPE {name.removesuffix('_total')} {kinds[name]}", *lines])
            for name, lines in self._samples.items()
        ]
        text.write_text("\n".join([*parts, "# EOF", ""]))
        made = subprocess.run(
            [promtool, "tsdb", "create-blocks-from", "openmetrics", "--quiet", text, folder / "data"],
            capture_output=True,
            text=True,
            check=False,
        )
        assert made.returncode == 0, made.stderr


@contextmanager
def running(
    program: str, folder: Path, *, scrapes: Mapping[str, str] | None = None, every: timedelta
) -> Iterator[tuple[str, "subprocess.Popen[bytes]"]]:
    """Run Prometheus over blocks in ``folder``; ``scrapes`` are addresses by names of jobs."""
    jobs = "".join(
        f"  - job_name: {name}\n    static_configs: [{{targets: ['{address}']}}]\n"
        for name, address in (scrapes or {}).items()
    )
    seconds = f"{int(every.total_seconds() * 1_000)}ms"
    (folder / "prometheus.yml").write_text(
        f"global: {{scrape_interval: {seconds}, scrape_timeout: {seconds}}}\nscrape_configs:\n{jobs}"
        if jobs
        else "scrape_configs: []\n"
    )
    address = f"127.0.0.1:{_free_port()}"
    with (
        (folder / "log").open("wb") as log,
        subprocess.Popen(
            [
                program,
                f"--config.file={folder / 'prometheus.yml'}",
                f"--storage.tsdb.path={folder / 'data'}",
                f"--web.listen-address={address}",
                "--storage.tsdb.retention.time=30d",
            ],
            stdout=log,
            stderr=log,
        ) as process,
    ):
        try:
            _ready(address, process, folder / "log")
            yield f"http://{address}", process
        finally:
            process.terminate()
            process.wait(PATIENCE_SECONDS)


def _free_port() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        port: int = listener.getsockname()[1]
        return port


def _ready(address: str, process: "subprocess.Popen[bytes]", log: Path) -> None:
    until = time.monotonic() + PATIENCE_SECONDS
    while time.monotonic() < until:
        if process.poll() is not None:
            lacking(f"prometheus ended: {log.read_text()[-2_000:]}", required=True)
        try:
            with urlopen(f"http://{address}/-/ready", timeout=1):
                return
        except (URLError, OSError):
            time.sleep(0.05)
    raise TimeoutError(log.read_text()[-2_000:])
