"""The command by TLS and with tokens: its options, and the one line when they don't fit."""

import json
import os
from collections.abc import Callable, Generator, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Unpack
from unittest.mock import patch

import grpc
import pytest

from depgraph.security import Security
from depgraph.v1.graph_service_pb2 import WatchResponse
from server.cli.asked import AskedServer
from server.cli.commands.watch import Following
from server.cli.failures import RefusedError
from server.cli.main import COMMANDS
from tests.support.client_tls import Authority
from tests.support.command import depgraph, depgraph_here
from tests.support.fake_server import Script, fake_server

pytestmark = pytest.mark.one_transport

LOCAL = {"serve", "migrate", "token", "sql", "compile", "backup", "restore"}
"""Commands that ask no server."""
GROUPS = ("alerts list", "alerts ack", "alias list", "alias merge", "service set", "dependency set")
"""Commands of groups, which have no options themselves."""
OPTIONS = {
    "--address",
    "--ca-cert",
    "--tls",
    "--server-name",
    "--client-cert",
    "--client-key",
    "--token-file",
    "--token",
    "--plaintext-token",
}
Serve = Callable[..., str]


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return Authority(tmp_path_factory.mktemp("certificates"), "own")


@pytest.fixture
def script() -> Script:
    return Script([])


@pytest.fixture
def serve(script: Script) -> Iterator[Serve]:
    with ExitStack() as running:
        yield lambda credentials=None: running.enter_context(fake_server(script, credentials=credentials))


@pytest.fixture
def token_file(tmp_path: Path) -> Path:
    file = tmp_path / "token"
    file.write_text("secret\n")
    return file


def complaint(*arguments: str, code: int = 1) -> str:
    """Run ``components``, which must fail; returns the one line on standard error."""
    finished = depgraph_here("components", *arguments)
    assert (finished.returncode, finished.stdout) == (code, "")
    (line,) = finished.stderr.splitlines()
    return line.removeprefix("depgraph: ")


@pytest.mark.parametrize(
    "command", [*sorted(COMMANDS.keys() - LOCAL - {group.split()[0] for group in GROUPS}), *GROUPS]
)
def test_every_command_that_asks_a_server_takes_the_options(command: str) -> None:
    offered = set(depgraph_here(*command.split(), "--help").stdout.split())
    assert offered >= OPTIONS


def test_a_command_connects_by_tls_with_a_certificate_and_a_token(
    serve: Serve, script: Script, authority: Authority, token_file: Path
) -> None:
    address = serve(authority.good.server_for(authority.ca))
    mine = authority.for_another
    options = ["--ca-cert", str(authority.ca), "--client-cert", str(mine.cert), "--client-key", str(mine.key)]
    asked = depgraph_here(
        "components", "--json", "--address", address, *options, "--token-file", str(token_file)
    )
    assert (asked.returncode, json.loads(asked.stdout)["total_count"]) == (0, 0)
    assert script.authorizations == ["Bearer secret"]


def test_the_environment_sets_them_too(
    serve: Serve, script: Script, authority: Authority, token_file: Path
) -> None:
    environment = {
        "DEPGRAPH_ADDRESS": serve(authority.for_another.server_for(authority.ca)),
        "DEPGRAPH_CA_CERT": str(authority.ca),
        "DEPGRAPH_CLIENT_CERT": str(authority.good.cert),
        "DEPGRAPH_CLIENT_KEY": str(authority.good.key),
        "DEPGRAPH_SERVER_NAME": "graph.test",
        "DEPGRAPH_TOKEN_FILE": str(token_file),
    }
    asked = depgraph("components", environment=environment)
    assert (asked.returncode, asked.stderr) == (0, "")
    assert script.authorizations == ["Bearer secret"]


def test_a_token_on_the_command_line_is_used_with_a_warning_and_in_the_variable_without(
    serve: Serve, script: Script
) -> None:
    address = serve()
    warned = depgraph_here("components", "--address", address, "--token", "secret")
    assert warned.returncode == 0
    assert warned.stderr.startswith("warning: every user of this machine can see --token (ps)")
    with patch("tests.support.command.clean_environment", lambda: os.environ | {"DEPGRAPH_TOKEN": "hunter2"}):
        quiet = depgraph_here("components", "--address", address)
        shown = depgraph_here("components", "--help")
    assert (quiet.returncode, quiet.stderr) == (0, "")
    assert script.authorizations == ["Bearer secret", "Bearer hunter2"]
    assert "hunter2" not in shown.stdout


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        (["--ca-cert", "no-such-file"], "Invalid value for '--ca-cert'"),
        (["--token-file", "no-such-file"], "Invalid value for '--token-file'"),
        (["--ca-cert", "README.md"], "--ca-cert README.md: holds no PEM certificate"),
        (["--client-cert", "README.md"], "--client-cert and --client-key go together: give both"),
        (["--token-file", "README.md"], "--token-file README.md is not a bearer token"),
        (
            ["--address", "graph.test:50051", "--token-file", "TOKEN"],
            "in plaintext: use TLS (--ca-cert, --tls), or --plaintext-token where the network encrypts",
        ),
    ],
)
def test_options_that_can_not_be_used_are_a_wrong_command_line(
    options: list[str], expected: str, token_file: Path
) -> None:
    given = [str(token_file) if each == "TOKEN" else each for each in options]
    assert expected in complaint(*given, code=2)


def test_a_server_that_speaks_tls_is_recognized(serve: Serve, authority: Authority) -> None:
    address = serve(authority.good.server)
    assert complaint("--address", address) == (
        f"no connection to {address}: it speaks TLS: name its authorities with --ca-cert, "
        "or take those of the system (--tls)"
    )


def test_a_server_that_speaks_plaintext_is_recognized(serve: Serve, authority: Authority) -> None:
    address = serve()
    assert complaint("--address", address, "--ca-cert", str(authority.ca)) == (
        f"no connection to {address}: it does not speak TLS: leave --ca-cert, --tls and --client-cert out"
    )


def test_what_is_wrong_with_a_certificate_is_said(serve: Serve, authority: Authority, tmp_path: Path) -> None:
    trusting = ("--ca-cert", str(authority.ca))
    stranger = Authority(tmp_path, "stranger")
    expired, another, own = (
        serve(each.server) for each in (authority.expired, authority.for_another, authority.good)
    )
    assert complaint("--address", expired, *trusting).endswith("certificate has expired")
    assert "certificate is not valid for '127.0.0.1' (--server-name expects another name)" in complaint(
        "--address", another, *trusting
    )
    assert f"its certificate was not accepted, with --ca-cert {stranger.ca}: unable to get local issuer" in (
        complaint("--address", own, "--ca-cert", str(stranger.ca))
    )
    # A name with several addresses: gRPC reports the last one, where nothing listens.
    by_name = own.replace("127.0.0.1", "localhost")
    assert "its certificate was not accepted, with the system's authorities" in complaint(
        "--address", by_name, "--tls"
    )


def test_a_client_certificate_that_is_missing_or_not_accepted_is_said(
    serve: Serve, authority: Authority, tmp_path: Path
) -> None:
    address = serve(authority.good.server_for(authority.ca))
    here = ("--address", address, "--ca-cert", str(authority.ca))
    other = Authority(tmp_path, "stranger").good
    assert "as a server that asks for --client-cert and --client-key does" in complaint(*here)
    assert "see whether it trusts --client-cert" in complaint(
        *here, "--client-cert", str(other.cert), "--client-key", str(other.key)
    )


@pytest.mark.parametrize(
    ("options", "hint"),
    [
        ([], "give a token with --token-file, or a certificate with --client-cert and --client-key"),
        (["--token-file", "TOKEN"], "see whether --token-file TOKEN is still good"),
    ],
)
def test_a_caller_that_the_server_does_not_know_learns_which_option_names_him(
    options: list[str], hint: str, token_file: Path
) -> None:
    given = [str(token_file) if each == "TOKEN" else each for each in options]
    with fake_server(Script([grpc.StatusCode.UNAUTHENTICATED])) as address:
        said = complaint("--address", address, *given, code=4)
    assert said == (
        f"{address} does not know who you are (asked to fail with UNAUTHENTICATED): "
        f"{hint.replace('TOKEN', str(token_file))}"
    )


def test_a_refusal_without_the_details_of_a_depgraph_server_is_ascribed_to_a_proxy() -> None:
    with fake_server(Script([grpc.StatusCode.PERMISSION_DENIED])) as address:
        said = complaint("--address", address, code=4)
    assert said == "asked to fail with PERMISSION_DENIED: a proxy before the server says so"


@pytest.mark.parametrize("code", ["UNAUTHENTICATED", "PERMISSION_DENIED", "UNIMPLEMENTED"])
def test_status_live_needs_no_more_than_health(code: str) -> None:
    with fake_server(Script([grpc.StatusCode[code]] * 2)) as address:
        live = depgraph_here("status", "--live", "--address", address)
        full = depgraph_here("status", "--address", address)
    assert live.returncode == 0
    assert "health   SERVING" in live.stdout
    assert f"asked to fail with {code}" in live.stdout
    assert (full.returncode, full.stdout) == (1 if code == "UNIMPLEMENTED" else 4, "")


def following(
    address: str, report: Callable[[str], None], **security: Unpack[Security]
) -> Generator[WatchResponse]:
    server = AskedServer(address, 10.0, security)
    return Following(server, "", report).batches(include_state=False)


def test_a_watch_goes_on_with_the_new_token_when_the_old_one_has_expired(token_file: Path) -> None:
    script, said = Script([grpc.StatusCode.UNAUTHENTICATED], grace=1), list[str]()
    with fake_server(script) as address:
        batches = following(address, said.append, token_file=token_file)
        next(batches)
        token_file.write_text("renewed")
        next(batches)
        batches.close()
    assert script.authorizations[0] == "Bearer secret"
    assert script.authorizations[-1] == "Bearer renewed"
    assert said[0].startswith(f"interrupted, trying again: {address} does not know who you are")


def test_a_watch_ends_when_the_token_that_is_there_is_refused(token_file: Path) -> None:
    with fake_server(Script([grpc.StatusCode.UNAUTHENTICATED] * 2, grace=1)) as address:
        batches = following(address, print, token_file=token_file)
        next(batches)
        with pytest.raises(RefusedError, match=f"see whether --token-file {token_file} is still good"):
            next(batches)


def test_a_watch_goes_on_with_a_certificate_that_was_replaced_under_it(
    authority: Authority, tmp_path: Path
) -> None:
    other = Authority(tmp_path, "other")
    mine, said = authority.for_another, list[str]()

    def replace_the_key_too(line: str) -> None:
        said.append(line)
        key.write_bytes(other.good.key.read_bytes())

    cert, key = tmp_path / "mine.pem", tmp_path / "mine.key"
    cert.write_bytes(mine.cert.read_bytes())
    key.write_bytes(mine.key.read_bytes())
    with ExitStack() as running:
        address = running.enter_context(
            fake_server(Script([]), credentials=authority.good.server_for(authority.ca))
        )
        batches = following(
            address, replace_the_key_too, ca_cert=authority.ca, client_cert=cert, client_key=key
        )
        next(batches)
        running.close()
        cert.write_bytes(other.good.cert.read_bytes())
        running.enter_context(
            fake_server(Script([]), address, credentials=authority.good.server_for(other.ca))
        )
        next(batches)
        batches.close()
    assert said[0].startswith("interrupted, trying again: ")
