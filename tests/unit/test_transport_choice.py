"""Which transport serves an address."""

from importlib.util import find_spec

import pytest
import typer

from server.cli.addresses import checked_transport
from server.config import TransportName
from server.rpc import transport
from server.rpc.transport import TransportMissingError, transport_for

NATIVE = pytest.mark.skipif(
    find_spec("pygrpc_native") is None, reason="pygrpc-native has no wheel for this platform"
)


@pytest.fixture
def not_installed(monkeypatch: pytest.MonkeyPatch) -> None:
    """Play a platform without a wheel."""
    monkeypatch.setattr(transport, "find_spec", lambda _: None)


@NATIVE
@pytest.mark.parametrize(
    "address", ["127.0.0.1:0", "127.8.9.10:50051", "[::1]:0", "localhost:0", "unix:/run/depgraph"]
)
def test_auto_is_native_where_only_this_host_can_connect(address: str) -> None:
    assert transport_for("auto", address) == "native"


@pytest.mark.parametrize("address", ["0.0.0.0:0", "[::]:0", "192.0.2.7:0", "no-such-host.invalid:0"])
def test_auto_is_grpcio_where_other_hosts_can_connect(address: str) -> None:
    assert transport_for("auto", address) == "grpcio"


@NATIVE
@pytest.mark.parametrize("wanted", ["grpcio", "native"])
@pytest.mark.parametrize("address", ["127.0.0.1:0", "0.0.0.0:0"])
def test_a_named_transport_is_used_at_any_address(wanted: TransportName, address: str) -> None:
    assert transport_for(wanted, address) == wanted


@pytest.mark.usefixtures("not_installed")
def test_auto_is_grpcio_where_native_is_not_installed() -> None:
    assert transport_for("auto", "127.0.0.1:0") == "grpcio"
    with pytest.raises(TransportMissingError, match="pygrpc-native has wheels for Linux and macOS"):
        transport_for("native", "127.0.0.1:0")


@pytest.mark.usefixtures("not_installed")
def test_the_command_names_the_flag_of_a_transport_that_is_missing() -> None:
    with pytest.raises(typer.BadParameter, match="use --transport grpcio") as refused:
        checked_transport("native", "127.0.0.1:0")
    assert refused.value.param_hint == "--transport"
