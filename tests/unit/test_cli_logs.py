"""What the log shows of an error; in a process of its own, for logging is set once a process."""

import subprocess
import sys

import pytest

FAILING = """
import structlog
from server.cli.logs import configure_logging

def connect():
    password = "hunter" + "2"
    raise OSError("the peer hung up")

configure_logging("info", {form!r})
try:
    connect()
except OSError as error:
    structlog.get_logger("depgraph").error("unexpected error", exc_info=error)
"""


@pytest.mark.parametrize("form", ["text", "json"])
def test_a_logged_error_shows_where_it_arose_and_no_local_variables(form: str) -> None:
    program = FAILING.format(form=form)
    logged = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True
    ).stderr
    assert "the peer hung up" in logged
    assert "connect" in logged
    assert "hunter2" not in logged
