from pathlib import Path

import pytest
import typer

from server.cli.access import checked_access
from server.cli.main import run
from server.config import AccessSettings
from tests.support.issuer import auth_file, issuer_table, static_token


def test_without_options_every_caller_may_do_everything_and_ask_for_the_contract() -> None:
    assert checked_access(None, None, reflection=None) == AccessSettings()


@pytest.mark.parametrize(("wanted", "served"), [(None, False), (True, True), (False, False)])
def test_with_an_auth_file_reflection_is_off_unless_asked_for(
    tmp_path: Path, wanted: bool | None, served: bool
) -> None:
    path = auth_file(tmp_path, static_token("ci", "reader"))
    access = checked_access(path, ["127.0.0.1", "unix"], reflection=wanted)
    assert access == AccessSettings(auth_file=path, trusted_proxies=("127.0.0.1", "unix"), reflection=served)


def test_an_auth_file_that_is_wrong_is_refused_with_its_name_and_its_mistake(tmp_path: Path) -> None:
    path = auth_file(tmp_path, issuer_table(""))
    with pytest.raises(typer.BadParameter, match=r"--auth-file .*auth\.toml: .*jwks_file or jwks_url"):
        checked_access(path, None, reflection=None)
    with pytest.raises(typer.BadParameter, match=r"--auth-file .*missing: No such file"):
        checked_access(tmp_path / "missing", None, reflection=None)


def test_keys_that_can_not_be_used_are_an_error_of_the_command_line(tmp_path: Path) -> None:
    path = auth_file(tmp_path, issuer_table('jwks_file = "other.json"'))
    with pytest.raises(typer.BadParameter, match=r"auth\.toml: jwks_file .*other\.json: No such file"):
        checked_access(path, None, reflection=None)


@pytest.mark.parametrize("variable", ["DEPGRAPH_AUTH_FILE", "DEPGRAPH_TLS_CLIENT_CA"])
def test_an_empty_variable_of_a_file_that_guards_the_server_does_not_open_it(
    variable: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv(variable, "")
    # A certificate without an address keeps a server from starting in any case.
    assert run(["serve", "--tls-cert", __file__]) == 2
    assert f"the variable {variable} is empty: give a file, or unset it" in capsys.readouterr().err


def test_a_proxy_that_is_no_address_is_refused_with_the_name_of_the_flag() -> None:
    with pytest.raises(typer.BadParameter) as caught:
        checked_access(None, ["proxy.example"], reflection=None)
    assert caught.value.param_hint == "--trust-proxy"
