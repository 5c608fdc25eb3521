"""How a client proves who it is and checks who answers: TLS, tokens, and where a token may go."""

import os
import re
import ssl
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple, TypedDict

import grpc

PathName = str | os.PathLike[str]
GetToken = Callable[[], str]

# What RFC 6750 lets a bearer token consist of.
_TOKEN = re.compile(r"[A-Za-z0-9._~+/-]+=*")
_LOOPBACK = re.compile(
    r"(?:dns:(?:///)?|ipv[46]:)?(?:localhost|127(?:\.[0-9]{1,3}){3}|\[::1\])(?::[0-9]{1,5})?"
)
_TURN_TLS_ON = ("tls", "ca_cert", "client_cert", "client_key")


class Security(TypedDict, total=False):
    """
    The arguments of both clients that concern TLS and identity; all are optional.

    - ``ca_cert``: PEM file of the authorities that may vouch for the server. Turns TLS on.
    - ``client_cert``, ``client_key``: PEM files of the client's certificate, its chain after it,
      and of its key, for servers that ask for them (mTLS). They turn TLS on.
    - ``tls``: TLS with the authorities that the system trusts; ``SSL_CERT_FILE`` names others.
    - ``server_name``: the name that the server's certificate must have, where the client
      reaches it under another one, such as through a forwarded port.
    - ``token``: bearer token that goes with every call.
    - ``token_file``: file that holds the token. It is read again when it changes, as tokens expire;
      while it is missing or unusable, the token before stays.
    - ``plaintext_token``: send the token without TLS, too. Without it that is for loopback
      and Unix sockets only. For networks that encrypt by themselves, such as a mesh.

    Certificates are read once: a client whose certificate was replaced has to be made anew.
    """

    ca_cert: PathName | None
    client_cert: PathName | None
    client_key: PathName | None
    tls: bool
    server_name: str | None
    token: str | None
    token_file: PathName | None
    plaintext_token: bool


class Secured(NamedTuple):
    """What a client makes of these arguments; no ``credentials`` = plaintext."""

    credentials: grpc.ChannelCredentials | None
    token: GetToken | None
    options: list[tuple[str, Any]]


def secured(target: str, credentials: grpc.ChannelCredentials | None, security: Security) -> Secured:
    """
    Read the certificates and the token of a client; ``credentials`` stand instead of certificates.

    ``OSError`` when a file can't be read, ``ValueError`` when it can't be used, or when the token
    must not go to the target; in messages, arguments stand in backquotes, and the token never.
    """
    if unknown := security.keys() - Security.__annotations__.keys():
        raise TypeError(f"a client has no argument {min(unknown)!r}")
    has_tls = asks_for_tls(security)
    if credentials is not None and has_tls:
        raise ValueError("`credentials` stand instead of `tls`, `ca_cert`, `client_cert` and `client_key`")
    if has_tls:
        credentials = _channel_credentials(security)
    options: list[tuple[str, Any]] = []
    if name := security.get("server_name"):
        if credentials is None:
            raise ValueError("`server_name` is for TLS: give `ca_cert` or `tls`")
        options.append(("grpc.ssl_target_name_override", name))
    if is_local(target):
        # A proxy of the environment would see what is meant for this host alone.
        options.append(("grpc.enable_http_proxy", 0))
    return Secured(
        credentials, _bearer_token(target, security, is_encrypted=credentials is not None), options
    )


def asks_for_tls(security: Security) -> bool:
    """Whether one of the arguments turns TLS on."""
    return any(security.get(name) for name in _TURN_TLS_ON)


def is_local(target: str) -> bool:
    """Whether calls to it stay on this host: a Unix socket, or one address of the loopback."""
    if target.startswith(("unix:", "unix-abstract:")):
        return True
    return _LOOPBACK.fullmatch(target) is not None


def _channel_credentials(security: Security) -> grpc.ChannelCredentials:
    ca_cert = security.get("ca_cert")
    cert, key = security.get("client_cert"), security.get("client_key")
    if (cert is None) != (key is None):
        raise ValueError("`client_cert` and `client_key` go together: give both")
    # None = the authorities that gRPC brings.
    authorities = ssl.get_default_verify_paths().cafile if ca_cert is None else ca_cert
    credentials = grpc.ssl_channel_credentials(_contents(authorities), _contents(key), _contents(cert))
    _check_certificates(ca_cert, cert, key)
    return credentials


def _bearer_token(target: str, security: Security, *, is_encrypted: bool) -> GetToken | None:
    token, file = security.get("token"), security.get("token_file")
    if token is None and file is None:
        return None
    if token is not None and file is not None:
        raise ValueError("`token` and `token_file` are two tokens: give one")
    if not (is_encrypted or security.get("plaintext_token") or is_local(target)):
        raise ValueError(
            f"the token would travel to {target} in plaintext: use TLS (`ca_cert`, `tls`), or "
            f"`plaintext_token` where the network encrypts, as a mesh does"
        )
    if file is not None:
        return _TokenFile(file)
    checked = _checked_token(token or "", "`token`")
    return lambda: checked


def _check_certificates(ca_cert: PathName | None, cert: PathName | None, key: PathName | None) -> None:
    """Refuse what gRPC would only complain about in its log."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    if ca_cert is not None:
        try:
            context.load_verify_locations(ca_cert)
        except ssl.SSLError:
            raise ValueError(f"`ca_cert` {ca_cert}: holds no PEM certificate") from None
    if cert is not None:
        try:
            context.load_cert_chain(cert, key, password="")
        except ssl.SSLError as error:
            raise ValueError(
                f"`client_cert` {cert}, `client_key` {key}: not a PEM certificate and the unencrypted key "
                f"that belongs to it ({error.reason or 'unreadable'})"
            ) from None


def _contents(file: PathName | None) -> bytes | None:
    return None if file is None else Path(file).read_bytes()


class _TokenFile:
    """
    Gives the token of a file, as it is now. Threads may share it.

    A file that changed is recognized by its time, size and inode; asking costs one ``stat``.
    """

    def __init__(self, file: PathName) -> None:
        self._file = Path(file)
        self._known = self._read()

    def __call__(self) -> str:
        try:
            if self._stamp() != self._known[0]:
                self._known = self._read()
        except (OSError, ValueError):
            # It is being replaced. The server says so when the old token has expired.
            pass
        return self._known[1]

    def _read(self) -> tuple[object, str]:
        # The stamp first: a file replaced in between is read again at the next call.
        stamp = self._stamp()
        text = self._file.read_text(encoding="ascii", errors="replace")
        return stamp, _checked_token(text, f"`token_file` {self._file}")

    def _stamp(self) -> object:
        seen = self._file.stat()
        return seen.st_mtime_ns, seen.st_size, seen.st_ino


def _checked_token(text: str, where: str) -> str:
    token = text.strip()
    if not _TOKEN.fullmatch(token):
        problem = "is not a bearer token: letters, digits and -._~+/ only" if token else "is empty"
        raise ValueError(f"{where} {problem}")
    return token
