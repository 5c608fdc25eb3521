"""Who calls, when Envoy has ended TLS: a replica believes Envoy, and nobody else."""

import sys
from collections.abc import Iterator
from dataclasses import dataclass

import grpc
import pytest

from depgraph.v1 import access_service_pb2 as access
from depgraph.v1.access_service_pb2_grpc import AccessServiceStub
from tests.support.channels import open_channel
from tests.support.command import serving
from tests.support.credentials import AUDIENCE, ISSUER, Credentials
from tests.support.envoy import configuration, envoy
from tests.support.postgres import DatabaseServer
from tests.support.required import required_package

pytestmark = pytest.mark.skipif(
    sys.platform != "linux", reason="only Linux has more loopback addresses than 127.0.0.1"
)
# Where Envoy connects from; callers that go past it come from 127.0.0.1.
ENVOY = "127.0.0.2"
SHOP, ADMIN = "shop.example.com", "admin.example.com"
SPIFFE = "spiffe://example.com/shop"
AUTH_FILE = f"""
[[jwt]]
issuer = "{ISSUER}"
audience = "{AUDIENCE}"
algorithms = ["RS256"]
jwks_file = "jwks.json"

[[grant]]
dns_name = "{SHOP}"
roles = ["reader"]

[[grant]]
spiffe_id = "{SPIFFE}"
roles = ["reader"]

[[grant]]
dns_name = "{ADMIN}"
roles = ["admin"]

[[grant]]
issuer = "{ISSUER}"
subject = "ana"
roles = ["operator"]
"""
FORGED = (("x-forwarded-client-cert", f'Subject="";DNS={ADMIN}'),)
WHO = access.WhoAmIRequest()


@dataclass(frozen=True, slots=True)
class Stage:
    """Envoy before a replica that believes it."""

    address: str
    replica: str
    credentials: Credentials


@pytest.fixture(scope="module")
def stage(
    tmp_path_factory: pytest.TempPathFactory, postgres: DatabaseServer, migrated_template: str
) -> Iterator[Stage]:
    required_package("envoy")
    credentials = Credentials(tmp_path_factory.mktemp("envoy"))
    auth_file = credentials.folder / "auth.toml"
    auth_file.write_text(AUTH_FILE)
    source = f"upstream_bind_config: {{source_address: {{address: {ENVOY}, port_value: 0}}}}"
    from_there = {"connect_timeout: 1s": f"connect_timeout: 1s\n      {source}"}
    with (
        postgres.shared_database(migrated_template) as url,
        serving(
            *("--database-url", url, "--transport", "grpcio"),
            *("--auth-file", str(auth_file), "--trust-proxy", ENVOY),
        ) as (replica, _),
        envoy(configuration(credentials.folder, [replica, replica], from_there)) as front,
    ):
        yield Stage(front.address, replica, credentials)


async def who(channel: grpc.aio.Channel, *metadata: tuple[str, str]) -> tuple[str, list[int]]:
    answer = await AccessServiceStub(channel).WhoAmI(WHO, metadata=metadata)
    return answer.principal, list(answer.roles)


@pytest.mark.parametrize("name", [SHOP, SPIFFE])
async def test_a_replica_knows_the_caller_by_the_certificate_that_envoy_has_checked(
    stage: Stage, name: str
) -> None:
    async with stage.credentials.caller(stage.address, stage.credentials.certificate(name)) as channel:
        assert await who(channel) == (name, [access.ROLE_READER])


async def test_a_replica_knows_the_caller_by_the_token_that_envoy_has_passed_on(stage: Stage) -> None:
    async with stage.credentials.caller(stage.address) as channel:
        token = ("authorization", f"Bearer {stage.credentials.token()}")
        assert await who(channel, token) == ("ana", [access.ROLE_OPERATOR])


async def test_envoy_replaces_what_a_caller_with_a_certificate_says_of_certificates(stage: Stage) -> None:
    certificate = stage.credentials.certificate(SHOP)
    async with stage.credentials.caller(stage.address, certificate) as channel:
        assert await who(channel, *FORGED) == (SHOP, [access.ROLE_READER])


async def test_envoy_drops_what_a_caller_without_a_certificate_says_of_certificates(stage: Stage) -> None:
    async with stage.credentials.caller(stage.address) as channel:
        with pytest.raises(grpc.aio.AioRpcError) as refused:
            await who(channel, *FORGED)
    assert refused.value.code() == grpc.StatusCode.UNAUTHENTICATED


async def test_a_replica_ignores_what_anyone_but_envoy_says_of_certificates(stage: Stage) -> None:
    async with open_channel(stage.replica) as channel:
        with pytest.raises(grpc.aio.AioRpcError) as refused:
            await who(channel, *FORGED)
    assert refused.value.code() == grpc.StatusCode.UNAUTHENTICATED
