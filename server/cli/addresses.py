"""Where ``depgraph serve`` listens: the options, and what of them goes together."""

import re
from pathlib import Path
from typing import Annotated, Any

import typer

from server.cli.options import setting
from server.cli.validation import NOWHERE, checked_guarding_file, checked_host_port, checked_listen
from server.config import Addresses, TlsSettings, TransportName

# What a browser sends for a name; names of other scripts come as xn--….
_HOST_NAME = re.compile(r"[A-Za-z0-9]([A-Za-z0-9._-]{0,251}[A-Za-z0-9])?")


def _file(name: str, help_text: str, **details: Any) -> Any:
    return setting(name, f"{help_text} It is read again when it changes.", metavar="FILE", **details)


Listen = Annotated[
    str,
    setting(
        "listen",
        "Address for calls in plaintext; port 0 = any free one; none = TLS only. Other addresses "
        "than loopback and Unix sockets need --allow-plaintext.",
        metavar="HOST:PORT|unix:PATH|none",
        callback=checked_listen,
    ),
]
AllowPlaintext = Annotated[
    bool,
    setting(
        "allow-plaintext",
        "Let --listen, and --http-listen without TLS, be reached by other hosts: in a mesh, or behind "
        "a proxy, that encrypts.",
    ),
]
TlsListen = Annotated[
    str | None,
    setting(
        "tls-listen",
        "Address for calls with TLS, 1.2 or later; port 0 = any free one. Default: none.",
        metavar="HOST:PORT",
        callback=checked_host_port,
    ),
]
TlsCert = Annotated[Path | None, _file("tls-cert", "Certificate of the server, with its chain, in PEM form.")]
TlsKey = Annotated[Path | None, _file("tls-key", "Private key of --tls-cert, in PEM form, not encrypted.")]
TlsClientCa = Annotated[
    Path | None,
    _file(
        "tls-client-ca",
        "Certificates of authorities, in PEM form: clients need a certificate of one of them.",
        callback=checked_guarding_file,
    ),
]
HealthListen = Annotated[
    str | None,
    setting(
        "health-listen",
        "Address that answers grpc.health.v1 and nothing else, in plaintext, for probes; port 0 = any "
        "free one. Default: none.",
        metavar="HOST:PORT",
        callback=checked_host_port,
    ),
]
HttpListen = Annotated[
    str | None,
    setting(
        "http-listen",
        "Address of the console, and of JSON over HTTP; port 0 = any free one. It speaks TLS where "
        "--tls-cert is given; without, other addresses than loopback need --allow-plaintext. Default: "
        "none.",
        metavar="HOST:PORT",
        callback=checked_host_port,
    ),
]
HttpHost = Annotated[
    list[str] | None,
    setting(
        "http-host",
        "Name by which browsers and programs reach --http-listen, without a port, beside addresses, "
        "localhost and the host of --http-listen itself; repeatable. Default: none.",
        metavar="NAME",
    ),
]
Transport = Annotated[
    TransportName,
    setting(
        "transport",
        "What carries calls: native is several times faster, and for trusted callers only "
        "(docs/transport.md); grpcio is for all. auto: native where only this host can connect "
        "(loopback, Unix socket), grpcio elsewhere.",
        show_envvar=True,
    ),
]


def checked_addresses(
    listen: str,
    tls_listen: str | None,
    health_listen: str | None,
    http_listen: str | None,
    *,
    allow_plaintext: bool,
    is_https: bool = False,
) -> Addresses:
    """Accept addresses where plaintext stays on this host, or was allowed."""
    plain = "" if listen == NOWHERE else listen
    if not plain and tls_listen is None:
        raise typer.BadParameter(
            "'none' leaves no address for calls: give --tls-listen HOST:PORT, --tls-cert and --tls-key, "
            "or an address",
            param_hint="--listen",
        )
    if not allow_plaintext:
        _check_plaintext(plain, "--listen", "--tls-listen, --tls-cert and --tls-key, with --listen none")
        _check_plaintext("" if is_https else http_listen or "", "--http-listen", "--tls-cert and --tls-key")
    return Addresses(
        plain,
        tls_listen or "",
        health_listen or "",
        http_listen or "",
        is_https=is_https and http_listen is not None,
    )


def _check_plaintext(address: str, flag: str, for_tls: str) -> None:
    """Refuse plaintext at an address that other hosts reach; empty = there is none."""
    from server.rpc.listening import is_reached_by_this_host_only

    if address and not is_reached_by_this_host_only(address):
        raise typer.BadParameter(
            f"other hosts reach {address}, and the network between could read and forge plaintext: serve "
            f"TLS there ({for_tls}), or give --allow-plaintext if a mesh or a proxy encrypts",
            param_hint=flag,
        )


def checked_hosts(hosts: list[str] | None, http_listen: str | None) -> tuple[str, ...]:
    """Accept names of the address of HTTP, as a browser sends them."""
    for host in hosts or ():
        if http_listen is None:
            raise typer.BadParameter(
                "is for the console: give --http-listen HOST:PORT, too", param_hint="--http-host"
            )
        if not _HOST_NAME.fullmatch(host):
            raise typer.BadParameter(
                f"{host!r} is no name of a host: give one such as depgraph.example.com, without http:// "
                "and without a port",
                param_hint="--http-host",
            )
    return tuple(hosts or ())


def checked_tls(
    listen: str | None,
    cert: Path | None,
    key: Path | None,
    client_ca: Path | None,
    *,
    http_listen: str | None = None,
) -> TlsSettings | None:
    """Accept TLS with all that it needs, and files that can be used."""
    given = any(file is not None for file in (cert, key, client_ca))
    if listen is None and (http_listen is None or not given):
        for flag, file in (("--tls-cert", cert), ("--tls-key", key), ("--tls-client-ca", client_ca)):
            if file is not None:
                raise typer.BadParameter(
                    "is for TLS: give --tls-listen HOST:PORT or --http-listen HOST:PORT, too",
                    param_hint=flag,
                )
        return None
    if cert is None or key is None:
        raise typer.BadParameter(
            "TLS needs a certificate and its key: give --tls-cert FILE and --tls-key FILE",
            param_hint="--http-listen" if listen is None else "--tls-listen",
        )
    from server.access.certificates import TlsFiles
    from server.access.reloading import UnusableFileError

    try:
        TlsFiles(cert, key, client_ca)
    except UnusableFileError as error:
        raise typer.BadParameter(str(error)) from None
    return TlsSettings(cert=cert, key=key, client_ca=client_ca)


def checked_transport(wanted: TransportName, listen: str) -> TransportName:
    """
    Accept a transport that is installed; replaces "auto" by the one that suits the address.

    An empty address = there is no plaintext.
    """
    from server.rpc.transport import TransportMissingError, transport_for

    if not listen:
        if wanted == "native":
            raise typer.BadParameter(
                "native has no TLS: give grpcio or auto, or a --listen address", param_hint="--transport"
            )
        return "grpcio"
    try:
        return transport_for(wanted, listen)
    except TransportMissingError as error:
        raise typer.BadParameter(str(error), param_hint="--transport") from None
