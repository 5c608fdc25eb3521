"""Certificates in files, as clients take them, and the credentials of servers of gRPC's own."""

from dataclasses import dataclass
from datetime import timedelta
from functools import cached_property
from pathlib import Path

import grpc

from depgraph.security import Security
from tests.support import certificates


@dataclass(frozen=True)
class Issued:
    """A certificate with its key, in files."""

    cert: Path
    key: Path

    @property
    def server(self) -> grpc.ServerCredentials:
        """Credentials of a server that lets every client in."""
        return grpc.ssl_server_credentials([(self.key.read_bytes(), self.cert.read_bytes())])

    def server_for(self, ca: Path) -> grpc.ServerCredentials:
        """Credentials of a server that wants certificates of this authority."""
        pair = [(self.key.read_bytes(), self.cert.read_bytes())]
        return grpc.ssl_server_credentials(pair, ca.read_bytes(), require_client_auth=True)

    @property
    def client(self) -> Security:
        """The arguments of a client that has this certificate."""
        return Security(client_cert=self.cert, client_key=self.key)


class Authority:
    """An authority of its own, with its certificate in a file."""

    def __init__(self, folder: Path, name: str) -> None:
        self._authority = certificates.Authority()
        self._prefix = folder / name
        self.ca = self._file("ca", self._authority.pem)

    @cached_property
    def good(self) -> Issued:
        """A certificate for this host."""
        return self._issued("good", self._authority.issue())

    @cached_property
    def expired(self) -> Issued:
        """A certificate for this host that has expired."""
        days = timedelta(days=1)
        return self._issued("expired", self._authority.issue(age=2 * days, valid=days))

    @cached_property
    def for_another(self) -> Issued:
        """A certificate for another host."""
        return self._issued("another", self._authority.issue("graph.test"))

    def _issued(self, name: str, pair: certificates.Pair) -> Issued:
        return Issued(self._file(name, pair.chain), self._file(f"{name}-key", pair.key))

    def _file(self, name: str, contents: bytes) -> Path:
        file = self._prefix.with_name(f"{self._prefix.name}-{name}.pem")
        file.write_bytes(contents)
        return file
