"""What every request to the HTTP port passes: who may ask by a browser, and what answers carry."""

from collections.abc import Iterable
from email.utils import formatdate
from http import HTTPStatus
from ipaddress import ip_address
from typing import Final

import structlog
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from server.rpc.errors import unexpected_error
from server.web.call import Sender
from server.web.errors import Failure
from server.web.refusals import Refusals
from server.web.responses import refuse

log = structlog.get_logger(__name__)

POLICY: Final = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' blob: data:; "
    "connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)
HEADERS: Final = [
    (b"content-security-policy", POLICY.encode()),
    (b"x-content-type-options", b"nosniff"),
    (b"referrer-policy", b"no-referrer"),
    (b"cross-origin-opener-policy", b"same-origin"),
    (b"cross-origin-resource-policy", b"same-origin"),
    (b"permissions-policy", b"camera=(), geolocation=(), microphone=(), payment=(), usb=()"),
]
_VERSIONS = ("1.0", "1.1")
_LOCALHOST = "localhost"
# Also what a person has typed, and the link of a bookmark.
_OWN_SITES = ("same-origin", "none")


class Guard:
    """
    An ASGI application before another one.

    A page of another site can make a browser send requests here: from its own address, which the
    browser says, or by a name of its own that it lets point here. So a request has to name this
    server: by an address, ``localhost``, or one of ``names``.
    """

    def __init__(self, application: ASGIApp, names: Iterable[str], refusals: Refusals) -> None:
        self._application = application
        self._refusals = refusals
        self._names = frozenset(name.lower().rstrip(".") for name in (_LOCALHOST, *names))

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request, or refuse it."""
        has_begun = False

        async def send_with_headers(message: Message) -> None:
            nonlocal has_begun
            has_begun = True
            if message["type"] == "http.response.start":
                given = list(message.get("headers", ()))
                names = {name for name, _ in given}
                added = [pair for pair in HEADERS if pair[0] not in names]
                date = (b"date", formatdate(usegmt=True).encode())
                message["headers"] = [*given, *added, date]
            await send(message)

        refusal = self._refusal(scope)
        if refusal is not None:
            kind, failure = refusal
            self._refusals.note(kind, failure.message, Sender.of(scope).peer)
            await refuse(failure, send_with_headers)
            return
        try:
            await self._application(scope, receive, send_with_headers)
        except Exception:
            stand_in = unexpected_error()
            error_id = stand_in.metadata["error_id"]
            log.exception("a request could not be answered", path=scope["path"], error_id=error_id)
            # What has begun is broken off, so that nobody takes it for whole.
            if has_begun:
                raise
            internal = Failure.of(HTTPStatus.INTERNAL_SERVER_ERROR, "internal", stand_in.message)
            await refuse(internal, send_with_headers)

    def _refusal(self, scope: Scope) -> tuple[str, Failure] | None:
        """Decide about a request: a kind for the log, and the answer; None = it may go on."""
        headers = {key: value.decode("latin-1") for key, value in scope["headers"]}
        if scope["http_version"] not in _VERSIONS:
            return "unclear", _unclear("the server speaks HTTP/1.1")
        if not scope["raw_path"].startswith(b"/"):
            return "unclear", _unclear("the target of the request has to be a path")
        host = headers.get(b"host", "").lower()
        if not self._is_own(host):
            return "host", _denied(
                f"this server is not known as {host!r}: ask by its address, or start it with "
                "--http-host NAME for each other name that it has"
            )
        origin = headers.get(b"origin")
        if origin is not None and origin.lower().partition("://")[2] != host:
            return "origin", _denied(f"the server answers no page of another site: {origin!r}")
        site = headers.get(b"sec-fetch-site", _OWN_SITES[0])
        if site not in _OWN_SITES and not _is_navigation(scope, headers):
            return "origin", _denied("the server answers no page of another site")
        return None

    def _is_own(self, host: str) -> bool:
        """Whether the header Host names this server, at any port."""
        name = _without_port(host)
        if name.startswith("["):
            name = name[1:-1]
        elif name.rstrip(".") in self._names:
            return True
        try:
            ip_address(name)
        except ValueError:
            return False
        return True


def _unclear(message: str) -> Failure:
    return Failure.of(HTTPStatus.BAD_REQUEST, "invalid_argument", message, connection="close")


def _denied(message: str) -> Failure:
    return Failure.of(HTTPStatus.FORBIDDEN, "permission_denied", message)


def _is_navigation(scope: Scope, headers: dict[bytes, str]) -> bool:
    """Whether a person follows a link to the console, from wherever it is."""
    return (
        scope["method"] == "GET"
        and headers.get(b"sec-fetch-mode") == "navigate"
        and headers.get(b"sec-fetch-dest") == "document"
    )


def _without_port(host: str) -> str:
    name, colon, port = host.rpartition(":")
    return name if colon and port.isdecimal() else host
