"""Who may call ``depgraph serve``: the options, checked."""

from pathlib import Path
from typing import Annotated

import typer

from server.cli.options import setting
from server.config import AccessSettings

AuthFile = Annotated[
    Path | None,
    setting(
        "auth-file",
        "TOML file that says who may do what (docs/security.md). It is read again when it changes. "
        "Default: every caller may do everything.",
        metavar="FILE",
    ),
]
TrustProxy = Annotated[
    list[str] | None,
    setting(
        "trust-proxy",
        "Proxy whose header x-forwarded-client-cert names the client; unix = all that connect to a "
        "Unix socket; repeatable. Default: none.",
        metavar="ADDRESS|NETWORK|unix",
    ),
]
Reflection = Annotated[
    bool | None,
    typer.Option(
        "--reflection/--no-reflection",
        envvar="DEPGRAPH_REFLECTION",
        help="Let all callers ask for the contract by gRPC reflection. Default: unless there is an "
        "--auth-file.",
    ),
]


def checked_access(
    auth_file: Path | None, proxies: list[str] | None, *, reflection: bool | None
) -> AccessSettings:
    """Accept an auth file that can be used, apart from keys that it names, and proxies."""
    from functools import partial

    from server.access.auth_file import read_auth_file
    from server.access.identification import FLAG
    from server.access.reloading import NamedFile, Reloaded, UnusableFileError
    from server.rpc.callers import TrustedProxies

    try:
        TrustedProxies(proxies or ())
    except ValueError as error:
        raise typer.BadParameter(str(error), param_hint="--trust-proxy") from None
    if auth_file is not None:
        named = NamedFile(FLAG, auth_file)
        try:
            Reloaded(partial(read_auth_file, file=named), named)
        except UnusableFileError as error:
            raise typer.BadParameter(str(error)) from None
    return AccessSettings(
        auth_file=auth_file,
        trusted_proxies=tuple(proxies or ()),
        reflection=auth_file is None if reflection is None else reflection,
    )
