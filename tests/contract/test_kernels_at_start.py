"""
``depgraph serve`` with nothing compiled serves at once and compiles meanwhile.

The next start finds it compiled.
"""

import json
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from threading import Thread

import pytest

from tests.support.command import ROOT, clean_environment, depgraph_here

# Answers are the same on both transports, which only carry them.
pytestmark = pytest.mark.one_transport

PATIENCE_SECONDS = 110

# The real command with some of its kernels, so that compiling is quick, and with a folder of the
# test's own for them.
SERVE = """
import sys
from pathlib import Path
import server.lifecycle.kernels as kernels
from server.cli.main import run
kernels.KERNEL_PACKAGES = ("graphcore.kernels.names",)
kernels.kernel_folders = lambda *_: [Path(sys.argv[1])]
raise SystemExit(run(["serve", "--listen", "127.0.0.1:0", "--log-format", "json", *sys.argv[2:]]))
"""


class Server:
    """A server that runs, and what it said so far."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self.process = process
        self._said: list[str] = []
        self._reader = Thread(target=self._read)
        self._reader.start()

    def _read(self) -> None:
        assert self.process.stderr is not None
        self._said.extend(self.process.stderr)

    def address(self) -> str:
        """Wait until it serves."""
        assert self.process.stdout is not None
        line = self.process.stdout.readline()
        assert line.startswith("serving on "), "".join(self._said)
        return line.removeprefix("serving on ").strip()

    def reported(self, beginning: str) -> str:
        """Wait for a line of the log that begins so."""
        give_up = time.monotonic() + PATIENCE_SECONDS
        while time.monotonic() < give_up:
            for line in [*self._said]:
                if line.startswith("{") and (event := str(json.loads(line)["event"])).startswith(beginning):
                    return event
            time.sleep(0.02)
        pytest.fail(f"never said {beginning!r}: {''.join(self._said)}")

    def stop(self) -> int:
        self.process.send_signal(signal.SIGTERM)
        code = self.process.wait(PATIENCE_SECONDS)
        self._reader.join()
        return code


@contextmanager
def serving_with(kernels: Path, *arguments: str) -> Iterator[Server]:
    with subprocess.Popen(
        [sys.executable, "-c", SERVE, str(kernels), *arguments],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        cwd=ROOT,
        env=clean_environment(),
    ) as process:
        server = Server(process)
        try:
            yield server
        finally:
            server.stop()


@pytest.fixture
def compiler_like_others(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """
    Run the compiler at normal priority: on a busy machine the lowest one may wait for minutes.
    """
    folder = tmp_path / "priority"
    folder.mkdir()
    (folder / "sitecustomize.py").write_text("import os\nos.nice = lambda _: 0\n")
    monkeypatch.setenv("PYTHONPATH", str(folder))


@pytest.mark.usefixtures("compiler_like_others")
def test_a_server_serves_while_its_kernels_are_compiled(tmp_path: Path, database_url: str) -> None:
    kept = tmp_path / "kernels"
    there = ("--database-url", database_url, "--seed-file", "examples/online_shop.json")

    with serving_with(kept, *there) as first:
        address = first.address()
        before = depgraph_here("show", "payments", "--address", address).stdout
        assert "checkout" in before
        assert first.reported("kernels: compiling aside; answers are slower until then")
        assert first.reported("kernels: compiled in ")
        assert depgraph_here("show", "payments", "--address", address).stdout == before

    with serving_with(kept, *there) as second:
        address = second.address()
        assert str(kept) in second.reported("kernels: loaded from ")
        assert depgraph_here("show", "payments", "--address", address).stdout == before


def test_a_server_that_stops_takes_the_compiler_along(tmp_path: Path, database_url: str) -> None:
    fcntl = pytest.importorskip("fcntl")
    kept = tmp_path / "kernels"
    with serving_with(kept, "--database-url", database_url) as server:
        server.reported("kernels: compiling aside")
        assert server.stop() == 0
    with (kept / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)  # no process compiles any more


def test_a_server_without_a_compiler_serves(
    tmp_path: Path, database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    kept = tmp_path / "kernels"
    (tmp_path / "broken" / "numba").mkdir(parents=True)
    (tmp_path / "broken" / "numba" / "__init__.py").write_text("raise ImportError('not for this platform')\n")
    monkeypatch.setenv("PYTHONPATH", str(tmp_path / "broken"))
    with serving_with(kept, "--database-url", database_url) as server:
        server.address()
        assert server.reported("kernels: not compiled; answers stay slower")
