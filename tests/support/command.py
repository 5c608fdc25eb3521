"""The real command as a child process, with none of this process's settings in its environment."""

import io
import os
import subprocess
import sys
from collections.abc import Awaitable, Callable, Iterator, Mapping
from contextlib import contextmanager, redirect_stderr, redirect_stdout
from pathlib import Path
from threading import Thread
from typing import IO
from unittest.mock import patch

from server.cli.main import run

ROOT = Path(__file__).parents[2]
PATIENCE_SECONDS = 60
CARRIED_BY = "DEPGRAPH_TRANSPORT"
# Runs a command, given its arguments.
Command = Callable[..., Awaitable[subprocess.CompletedProcess[str]]]
SETTINGS = ("DEPGRAPH_", "DATABASE_URL", "COLUMNS", "FORCE_COLOR", "NO_COLOR")


def depgraph(
    *arguments: str,
    stdin: bytes = b"",
    environment: Mapping[str, str] | None = None,
    patience: float = PATIENCE_SECONDS,
) -> subprocess.CompletedProcess[str]:
    """Run one command to its end, in pipes, from the root of the repository."""
    finished = subprocess.run(
        [sys.executable, "-m", "server.cli", *arguments],
        input=stdin,
        capture_output=True,
        cwd=ROOT,
        env=clean_environment() | dict(environment or {}),
        timeout=patience,
        check=False,
    )
    return subprocess.CompletedProcess(
        finished.args, finished.returncode, finished.stdout.decode(), finished.stderr.decode()
    )


def depgraph_here(*arguments: str, stdin: bytes = b"") -> subprocess.CompletedProcess[str]:
    """Run one command in this process, which is quicker; what it prints stays in memory."""
    out, err = (io.TextIOWrapper(io.BytesIO(), encoding="utf-8") for _ in range(2))
    with (
        patch.dict(os.environ, clean_environment(), clear=True),
        patch.object(sys, "stdin", io.TextIOWrapper(io.BytesIO(stdin), encoding="utf-8")),
        redirect_stdout(out),
        redirect_stderr(err),
    ):
        code = run(arguments)
    printed = []
    for stream in (out, err):
        stream.seek(0)
        printed.append(stream.read())
    return subprocess.CompletedProcess(arguments, code, *printed)


@contextmanager
def serving(*arguments: str, said: list[str] | None = None) -> Iterator[tuple[str, subprocess.Popen[str]]]:
    """
    Run ``depgraph serve`` on a free port; yields its address once it is warm, and ends it.

    ``said`` receives the lines of standard error.
    """
    with subprocess.Popen(
        [sys.executable, "-m", "server.cli", "serve", "--listen", "127.0.0.1:0", *arguments],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        cwd=ROOT,
        env=clean_environment(),
    ) as process:
        said = [] if said is None else said
        assert process.stdout is not None
        assert process.stderr is not None
        reader = Thread(target=_keep_reading, args=(process.stderr, said))
        reader.start()
        try:
            line = process.stdout.readline()
            assert line.startswith("serving on "), "".join(said)
            yield line.removeprefix("serving on ").strip(), process
        finally:
            process.terminate()
            process.wait(PATIENCE_SECONDS)
            reader.join()


def clean_environment() -> dict[str, str]:
    """Return this process's environment without the command's settings but with the transport."""
    return {
        name: value
        for name, value in os.environ.items()
        if name == CARRIED_BY or not name.startswith(SETTINGS)
    }


def _keep_reading(stream: IO[str], lines: list[str]) -> None:
    lines.extend(stream)
