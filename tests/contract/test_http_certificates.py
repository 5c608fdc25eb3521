"""Callers by HTTP, by their certificates, or as a proxy passes them on: the same as by gRPC."""

import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509

from server.access.identification import Identification
from server.config import Limits
from server.rpc.callers import CallAccess, TrustedProxies
from server.rpc.server import RpcServer
from server.web.transport import HttpTransport
from tests.support.certificates import Authority, CertificateFiles
from tests.support.fake_stores import ANY_PORT, HeldStore, running
from tests.support.http import Port, client_of
from tests.support.issuer import auth_file, grant, static_token

pytestmark = pytest.mark.one_transport

WHO_AM_I = "AccessService/WhoAmI"
SHOP, ADMIN = "spiffe://example.org/shop", "spiffe://example.org/admin"
TABLES = (
    grant(f'spiffe_id = "{SHOP}"', "reader"),
    grant(f'spiffe_id = "{ADMIN}"', "admin"),
    static_token("ci", "reader"),
)
TOKEN = {"authorization": "Bearer ci"}
FORWARDED = {"x_forwarded_client_cert": f"By=spiffe://example.org/proxy;Hash=1;URI={ADMIN}"}


@asynccontextmanager
async def served(folder: Path, *trusted: str, **parts: Any) -> AsyncIterator[RpcServer]:
    """Run a server with an auth file that trusts proxies."""
    http = HttpTransport(Limits(), is_serving=lambda: True, **parts)
    access = CallAccess(Identification(auth_file(folder, *TABLES)), TrustedProxies(trusted))
    async with running(HeldStore(), http=http, http_at=ANY_PORT, access=access) as server:
        yield server


async def test_a_client_certificate_names_the_caller_unless_a_token_does(tmp_path: Path) -> None:
    authority, of_clients = Authority(), Authority()
    shown = of_clients.issue_for(x509.UniformResourceIdentifier(SHOP))
    (tmp_path / "client.pem").write_bytes(shown.chain + shown.key)
    context = ssl.create_default_context(cadata=authority.pem.decode())
    context.load_cert_chain(tmp_path / "client.pem")
    files = CertificateFiles(tmp_path, authority, of_clients)
    async with (
        served(tmp_path, tls=files.open()) as server,
        client_of(f"https://{server.addresses.http}", verify=context) as client,
    ):
        port = Port(client)
        # The second call is on the same connection.
        for headers in ({}, {}, FORWARDED):
            answer = await port.call(WHO_AM_I, **headers)
            assert (answer["principal"], answer["roles"]) == (SHOP, ["ROLE_READER"])
        assert (await port.call(WHO_AM_I, **TOKEN))["principal"] == "ci"
        failure = await port.failure(WHO_AM_I, authorization="Bearer unknown")
        assert failure.code == "unauthenticated"
        refused = await port.failure("CatalogService/DeleteService", {"serviceId": "a"})
        assert refused.code == "permission_denied"


async def test_a_proxy_s_word_about_a_certificate_counts_if_the_proxy_is_trusted(tmp_path: Path) -> None:
    for trusted, expected in ((("127.0.0.0/8",), ADMIN), (("10.0.0.0/8", "unix"), "")):
        async with served(tmp_path, *trusted) as server, client_of(server.addresses.http) as client:
            port = Port(client)
            if expected:
                assert (await port.call(WHO_AM_I, **FORWARDED))["principal"] == expected
            else:
                assert (await port.failure(WHO_AM_I, **FORWARDED)).code == "unauthenticated"
            assert (await port.call(WHO_AM_I, **FORWARDED, **TOKEN))["principal"] == "ci"


async def test_a_client_can_t_forge_what_its_proxy_says(tmp_path: Path) -> None:
    real = f"By=spiffe://example.org/proxy;Hash=1;URI={SHOP}"
    forged = FORWARDED["x_forwarded_client_cert"]
    async with served(tmp_path, "127.0.0.1") as server, client_of(server.addresses.http) as client:
        # Of one header, and of two.
        for headers in ([f"{forged},{real}"], [forged, real]):
            response = await client.post(
                f"/depgraph.v1.{WHO_AM_I}",
                json={},
                headers=[("x-forwarded-client-cert", each) for each in headers],
            )
            assert response.json()["principal"] == SHOP


async def test_another_page_does_not_use_the_certificate_of_a_browser(tmp_path: Path) -> None:
    """A browser shows its certificate, and a proxy its word, whichever page asks."""
    async with served(tmp_path, "127.0.0.1") as server, client_of(server.addresses.http) as client:
        port = Port(client)
        for headers in ({"origin": "https://evil.example"}, {"sec_fetch_site": "cross-site"}):
            response = await port.post(WHO_AM_I, **FORWARDED, **headers)
            assert (response.status_code, response.json()["code"]) == (403, "permission_denied")
