"""What is pulled from where: one source of the sources file."""

import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from typing import Literal, get_args

from server.domain.dependencies import DiscoverySource
from server.formats.naming import NameRules

SourceKind = Literal["prometheus", "jaeger", "zipkin", "kiali", "backstage", "kubernetes", "file", "otlp"]
Profile = Literal["servicegraph", "istio"]
KINDS: tuple[SourceKind, ...] = get_args(SourceKind)
PROFILES: tuple[Profile, ...] = get_args(Profile)

SERVICEGRAPH_METRIC = "traces_service_graph_request_total"


class PullError(Exception):
    """A pull failed, or was partial: nothing of it is used. The message holds no secret."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Credentials:
    """
    Who asks a source: a bearer token, or a user with a password; each in a file or a variable.

    The secret is read at each pull, so that a new one is used at once.
    """

    user: str = ""
    file: Path | None = None
    variable: str = ""

    def secret(self) -> str:
        """Read the token or password; raises ``PullError``."""
        if self.file is None:
            found, where = os.environ.get(self.variable, ""), f"the variable {self.variable}"
        else:
            where = str(self.file)
            try:
                found = self.file.read_text().strip()
            except (OSError, UnicodeDecodeError) as error:
                raise PullError(f"{where}: {getattr(error, 'strerror', None) or 'is no text'}") from None
        if not found:
            raise PullError(f"{where} is empty: it should hold the {'password' if self.user else 'token'}")
        if not found.isprintable() or not found.isascii():
            raise PullError(f"{where} holds characters that no secret of HTTP has")
        return found


@dataclass(frozen=True, slots=True, kw_only=True)
class Source:
    """
    One table of the file.

    - ``name``: the reporter.
    - ``kind``: of all but ``otlp``, which sends by itself, there are pulls.
    - ``url``: without a slash at its end; empty for those that read files.
    - ``paths``: files, or patterns of files, from the folder of the sources file.
    - ``window``: a pull tells what was observed within it; those that read files have none.
    - ``confidence``: of dependencies of which the source says none itself.
    """

    name: str
    kind: SourceKind
    discovery_source: DiscoverySource
    every: timedelta
    window: timedelta
    timeout: timedelta = timedelta(seconds=30)
    profile: Profile = "servicegraph"
    metric: str = SERVICEGRAPH_METRIC
    url: str = ""
    paths: tuple[str, ...] = ()
    namespaces: tuple[str, ...] = ()
    credentials: Credentials | None = None
    headers: Mapping[str, str] = field(default_factory=dict)
    ca_file: Path | None = None
    client_cert: Path | None = None
    client_key: Path | None = None
    names: NameRules = field(default_factory=NameRules)
    confidence: float | None = None
