"""The server that a command asks: where it is, how to reach it, and who asks."""

import functools
import inspect
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Any

from depgraph.security import Security
from server.cli.options import DEFAULTS, setting
from server.cli.validation import checked_address, checked_private_token, checked_seconds

Command = Callable[..., None]


@dataclass(frozen=True, slots=True)
class AskedServer:
    """``timeout`` is the deadline of a unary call in seconds."""

    address: str
    timeout: float
    security: Security = field(repr=False)


def _file(name: str, help_text: str) -> Any:
    return setting(name, help_text, metavar="FILE", exists=True, dir_okay=False, readable=True)


Address = Annotated[
    str,
    setting("address", "Address of the server.", metavar="HOST:PORT|unix:PATH", callback=checked_address),
]
Timeout = Annotated[
    float,
    setting(
        "timeout",
        "Give up when the server has not answered a call after this long.",
        metavar="SECONDS",
        min=0.001,
        max=86_400.0,
        callback=checked_seconds,
    ),
]
CaCert = Annotated[
    Path | None, _file("ca-cert", "Connect by TLS; PEM file of the authorities that the server's is from.")
]
Tls = Annotated[bool, setting("tls", "Connect by TLS; the authorities are those that the system trusts.")]
ServerName = Annotated[
    str | None,
    setting("server-name", "Name in the server's certificate, if not --address.", metavar="NAME"),
]
ClientCert = Annotated[Path | None, _file("client-cert", "PEM file of your certificate (mTLS).")]
ClientKey = Annotated[Path | None, _file("client-key", "PEM file of the key of --client-cert.")]
TokenFile = Annotated[Path | None, _file("token-file", "File of your bearer token.")]
Token = Annotated[
    str | None,
    setting(
        "token",
        "Your bearer token. Every user of the machine can see the command line, so give it by file "
        "or variable.",
        metavar="TOKEN",
        callback=checked_private_token,
    ),
]
PlaintextToken = Annotated[
    bool,
    setting(
        "plaintext-token",
        "Send the token without TLS beyond this host, too: in a network that encrypts, such as a mesh.",
        show_envvar=False,  # a word too long for narrow screens
    ),
]


def _asked_server(
    *,
    address: Address = DEFAULTS.listen,
    timeout: Timeout = 30.0,
    ca_cert: CaCert = None,
    tls: Tls = False,
    server_name: ServerName = None,
    client_cert: ClientCert = None,
    client_key: ClientKey = None,
    token_file: TokenFile = None,
    token: Token = None,
    plaintext_token: PlaintextToken = False,
) -> AskedServer:
    security = Security(
        ca_cert=ca_cert,
        tls=tls,
        server_name=server_name,
        client_cert=client_cert,
        client_key=client_key,
        token_file=token_file,
        token=token,
        plaintext_token=plaintext_token,
    )
    return AskedServer(address, timeout, security)


def asks_server(*, timeout: float | None) -> Callable[[Command], Command]:
    """
    Replace the parameter ``server`` of a command by the options that say which server, and how.

    ``timeout`` is the default of ``--timeout``; None = the command has no such option.
    """
    options = dict(inspect.signature(_asked_server).parameters)
    if timeout is None:
        del options["timeout"]
    else:
        options["timeout"] = options["timeout"].replace(default=timeout)

    def decorate(command: Command) -> Command:
        @functools.wraps(command)
        def asking(**arguments: Any) -> None:
            server = _asked_server(**{name: arguments.pop(name) for name in options})
            command(**arguments, server=server)

        signature = inspect.signature(command, eval_str=True)
        own = [parameter for parameter in signature.parameters.values() if parameter.name != "server"]
        # Typer makes its options of the signature.
        vars(asking)["__signature__"] = signature.replace(parameters=[*own, *options.values()])
        return asking

    return decorate
