"""Who may call ``depgraph serve``: the options, checked."""

from pathlib import Path
from typing import Annotated

import typer

from server.cli.options import setting
from server.cli.validation import checked_guarding_file
from server.config import AccessSettings

AuthFile = Annotated[
    Path | None,
    setting(
        "auth-file",
        "TOML file that says who may do what (docs/security.md). It is read again when it changes. "
        "Default: every caller may do everything.",
        metavar="FILE",
        callback=checked_guarding_file,
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
    """Accept an auth file that can be used, with the files of keys that it names, and proxies."""
    from server.access.identification import check_auth_file
    from server.access.reloading import UnusableFileError
    from server.rpc.callers import TrustedProxies

    try:
        TrustedProxies(proxies or ())
    except ValueError as error:
        raise typer.BadParameter(str(error), param_hint="--trust-proxy") from None
    if auth_file is not None:
        try:
            check_auth_file(auth_file)
        except UnusableFileError as error:
            raise typer.BadParameter(str(error)) from None
    return AccessSettings(
        auth_file=auth_file,
        trusted_proxies=tuple(proxies or ()),
        reflection=auth_file is None if reflection is None else reflection,
    )
