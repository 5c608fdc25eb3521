"""TLS of the HTTP port, with what the files hold at each handshake."""

import ssl
from typing import TYPE_CHECKING, Any

import structlog

if TYPE_CHECKING:
    from server.access.certificates import TlsFiles

log = structlog.get_logger(__name__)


class TlsContexts:
    """Makes the context of a handshake: TLS 1.2 or later, HTTP/1.1; raises ``OSError``."""

    def __init__(self, files: "TlsFiles") -> None:
        self._files = files
        self._made_of: tuple[Any, Any] = self._contents
        self._context = self._make()

    @property
    def _contents(self) -> tuple[Any, Any]:
        return self._files.pair, self._files.client_ca

    def current(self) -> ssl.SSLContext:
        """Return the context for the files as they are now."""
        self._files.look()
        contents = self._contents
        if any(now is not before for now, before in zip(contents, self._made_of, strict=True)):
            try:
                self._context = self._make()
                self._made_of = contents
            # OpenSSL reads them by itself: they may have changed once more, and not fit together.
            except (OSError, ValueError) as error:
                log.warning("changed files of TLS can't be used yet", reason=str(error))
        return self._context

    def _make(self) -> ssl.SSLContext:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.minimum_version = ssl.TLSVersion.TLSv1_2
        context.set_alpn_protocols(["http/1.1"])
        context.load_cert_chain(*self._files.paths)
        if (authorities := self._files.client_ca) is not None:
            context.load_verify_locations(cadata=authorities.decode("latin-1"))
            context.verify_mode = ssl.CERT_REQUIRED
        return context
