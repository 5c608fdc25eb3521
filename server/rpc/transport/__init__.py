"""How bytes come in and go out: the HTTP/2 servers that calls reach us by."""

from server.rpc.transport.choosing import Transport, TransportMissingError, make_transport, transport_for

__all__ = ["Transport", "TransportMissingError", "make_transport", "transport_for"]
