"""Transports: the HTTP/2 servers that receive calls and send answers."""

from server.rpc.transport.choosing import Transport, TransportMissingError, make_transport, transport_for

__all__ = ["Transport", "TransportMissingError", "make_transport", "transport_for"]
