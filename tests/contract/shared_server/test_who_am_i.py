import grpc

from depgraph.v1 import access_service_pb2 as pb
from depgraph.v1 import types_pb2
from depgraph.v1.access_service_pb2_grpc import AccessServiceStub


async def test_without_an_auth_file_a_caller_has_no_identity_and_may_do_everything(
    channel: grpc.aio.Channel,
) -> None:
    answer = await AccessServiceStub(channel).WhoAmI(pb.WhoAmIRequest())
    assert answer.principal == ""
    assert list(answer.roles) == [pb.ROLE_ADMIN]
    assert set(answer.discovery_sources) == set(types_pb2.DiscoverySource.values()) - {0}
