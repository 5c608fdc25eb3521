"""The real command on a terminal of a given width, as a person runs it."""

import fcntl
import os
import pty
import re
import struct
import subprocess
import sys
import termios
from collections.abc import Mapping
from typing import NamedTuple

from tests.support.command import PATIENCE_SECONDS, ROOT, clean_environment

_COLOUR = re.compile(r"\x1b\[[0-9;]*m")


class Seen(NamedTuple):
    """What a person sees, and the exit code; ``raw`` has the colours."""

    code: int
    raw: str

    @property
    def text(self) -> str:
        """The screen without colours."""
        return _COLOUR.sub("", self.raw).replace("\r\n", "\n")

    @property
    def lines(self) -> list[str]:
        """The lines of the screen without colours."""
        return self.text.splitlines()


def on_terminal(*arguments: str, columns: int, environment: Mapping[str, str] | None = None) -> Seen:
    """Run a command to its end on a terminal of its own."""
    ours, theirs = pty.openpty()
    fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", 50, columns, 0, 0))
    with subprocess.Popen(
        [sys.executable, "-m", "server.cli", *arguments],
        stdin=theirs,
        stdout=theirs,
        stderr=theirs,
        cwd=ROOT,
        env=clean_environment() | {"TERM": "xterm-256color"} | dict(environment or {}),
        start_new_session=True,
    ) as process:
        os.close(theirs)
        seen = _read_all(ours)
        return Seen(process.wait(PATIENCE_SECONDS), seen.decode())


def _read_all(descriptor: int) -> bytes:
    found = b""
    with os.fdopen(descriptor, "rb", buffering=0) as terminal:
        try:
            while part := terminal.read(65_536):
                found += part
        except OSError:
            pass  # Linux reports EIO when the last process has closed the terminal
    return found
