"""Tools for agents where callers need an identity: each answers as whoever sent the request."""

from pathlib import Path

import pytest

from server.app import Application
from server.config import AccessSettings, Settings
from server.domain.caller import ROLES
from tests.support.agents import agent_by_http, agent_by_stdio
from tests.support.issuer import static_token

pytestmark = pytest.mark.one_transport


@pytest.fixture
def server_settings(database_url: str, tmp_path: Path) -> Settings:
    path = tmp_path / "auth.toml"
    tables = [
        static_token(role, role, sources=("otel_service_graph",) if role == "ingester" else ())
        for role in ROLES
    ]
    path.write_text("\n".join(tables))
    return Settings(
        listen="127.0.0.1:0",
        http_listen="127.0.0.1:0",
        database_url=database_url,
        access=AccessSettings(auth_file=path),
    )


async def test_a_tool_answers_whoever_may_call_its_method(application: Application) -> None:
    address = application.addresses.http
    async with agent_by_http(address, token="reader") as agent:
        assert (await agent.text("find_services")).startswith("0 services\n")
    async with agent_by_http(address, token="ingester") as agent:
        denied = await agent.refusal("find_services")
    async with agent_by_http(address) as agent:
        # What tools there are is no secret.
        assert (await agent.client.list_tools()).tools
        nameless = await agent.refusal("impact", service="orders")
    async with agent_by_http(address, token="of nobody") as agent:
        unknown = await agent.refusal("impact", service="orders")
    assert denied == "depgraph.v1.GraphService/SearchServices needs the role reader"
    assert nameless.startswith("the call carries no credential: send the header authorization: Bearer TOKEN")
    assert unknown == "the token is not known"


async def test_by_stdio_the_options_of_the_command_say_who_asks(
    application: Application, tmp_path: Path
) -> None:
    token = tmp_path / "token"
    token.write_text("reader")
    async with agent_by_stdio(application.address, "--token-file", str(token)) as agent:
        assert (await agent.text("find_services")).startswith("0 services\n")
        token.write_text("ingester")
        denied = await agent.refusal("find_services")
        token.write_text("nobody")
        unknown = await agent.refusal("find_services")
        token.write_text("")
        empty = await agent.refusal("find_services")
    assert denied.endswith("needs the role reader: 'depgraph whoami' shows what you may do")
    assert unknown.endswith(f"(the token is not known): see whether --token-file {token} is still good")
    assert empty == f"--token-file {token} is empty"
