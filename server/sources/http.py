"""One pull's requests over HTTP: bounded in time and size, with errors that hold no secret."""

import asyncio
import json
import ssl
from base64 import b64encode
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from urllib.parse import urlsplit

import httpx

from server.access.names import is_loopback
from server.sources.source import PullError, Source

MAX_BYTES = 256 * 1024 * 1024
"""The most that the answers of one pull may take, unpacked."""

_MAX_ERROR_BYTES = 64 * 1024
_MAX_SAID = 200


class Http:
    """
    Asks one source, within one pull.

    Redirects are not followed: credentials and headers are for the address in the file.
    Nothing is repeated: the next pull is the repetition.
    """

    def __init__(self, client: httpx.AsyncClient, source: Source, secret: str, max_bytes: int) -> None:
        self._client = client
        self._source = source
        self._secret = secret
        self._left = max_bytes
        self._max_bytes = max_bytes

    @classmethod
    @asynccontextmanager
    async def opened(cls, source: Source, max_bytes: int = MAX_BYTES) -> AsyncIterator["Http"]:
        """Read credentials and certificates, and be ready to ask; raises ``PullError``."""
        secret = "" if source.credentials is None else source.credentials.secret()
        headers = {"user-agent": "depgraph", "accept": "application/json", **source.headers}
        auth: httpx.Auth | None = None
        if source.credentials is not None and source.credentials.user:
            auth = httpx.BasicAuth(source.credentials.user, secret)
        elif secret:
            headers["authorization"] = f"Bearer {secret}"
        # On another thread: reading the authorities of a system takes some ten milliseconds.
        verify = await asyncio.to_thread(_tls, source)
        async with httpx.AsyncClient(
            verify=verify,
            headers=headers,
            auth=auth,
            timeout=source.timeout.total_seconds(),
            follow_redirects=False,
            # A proxy of the environment would see the credentials that don't leave this host.
            trust_env=not is_loopback(urlsplit(source.url).hostname or ""),
        ) as client:
            http = cls(client, source, secret, max_bytes)
            try:
                yield http
            except PullError as error:
                raise PullError(http._without_secret(str(error))) from None

    async def get(self, path: str, query: Mapping[str, str]) -> bytes:
        """Return the answer of a GET; raises ``PullError``."""
        source = self._source
        where = f"{source.url}{path}"
        try:
            async with asyncio.timeout(source.timeout.total_seconds()):
                async with self._client.stream("GET", where, params=query) as answer:
                    return await self._content(answer, where)
        except TimeoutError:
            cause = f"no whole answer within {source.timeout.total_seconds():g} s"
        except (httpx.HTTPError, httpx.InvalidURL, OSError) as error:
            cause = _cause(error)
        raise PullError(f"{where}: {cause}")

    async def _content(self, answer: httpx.Response, where: str) -> bytes:
        if not answer.is_success:
            raise PullError(f"{where}: {await self._refusal(answer)}")
        content = bytearray()
        async for part in answer.aiter_bytes():
            content += part
            self._left -= len(part)
            if self._left < 0:
                raise PullError(f"{where}: the answers take more than {self._max_bytes:,} bytes")
        return bytes(content)

    async def _refusal(self, answer: httpx.Response) -> str:
        """Say what an answer means that is no success."""
        status = f"HTTP {answer.status_code}"
        if answer.is_redirect:
            there = urlsplit(answer.headers.get("location", ""))
            host = f" to {there.scheme}://{there.netloc.rpartition('@')[2]}" if there.netloc else ""
            return f"{status}, a redirect{host}, which is not followed: give the address behind it as url"
        if answer.status_code in {httpx.codes.UNAUTHORIZED, httpx.codes.FORBIDDEN}:
            return f"{status}: {self._credentials_hint()}"
        content = b""
        async for part in answer.aiter_bytes(_MAX_ERROR_BYTES):
            content = part
            break
        # Of a secret that is cut, a part would be left.
        said = " ".join(self._without_secret(_said(content)).split())[:_MAX_SAID]
        return f"{status}: {said}" if said.isprintable() and said else status

    def _credentials_hint(self) -> str:
        credentials = self._source.credentials
        if credentials is None:
            return "give credentials: token_file, token_env, or user with password_file or password_env"
        return f"see whether {credentials.file or credentials.variable} is still good"

    def _without_secret(self, text: str) -> str:
        """Blot out the secret that an answer repeats: as it is, or as a header has it."""
        if not self._secret:
            return text
        pair = f"{self._source.credentials.user}:{self._secret}" if self._source.credentials else ""
        for form in (b64encode(pair.encode()).decode(), self._secret):
            text = text.replace(form, "…")
        return text


def _cause(error: BaseException) -> str:
    """Say why there is no answer: as the system has it where it refuses all connections."""
    deepest = error
    while (deeper := deepest.__cause__ or deepest.__context__) is not None:
        deepest = deeper
    if isinstance(deepest, ConnectionRefusedError):
        return "Connection refused"
    return str(error) or type(error).__name__


def _said(content: bytes) -> str:
    """Return what an answer says is wrong: in JSON, or as it is."""
    text = content.decode(errors="replace")
    try:
        document = json.loads(text)
    except (ValueError, RecursionError):
        return text
    words = document.get("error") or document.get("message") if isinstance(document, dict) else None
    return words if isinstance(words, str) else text


def _tls(source: Source) -> ssl.SSLContext:
    """Trust the authorities of ``ca_file``, or those of the system."""
    if not source.url.startswith("https:"):
        # Never used, and made at once: it trusts no authority.
        return ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    try:
        context = ssl.create_default_context(cafile=source.ca_file)
        if source.client_cert is not None:
            context.load_cert_chain(source.client_cert, source.client_key)
    except (OSError, ssl.SSLError) as error:
        files = ", ".join(str(file) for file in (source.ca_file, source.client_cert) if file)
        raise PullError(f"{files}: {getattr(error, 'strerror', None) or error}") from None
    return context
