"""Clients and commands by mTLS, against the real server."""

import asyncio
import json
import re
from collections.abc import AsyncIterator
from dataclasses import replace
from hashlib import sha256
from pathlib import Path

import pytest
from structlog.testing import capture_logs

from depgraph import AsyncClient, Client
from depgraph.security import Security
from depgraph.v1.catalog_service_pb2 import CreateServiceRequest
from depgraph.v1.graph_service_pb2 import GetComponentRequest, WatchRequest
from depgraph.v1.types_pb2 import Service
from server.app import Application
from server.cli.failures import REFUSED
from server.cli.main import run
from server.config import AccessSettings, Settings, TlsSettings
from tests.support.client_tls import Authority
from tests.support.eventually import PATIENCE_SECONDS
from tests.support.fake_stores import ANY_PORT

pytestmark = pytest.mark.one_transport


@pytest.fixture
def authority(tmp_path: Path) -> Authority:
    return Authority(tmp_path, "own")


@pytest.fixture
def settings(database_url: str, authority: Authority, tmp_path: Path) -> Settings:
    """Who has the certificate is an admin; who has the token "ann" besides edits only."""
    auth_file = tmp_path / "auth.toml"
    auth_file.write_text(
        f"""
        [[grant]]
        dns_name = "graph.test"
        roles = ["admin"]

        [[token]]
        name = "ann"
        sha256 = "{sha256(b"of-ann").hexdigest()}"
        roles = ["reader", "editor"]
        """
    )
    return Settings(
        listen="",
        tls_listen=ANY_PORT,
        health_listen=ANY_PORT,
        tls=TlsSettings(cert=authority.good.cert, key=authority.good.key, client_ca=authority.ca),
        access=AccessSettings(auth_file=auth_file),
        database_url=database_url,
    )


@pytest.fixture
async def application(settings: Settings) -> AsyncIterator[Application]:
    async with Application(settings, report=lambda _: None) as running:
        yield running


@pytest.fixture
def security(authority: Authority) -> Security:
    return Security(ca_cert=authority.ca, **authority.for_another.client)


async def test_commands_work_by_mtls_and_with_a_token_and_probes_without(
    application: Application,
    security: Security,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    database_url: str,
) -> None:
    async def command(*arguments: str) -> str:
        capsys.readouterr()
        assert await asyncio.to_thread(run, arguments) == 0, capsys.readouterr().err
        return capsys.readouterr().out

    monkeypatch.setenv("DEPGRAPH_ADDRESS", application.addresses.tls)
    for name in ("ca_cert", "client_cert", "client_key"):
        monkeypatch.setenv(f"DEPGRAPH_{name.upper()}", str(security[name]))
    with capture_logs():
        await command("import", "json", "examples/online_shop.json")
        assert "payments" in await command("services", "pay")
        assert re.search(r"health +SERVING", await command("status"))
        assert "ok   server: " in await command("doctor", "--database-url", database_url)
        assert json.loads(await command("whoami", "--json"))["principal"] == "graph.test"
        (written, *_) = json.loads(await command("writes", "--json"))["writes"]
        assert (written["principal"], written["method"].split("/")[1]) == ("graph.test", "IngestGraph")
        monkeypatch.setenv("DEPGRAPH_TOKEN", "of-ann")
        assert json.loads(await command("whoami", "--json"))["roles"] == ["ROLE_READER", "ROLE_EDITOR"]
        assert await asyncio.to_thread(run, ["import", "json", "examples/online_shop.json"]) == REFUSED
        assert "needs the role ingester: 'depgraph whoami' shows" in capsys.readouterr().err
        monkeypatch.delenv("DEPGRAPH_TOKEN")
        for name in ("CA_CERT", "CLIENT_CERT", "CLIENT_KEY"):
            monkeypatch.delenv(f"DEPGRAPH_{name}")
        live = await command("status", "--live", "--address", application.addresses.health)
    assert "health   SERVING" in live


async def test_clients_write_read_and_watch_by_mtls_and_go_on_after_a_restart(
    application: Application, settings: Settings, security: Security
) -> None:
    address = application.addresses.tls
    security["token"] = "of-ann"
    async with asyncio.timeout(PATIENCE_SECONDS), AsyncClient(address, **security) as client:
        watch = client.graph.Watch(WatchRequest())
        await client.catalog.CreateService(CreateServiceRequest(service=Service(service_id="a")))
        async for batch in watch:
            if "a" in {service.service_id for service in batch.upserted_services}:
                break
        watch.cancel()
        with pytest.raises(asyncio.CancelledError):
            await watch.read()
        own = GetComponentRequest(service_id="a", consistency=client.read_your_writes())
        assert list((await client.graph.GetComponent(own)).component.members) == ["a"]
        assert await asyncio.to_thread(members, address, security) == ["a"]
        await application.__aexit__(None, None, None)
        waiting = asyncio.ensure_future(client.graph.GetComponent(own))
        async with Application(replace(settings, tls_listen=address), report=lambda _: None):
            assert list((await waiting).component.members) == ["a"]


def members(address: str, security: Security) -> list[str]:
    with Client(address, **security) as client:
        return list(client.graph.GetComponent(GetComponentRequest(service_id="a")).component.members)
