"""Failures of the command: one line on stderr, an exit code, no traceback."""

import gzip
import json
import re
import signal
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from itertools import count
from pathlib import Path
from threading import Event, Timer
from types import SimpleNamespace
from typing import Any

import grpc
import pytest

from depgraph.v1.catalog_service_pb2 import GetServiceRequest, GetServiceResponse
from depgraph.v1.dependency_service_pb2 import IngestGraphRequest, IngestGraphResponse
from depgraph.v1.graph_service_pb2 import SearchMatch, SearchServicesResponse
from depgraph.v1.types_pb2 import Service
from server.cli.connection import _suggestion, last_cause
from tests.support.command import ROOT, clean_environment, depgraph, depgraph_here
from tests.support.eventually import PATIENCE_SECONDS
from tests.support.fake_server import Script, fake_server

# What the command prints does not depend on the transport.
pytestmark = pytest.mark.one_transport

UNUSED_ADDRESS = "127.0.0.1:1"
CALLS = json.dumps(
    [{"parent": f"s{number}", "child": "hub", "callCount": 1} for number in range(25_000)]
).encode()

ONE_CALL = b'[{"parent": "a", "child": "b", "callCount": 1}]'


def only_line(finished: subprocess.CompletedProcess[str]) -> str:
    """The one line on stderr of a command that failed and printed nothing else."""
    assert finished.stdout == ""
    assert finished.stderr.startswith("depgraph: ")
    assert finished.stderr.count("\n") == 1
    return finished.stderr.removeprefix("depgraph: ").strip()


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        (["shwo"], "No such command 'shwo'"),
        (["show"], "Missing argument 'SERVICE'"),
        (["show", "a", "--depth", "11"], "'--depth'"),
        (["show", "a", "--format", "svg"], "'--format'"),
        (["show", "a", "--max", "-1"], "'--max'"),
        (["status", "--address", "nowhere"], "'--address'"),
        (["serve", "--listen", "127.0.0.1"], "'--listen'"),
        (["serve", "--listen", "0.0.0.0:0"], "--listen"),
        (["serve", "--tls-listen", "127.0.0.1:0"], "--tls-listen"),
        (
            ["serve", "--tls-listen", "127.0.0.1:0", "--tls-cert", "no-such-file", "--tls-key", "README.md"],
            "--tls-cert no-such-file: No such file or directory",
        ),
        (["serve", "--health-listen", "unix:health"], "'--health-listen'"),
        (["serve", "--database-url", "mysql://localhost"], "'--database-url'"),
        (["serve", "--data-dir", "README.md"], "'--data-dir'"),
        (["serve", "--seed-file", "no-such-file"], "'--seed-file'"),
        (["serve", "--log-level", "loud"], "'--log-level'"),
        (["import"], "[FORMAT] FILE|URL"),
        (["import", "kiali"], "a file or URL is missing after kiali"),
        (["import", "json", "a", "b"], "give at most a format and one file or URL"),
        (["import", "a.json", "--name-template", "{x"], "'--name-template': names no attribute in braces"),
        (["import", "a.json", "--rewrite", "(=x"], "'--rewrite': '(=x': "),
        (["import", "a.json", "--rewrite", "x"], "'--rewrite': 'x': give PATTERN=REPLACEMENT"),
        (["import", "yaml", "README.md"], "yaml"),
        (["import", "jaeger", "README.md", "--source", "rumour"], "'--source'"),
    ],
)
def test_a_wrong_command_line_is_refused_with_the_name_of_the_flag(
    arguments: list[str], complaint: str
) -> None:
    finished = depgraph_here(*arguments)
    assert finished.returncode == 2
    assert complaint in only_line(finished)


def test_a_wrong_environment_variable_is_named() -> None:
    finished = depgraph("status", environment={"DEPGRAPH_ADDRESS": "nowhere"})
    assert finished.returncode == 2
    assert "DEPGRAPH_ADDRESS" in only_line(finished)


def test_a_bad_database_url_of_the_environment_is_named_and_not_shown() -> None:
    finished = depgraph("serve", environment={"DATABASE_URL": "postgersql://me:hunter2@localhost/graph"})
    assert "DATABASE_URL" in only_line(finished)
    assert "hunter2" not in finished.stderr


@pytest.mark.parametrize("command", [["status"], ["show", "a"], ["import", "jaeger", "-"]])
def test_an_address_without_a_server_is_named(command: list[str]) -> None:
    finished = depgraph_here(*command, "--address", UNUSED_ADDRESS, stdin=b"[]")
    assert finished.returncode == 1
    assert f"no answer from {UNUSED_ADDRESS} (Connection refused)" in only_line(finished)
    assert "depgraph serve" in finished.stderr


def test_a_server_that_cancels_a_running_call_leaves_one_line() -> None:
    asked, gone = Event(), Event()

    class Holding(Script):
        def ingest(self, request: IngestGraphRequest) -> IngestGraphResponse:
            asked.set()
            gone.wait(PATIENCE_SECONDS)
            return super().ingest(request)

    with ThreadPoolExecutor() as pool:
        with fake_server(Holding([])) as address:
            running = pool.submit(depgraph, "import", "jaeger", "-", "--address", address, stdin=ONE_CALL)
            assert asked.wait(PATIENCE_SECONDS)
            Timer(0.5, gone.set).start()
        assert f"no answer from {address}" in only_line(running.result())


@pytest.mark.parametrize(
    ("details", "cause"),
    [
        ("failed to connect to all addresses; last error: UNKNOWN: ipv4:[::1]:1: Refused", "Refused"),
        ("errors: [UNKNOWN: (ipv4:127.0.0.1:1: Refused)]", "Refused"),
        ("Stream removed (Socket closed)", "Stream removed (Socket closed)"),
        ("Stream removed (GOAWAY received; Debug Text: )", "Stream removed (GOAWAY received; Debug Text: )"),
    ],
)
def test_the_cause_of_a_missing_answer_has_its_brackets_in_pairs(details: str, cause: str) -> None:
    assert last_cause(details) == cause


def test_a_name_that_the_database_has_and_the_graph_has_not_is_no_suggestion_for_itself() -> None:
    found = SearchServicesResponse(
        matches=[
            SearchMatch(service=Service(service_id="checkout")),
            SearchMatch(service=Service(service_id="checkout-ui")),
        ]
    )

    def known(request: GetServiceRequest, *, timeout: float) -> GetServiceResponse:
        if request.service_id != "checkout":
            raise grpc.RpcError
        return GetServiceResponse()

    client: Any = SimpleNamespace(
        catalog=SimpleNamespace(GetService=known),
        graph=SimpleNamespace(SearchServices=lambda *_, **__: found),
    )
    assert _suggestion(client, "checkout", None) == (
        "'checkout' is in the database, but not in the graph: see 'depgraph status'"
    )
    assert _suggestion(client, "check", None).endswith("did you mean 'checkout' or 'checkout-ui'?")


def test_a_server_that_can_not_search_suggests_nothing() -> None:
    def refused(*_: object, **__: object) -> None:
        raise grpc.RpcError

    older: Any = SimpleNamespace(
        catalog=SimpleNamespace(GetService=refused), graph=SimpleNamespace(SearchServices=refused)
    )
    assert _suggestion(older, "chekout", None) == "no service named 'chekout'"


def test_a_server_that_is_not_depgraph_is_recognized() -> None:
    with fake_server(Script([])) as address:
        finished = depgraph_here("show", "a", "--address", address)
    assert finished.returncode == 1
    assert f"{address} does not know this call" in only_line(finished)


@pytest.mark.parametrize(
    ("raw", "complaint"),
    [
        (b"", "the file is empty; expected JSON"),
        (gzip.compress(b"[]" * 99, mtime=0)[:-9], "damaged gzip"),
        (b'[{"parent": 7}]', "none of the 1 entries can be used; entry 0: parent is a number, not text"),
        (b"parent,child\na,b\n", "not JSON but what looks like CSV; expected JSON, plain or gzip"),
        (b'{"edges": []}', "not Jaeger dependencies: expected a list of"),
    ],
)
def test_a_malformed_file_is_refused_before_anything_is_sent(raw: bytes, complaint: str) -> None:
    script = Script([])
    with fake_server(script) as address:
        finished = depgraph_here("import", "jaeger", "-", "--address", address, stdin=raw)
    assert finished.returncode == 2
    assert only_line(finished).startswith(f"-: {complaint}")
    assert script.calls == []


def test_a_missing_file_is_named() -> None:
    finished = depgraph_here("import", "json", "no-such-file", "--address", UNUSED_ADDRESS)
    assert finished.returncode == 2
    assert only_line(finished) == "no-such-file: No such file or directory"


def test_an_import_that_fails_midway_says_how_much_was_imported() -> None:
    script = Script([grpc.StatusCode.ABORTED], grace=1)
    with fake_server(script) as address:
        finished = depgraph_here("import", "jaeger", "-", "--address", address, stdin=CALLS)
    assert finished.returncode == 1
    line = only_line(finished)
    assert "asked to fail with ABORTED" in line
    # Another batch was in flight, which may have succeeded.
    assert re.search(r"\([12]0,000 of 50,001 items are in; importing the file again is safe\)", line)


def test_an_import_goes_on_when_the_server_is_unavailable_for_a_moment() -> None:
    script = Script([grpc.StatusCode.UNAVAILABLE], grace=1)
    with fake_server(script) as address:
        finished = depgraph_here("import", "jaeger", "-", "--address", address, stdin=CALLS)
    assert finished.returncode == 0, finished.stderr
    assert finished.stderr == ""
    sizes = sorted((len(batch.nodes), len(batch.edges)) for batch in script.ingested)
    assert sizes == [(0, 1), (0, 10_000), (0, 10_000), (5_001, 4_999), (10_000, 0), (10_000, 0)]
    assert [batch.details.more for batch in script.ingested] == [True] * 5 + [False]
    assert len({batch.observe_time.ToNanoseconds() for batch in script.ingested}) == 1


class HeldScript(Script):
    """Holds the second report until it is let go."""

    def __init__(self) -> None:
        super().__init__([])
        self.reached, self.let_go = Event(), Event()
        self._numbers = count()

    def ingest(self, request: IngestGraphRequest) -> IngestGraphResponse:
        # Two come at once, each on a thread of its own.
        if next(self._numbers) > 0:
            self.reached.set()
            self.let_go.wait(timeout=60)
        return super().ingest(request)


def test_an_interrupted_import_says_how_much_was_imported(tmp_path: Path) -> None:
    calls = tmp_path / "calls.json"
    calls.write_bytes(CALLS)
    script = HeldScript()
    with (
        fake_server(script) as address,
        subprocess.Popen(
            [sys.executable, "-m", "server.cli", "import", "jaeger", str(calls), "--address", address],
            stderr=subprocess.PIPE,
            text=True,
            cwd=ROOT,
            env=clean_environment(),
        ) as process,
    ):
        try:
            assert script.reached.wait(timeout=60)
            process.send_signal(signal.SIGINT)
            _, said = process.communicate(timeout=60)
        finally:
            script.let_go.set()
    assert process.returncode == 130
    # Two batches are in flight when the second is held; the first may be answered by then.
    assert said in {
        "depgraph: interrupted (10,000 of 50,001 items are in; importing the file again is safe)\n",
        "depgraph: interrupted (nothing was imported)\n",
    }


def test_migrate_to_a_revision_that_does_not_exist_is_a_wrong_command_line() -> None:
    finished = depgraph("migrate", "up", "nosuch", "--sql")
    assert finished.returncode == 2
    assert only_line(finished) == "Can't locate revision identified by 'nosuch'."


def test_migrate_down_without_a_terminal_needs_yes(tmp_path: Path) -> None:
    (tmp_path / "postgres").mkdir()  # as if there were a database
    finished = depgraph_here("migrate", "down", "base", "--data-dir", str(tmp_path))
    assert finished.returncode == 1
    assert "--yes" in only_line(finished)


@pytest.mark.parametrize("command", [["status"], ["down", "base", "--yes"]])
def test_migrate_status_and_down_create_no_database(tmp_path: Path, command: list[str]) -> None:
    finished = depgraph_here("migrate", *command, "--data-dir", str(tmp_path / "new"))
    assert finished.returncode == 1
    assert "there is no database in" in only_line(finished)
    assert not (tmp_path / "new").exists()


def test_an_interrupted_command_exits_with_130() -> None:
    with subprocess.Popen(
        [sys.executable, "-m", "server.cli", "import", "jaeger", "-"],
        stdin=subprocess.PIPE,
        stderr=subprocess.PIPE,
        cwd=ROOT,
        env=clean_environment() | {"PYTHONVERBOSE": "1"},
    ) as process:
        assert process.stderr is not None
        # Verbose Python shows when the last import before the read of standard input is done.
        assert any(b"import 'server.cli.commands.import_graph'" in line for line in process.stderr)
        process.send_signal(signal.SIGINT)
        _, said = process.communicate(timeout=60)
    assert process.returncode == 130
    assert b"Traceback" not in said


def test_without_the_server_extra_the_command_says_how_to_install_it() -> None:
    hide_typer = (
        "import sys; sys.modules['typer'] = None; from server.cli.__main__ import main; sys.exit(main())"
    )
    finished = subprocess.run(
        [sys.executable, "-c", hide_typer], capture_output=True, text=True, cwd=ROOT, timeout=60, check=False
    )
    assert finished.returncode == 1
    assert re.fullmatch(
        r"the command needs the server extra \(typer is missing\): "
        rf"pip install 'depgraph\[server\] @ file://.*{ROOT.name}'",
        only_line(finished),
    )


@pytest.mark.parametrize("command", [["--help"], ["status", "--address", UNUSED_ADDRESS]])
def test_help_and_status_do_not_import_server_libraries(command: list[str]) -> None:
    finished = depgraph(*command, environment={"PYTHONPROFILEIMPORTTIME": "1"})
    loaded = {line.rpartition("|")[2].strip() for line in finished.stderr.splitlines()}
    assert "server.cli.connection" in loaded, "imports are reported"
    assert not loaded & {"alembic", "rustworkx", "sqlalchemy", "asyncpg", "numpy", "structlog"}
