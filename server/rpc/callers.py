"""The caller of a call: its credential, found in the call's metadata and connection."""

from collections.abc import Iterable
from functools import lru_cache
from ipaddress import IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network
from typing import Final
from urllib.parse import unquote

from server.access.grants import UnknownKeyError
from server.access.identification import Identification
from server.access.roles import check_roles
from server.domain.caller import ANYONE, Caller
from server.domain.errors import PermissionDeniedError, UnauthenticatedError
from server.rpc.context import Context
from server.rpc.methods import STANDARD

_AUTHORIZATION = "authorization"
_FORWARDED: Final = "x-forwarded-client-cert"
_CERTIFICATE: Final = "x509_pem_cert"
_UNIX = "unix"
# Peers change with each connection.
_KNOWN_PEERS = 4_096


class TrustedProxies:
    """
    The proxies whose word about a client's certificate counts: addresses, networks, or ``unix``.

    ``unix`` = whoever may connect to a Unix socket of the server. Raises ``ValueError``.
    """

    def __init__(self, named: Iterable[str]) -> None:
        self._unix = False
        self._networks: list[IPv4Network | IPv6Network] = []
        for each in named:
            if each == _UNIX:
                self._unix = True
            else:
                self._networks.append(_network(each))
        self.include = lru_cache(_KNOWN_PEERS)(self._include)

    def __bool__(self) -> bool:
        return self._unix or bool(self._networks)

    def _include(self, peer: str) -> bool:
        """Whether a peer is one of them, as gRPC writes it: ``ipv4:…``, ``ipv6:…``, ``unix:…``."""
        kind, _, where = peer.partition(":")
        if kind == _UNIX:
            return self._unix
        if kind not in {"ipv4", "ipv6"}:
            return False
        host = unquote(where).rpartition(":")[0].strip("[]").partition("%")[0]
        try:
            address = ip_address(host)
        except ValueError:
            return False
        if isinstance(address, IPv6Address) and address.ipv4_mapped is not None:
            address = address.ipv4_mapped
        return any(address in network for network in self._networks)


class CallAccess:
    """
    Admits calls by what the auth file says; has the methods of ``answering.Access``.

    Health and reflection are for everybody.
    """

    def __init__(self, identification: Identification, trusted: TrustedProxies) -> None:
        self._identification = identification
        self._trusted = trusted

    def admit(self, method: str, context: Context) -> Caller:
        """Identify the caller, and check that one of its roles is for the method."""
        if method.startswith(STANDARD):
            return ANYONE
        caller = self._caller(context)
        try:
            check_roles(method, caller.roles)
        except PermissionDeniedError as error:
            error.principal = caller.principal
            raise
        return caller

    async def renew(self, error: UnknownKeyError) -> None:
        """Look for newer keys of the issuer whose key was not known."""
        await self._identification.renew(error.keys)

    def _caller(self, context: Context) -> Caller:
        """
        Identify by the first of these that is there: a token, a proxy's word, a certificate.

        A token or a word that is no good is an error, whatever else there is.
        """
        known = self._identification
        authorization, forwarded = [], []
        for key, value in context.invocation_metadata() or ():
            if key == _AUTHORIZATION:
                authorization.append(value)
            elif key == _FORWARDED:
                forwarded.append(value)
        if authorization and known.has_auth_file:
            if len(authorization) > 1:
                raise UnauthenticatedError("the call has more than one header authorization")
            return known.by_authorization(_text(authorization[0]))
        if forwarded and self._trusted.include(context.peer()):
            return known.by_forwarded(",".join(map(_text, forwarded)))
        certificate = context.auth_context().get(_CERTIFICATE)
        if certificate:
            return known.by_certificate(next(iter(certificate)))
        return known.without_credential()


def _network(text: str) -> IPv4Network | IPv6Network:
    try:
        network = ip_network(text)
    except ValueError:
        raise ValueError(f"{text!r} is no address, network (10.1.0.0/16) or unix") from None
    if not network.prefixlen:
        raise ValueError(f"{text} is every address: anybody could claim to be anybody")
    return network


def _text(value: str | bytes) -> str:
    return value if isinstance(value, str) else value.decode("latin-1")
