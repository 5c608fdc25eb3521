"""Certificates for clients and for the fake server, made anew by an authority of the test's own."""

from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cached_property
from pathlib import Path

import grpc
import trustme

from depgraph.security import Security


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
        self._folder = folder
        self._name = name
        self._authority = trustme.CA()
        self.ca = folder / f"{name}.pem"
        self._authority.cert_pem.write_to_path(self.ca)

    @cached_property
    def good(self) -> Issued:
        """A certificate for this host."""
        return self._issue("good", "127.0.0.1", "localhost")

    @cached_property
    def expired(self) -> Issued:
        """A certificate for this host that has expired."""
        return self._issue("expired", "127.0.0.1", not_after=datetime(2024, 1, 1, tzinfo=UTC))

    @cached_property
    def for_another(self) -> Issued:
        """A certificate for another host."""
        return self._issue("another", "graph.test")

    def _issue(self, name: str, *hosts: str, not_after: datetime | None = None) -> Issued:
        leaf = self._authority.issue_cert(*hosts, not_after=not_after)
        issued = Issued(self._folder / f"{self._name}-{name}.pem", self._folder / f"{self._name}-{name}.key")
        leaf.private_key_pem.write_to_path(issued.key)
        for blob in leaf.cert_chain_pems:
            blob.write_to_path(issued.cert, append=True)
        return issued
