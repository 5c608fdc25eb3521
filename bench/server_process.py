"""Servers as users start them, each in a process of its own, and what they take of the machine."""

import os
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path

from bench.measuring import stopwatch

GRPCIO, NATIVE = "grpcio", "native"
# The server that does nothing, on the transport of the same name.
ECHO_OPTIONS = {GRPCIO: ("--kind", "aio"), NATIVE: ("--kind", "native")}


def transports() -> tuple[str, ...]:
    """Those that are installed here."""
    return (GRPCIO, NATIVE) if find_spec("pygrpc_native") else (GRPCIO,)


class ServerProcess:
    """A Python module that says ``serving on ADDRESS`` when it is ready."""

    def __init__(self, module: str, *options: str) -> None:
        self._log = tempfile.TemporaryFile()  # noqa: SIM115 - closed by stop
        self._process = subprocess.Popen(
            [sys.executable, "-m", module, *options], stdout=subprocess.PIPE, stderr=self._log, text=True
        )
        assert self._process.stdout is not None
        with stopwatch() as starting:
            line = self._process.stdout.readline()
        self.start_seconds = starting.seconds
        if not line.startswith("serving on "):
            raise RuntimeError(self.log())
        self.address = line.removeprefix("serving on ").strip()

    @property
    def pid(self) -> int:
        return self._process.pid

    def log(self) -> str:
        self._log.seek(0)
        return self._log.read().decode()

    def resident_mib(self) -> float:
        status = Path(f"/proc/{self._process.pid}/status").read_text()
        line = next(line for line in status.splitlines() if line.startswith("VmRSS:"))
        return int(line.split()[1]) / 1024

    def cpu_seconds(self) -> float:
        """Processor time of all its threads, in programs and kernel, to a hundredth of a second."""
        # The name may hold anything and ends with the last parenthesis; utime and stime follow as
        # fields 12 and 13.
        fields = Path(f"/proc/{self._process.pid}/stat").read_text().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

    def stop(self) -> None:
        self._process.send_signal(signal.SIGTERM)
        assert self._process.wait() == 0
        assert self._process.stdout is not None
        self._process.stdout.close()
        self._log.close()


@contextmanager
def serving(data_dir: Path, *options: str, transport: str = GRPCIO) -> Iterator[ServerProcess]:
    """The server itself; by default on grpcio, by which bars are set."""
    chosen = ["--transport", transport]
    with _running(
        "server.cli", "serve", "--listen", "127.0.0.1:0", "--data-dir", str(data_dir), *chosen, *options
    ) as server:
        yield server


@contextmanager
def echoing(*options: str) -> Iterator[ServerProcess]:
    """The server that does nothing but answer."""
    with _running("bench.echo_server", *options) as server:
        yield server


@contextmanager
def _running(module: str, *options: str) -> Iterator[ServerProcess]:
    server = ServerProcess(module, *options)
    try:
        yield server
    finally:
        server.stop()


class MemoryWatch:
    """Sizes are MiB, and count from what the process takes when the watch is made."""

    def __init__(self, pid: int) -> None:
        self._status = Path(f"/proc/{pid}/status")
        self._peak = Path(f"/proc/{pid}/clear_refs")
        self.rest = self._read("VmRSS")

    def begin(self) -> None:
        """Forget the peak so far: Linux reports the next one exactly, however short it is."""
        self._peak.write_text("5")

    def above_rest(self) -> float:
        return self._read("VmRSS") - self.rest

    def peak(self) -> float:
        return self._read("VmHWM") - self.rest

    def _read(self, name: str) -> float:
        line = next(line for line in self._status.read_text().splitlines() if line.startswith(f"{name}:"))
        return int(line.split()[1]) / 1024
