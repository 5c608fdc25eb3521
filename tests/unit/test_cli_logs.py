"""What the log shows of an error; in a process of its own, for logging is set once a process."""

import json
import re
import subprocess
import sys

import pytest

from tests.support.terminal import on_terminal

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


SENDING = """
import logging
import grpc
from server.cli.logs import configure_logging

configure_logging("info", "json")

def log(name, error):
    try:
        raise error
    except Exception:
        logging.getLogger(name).exception(str(error))

log("grpc.aio", grpc.aio.InternalError('Failed "execute_batch": (<SendStatusFromServerOperation>,)'))
log("grpc.aio", grpc.aio.InternalError("Failed grpc_call_start_batch: 8"))
log("grpc.aio", ValueError('Failed "execute_batch"'))
log("ours", grpc.aio.InternalError('Failed "execute_batch": ours'))
logging.getLogger("grpc.aio").error("Failed without an exception")
"""


def test_only_grpcs_error_about_a_caller_that_left_is_not_logged() -> None:
    logged = subprocess.run(
        [sys.executable, "-c", SENDING], capture_output=True, text=True, check=True
    ).stderr
    assert [json.loads(line)["event"] for line in logged.splitlines()] == [
        "Failed grpc_call_start_batch: 8",
        'Failed "execute_batch"',
        'Failed "execute_batch": ours',
        "Failed without an exception",
    ]


ODD = """
import gc, sys, threading, warnings
from server.cli.logs import configure_logging

configure_logging("info", "json")
warnings.warn("old")
thread = threading.Thread(target=lambda: 1 / 0)
thread.start()
thread.join()

class Odd:
    def __del__(self):
        raise OSError("in a finalizer")

Odd()
gc.collect()
raise LookupError("at the end")
"""


def test_warnings_and_uncaught_errors_are_lines_of_the_same_form() -> None:
    finished = subprocess.run([sys.executable, "-c", ODD], capture_output=True, text=True, check=False)
    assert finished.returncode == 1
    lines = [json.loads(line) for line in finished.stderr.splitlines()]
    assert [line["level"] for line in lines] == ["warning", "critical", "critical", "critical"]
    assert "old" in lines[0]["event"]
    errors = [line["exception"][0]["exc_value"] for line in lines[1:]]
    assert errors == ["division by zero", "in a finalizer", "at the end"]


def test_a_worker_that_has_no_settings_yet_logs_its_failure_in_the_form_asked_for() -> None:
    worker = [sys.executable, "-m", "server.cli.worker", "info", "json", "99"]
    (line,) = subprocess.run(worker, capture_output=True, text=True, check=False).stderr.splitlines()
    logged = json.loads(line)
    assert (logged["error"], "exception" in logged) == ("Bad file descriptor", False)


BROKEN = """
import sys
from server import app
from server.cli.main import run

def fail(*_):
    raise KeyError("ours")

app.run = fail
sys.exit(run(["serve", "--log-format", "json", "--database-url", "postgresql://me:hunter2@localhost/graph"]))
"""


def test_a_visible_password_and_a_mistake_of_the_program_are_lines_of_the_servers_log() -> None:
    finished = subprocess.run([sys.executable, "-c", BROKEN], capture_output=True, text=True, check=False)
    warning, logged = map(json.loads, finished.stderr.splitlines())
    assert (warning["level"], warning["event"].partition(" can see ")[0]) == (
        "warning",
        "every user of this machine",
    )
    assert (finished.returncode, logged["event"]) == (1, "unexpected KeyError: 'ours'")
    assert logged["exception"][0]["frames"][-1]["name"] == "fail"
    assert "hunter2" not in finished.stderr


@pytest.mark.parametrize(("environment", "is_coloured"), [({}, True), ({"NO_COLOR": "1"}, False)])
def test_a_line_on_a_terminal_is_short_and_in_colour_without_no_color(
    environment: dict[str, str], is_coloured: bool
) -> None:
    nowhere = (
        "--database-url",
        "postgresql://127.0.0.1:1/none",
        "--listen",
        "192.0.2.1:50051",
        "--allow-plaintext",
    )
    lines = on_terminal("serve", *nowhere, columns=120, environment=environment).raw.splitlines()
    assert ("\x1b[" in lines[-1]) is is_coloured
    plain = re.sub(r"\x1b\[[0-9;]*m", "", lines[-1])
    assert re.fullmatch(
        r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\dZ \[error    \] can't listen on 192\.0\.2\.1:50051: .* \[server\]",
        plain,
    )
