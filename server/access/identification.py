"""Who calls: from a credential to a caller, as the auth file says at the time."""

import asyncio
import contextlib
import threading
import time
from collections import OrderedDict
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from hashlib import sha256
from operator import is_not
from pathlib import Path
from typing import Final, TypeAlias, TypeVar

import structlog

from server.access.auth_file import read_auth_file, warnings_about
from server.access.grants import AuthFile, Identity, Issuer, KeySource, refuse_expired
from server.access.names import certificate_identity, forwarded_identity
from server.access.reloading import LOOK_EVERY, NamedFile, Reloaded
from server.domain.caller import ANYONE, Caller
from server.domain.errors import UnauthenticatedError

log = structlog.get_logger(__name__)

_T = TypeVar("_T")
_Credential: TypeAlias = tuple[bytes, bytes]

FLAG: Final = "--auth-file"
_BEARER = "bearer "
_MAX_TOKEN_LENGTH = 16 * 1024
_MAX_KNOWN = 10_000
# Calls that wait for keys, and for how long: some more than it takes to fetch them.
_MOST_WAITING, _LONGEST_WAIT_SECONDS = 100, 6.0


@dataclass(frozen=True, slots=True)
class _Version:
    """A version of the auth file, and where the keys of its issuers come from."""

    file: AuthFile
    keys: Mapping[str, KeySource] = field(default_factory=dict)


class _KnownCallers:
    """The callers of the credentials that were used last, by kind and SHA-256 of each."""

    def __init__(self) -> None:
        self._callers: OrderedDict[_Credential, Caller] = OrderedDict()

    def get(self, credential: _Credential) -> Caller | None:
        """Look a caller up; raises ``UnauthenticatedError`` if its credential has expired."""
        caller = self._callers.get(credential)
        if caller is not None:
            refuse_expired(caller, time.time())
            self._callers.move_to_end(credential)
        return caller

    def add(self, credential: _Credential, caller: Caller) -> Caller:
        """Keep a caller; raises ``UnauthenticatedError`` if its credential has expired."""
        refuse_expired(caller, time.time())
        self._callers[credential] = caller
        if len(self._callers) > _MAX_KNOWN:
            self._callers.popitem(last=False)
        return caller


class Identification:
    """
    Tells callers by their credentials; belongs to one event loop, which runs ``follow``.

    Reads the auth file and the files of keys that it names: raises ``UnusableFileError``. Keys at a
    URL are fetched by ``follow``, and by ``renew`` for a call that needs one earlier. Without an
    auth file every caller is admin, and only certificates give a name.

    A verified credential is remembered until it expires, or the file or any key changes.
    """

    def __init__(self, auth_file: Path | None = None) -> None:
        self._keys: Mapping[str, KeySource] = {}
        self._reloaded: Reloaded[_Version] | None = None
        if auth_file is not None:
            named = NamedFile(FLAG, auth_file)
            self._reloaded = Reloaded(lambda content: self._load(content, named), named)
        self._version = _Version(AuthFile())
        self._seen: Sequence[object] = ()
        self._known = _KnownCallers()
        self._looks: dict[Callable[[], None], asyncio.Task[None]] = {}
        self._waiting = 0
        self._adopt()

    @property
    def has_auth_file(self) -> bool:
        """Whether tokens are looked at, and callers without a credential are refused."""
        return self._reloaded is not None

    def by_authorization(self, header: str) -> Caller:
        """Tell the caller by a header ``authorization``; raises ``UnauthenticatedError``."""
        token = header[len(_BEARER) :].strip()
        if header[: len(_BEARER)].lower() != _BEARER or not token:
            raise UnauthenticatedError("the header authorization must be: Bearer TOKEN")
        if len(token) > _MAX_TOKEN_LENGTH or not token.isascii():
            raise UnauthenticatedError("the token is no ASCII text of at most 16 KiB")
        # Time may tell about digests here, which are of no use to guess a token.
        digest = sha256(token.encode()).digest()
        known = b"token", digest
        return self._known.get(known) or self._known.add(known, self._of_token(token, digest))

    def by_certificate(self, pem: bytes) -> Caller:
        """Tell the caller by the certificate of its connection."""
        known = b"certificate", sha256(pem).digest()
        return self._known.get(known) or self._known.add(known, self._of(certificate_identity, pem))

    def by_forwarded(self, header: str) -> Caller:
        """Tell the caller by what a trusted proxy says of its certificate."""
        known = b"forwarded", sha256(header.encode()).digest()
        return self._known.get(known) or self._known.add(known, self._of(forwarded_identity, header))

    def without_credential(self) -> Caller:
        """Tell the caller that shows nothing: anyone, or ``UnauthenticatedError``."""
        if self._reloaded is None:
            return ANYONE
        raise UnauthenticatedError(
            "the call carries no credential: send the header authorization: Bearer TOKEN, "
            "or connect with a client certificate"
        )

    async def renew(self, keys: KeySource) -> None:
        """
        Look for newer keys of an issuer; calls that wait for the same share one look.

        Returns without them if that takes long, and at once while many calls wait: anybody can send
        such calls, and each keeps its request.
        """
        # Fetched keys are not due yet; a look at a file is always real.
        task = self._looking(getattr(keys, "look_again", keys.look))
        if self._waiting >= _MOST_WAITING:
            return
        self._waiting += 1
        try:
            await asyncio.wait((task,), timeout=_LONGEST_WAIT_SECONDS)
        finally:
            self._waiting -= 1

    async def follow(self, looked: Callable[[], Awaitable[None]]) -> None:
        """Look for changes again and again, and call ``looked`` each time; runs until cancelled."""
        while True:
            try:
                await self._look()
                await looked()
            except Exception:
                # Without further looks nothing could be revoked any more.
                log.exception("a look at the auth file failed")
            await asyncio.sleep(LOOK_EVERY.total_seconds())

    def problems(self) -> tuple[str, ...]:
        """Say what is wrong with the file, its keys and its tokens, for operators."""
        if self._reloaded is None:
            return ()
        of_keys = tuple(each.problem for each in self._version.keys.values())
        return tuple(filter(None, (self._reloaded.problem, *of_keys, *self._version.file.problems())))

    def _of(self, read: Callable[[_T], Identity], credential: _T) -> Caller:
        if self._reloaded is not None:
            return self._version.file.caller(read(credential))
        try:
            return replace(ANYONE, principal=read(credential).name)
        except UnauthenticatedError:
            # The name would be of use for the log only.
            return ANYONE

    def _of_token(self, token: str, digest: bytes) -> Caller:
        file = self._version.file
        if (caller := file.token_caller(digest)) is not None:
            return caller
        if not file.issuers:
            raise UnauthenticatedError("the token is not known")
        # Imported late: most processes see no JWT.
        from server.access.jwts import jwt_identity  # noqa: PLC0415

        return file.caller(jwt_identity(token, file.issuers, self._version.keys))

    def _load(self, content: bytes, named: NamedFile) -> _Version:
        """Make a version of the file; keys that the one before has read stay."""
        file = read_auth_file(content, named)
        for warning in warnings_about(file, named):
            log.warning(warning)
        self._keys = _keys_of(file, named, self._keys)
        return _Version(file, self._keys)

    async def _look(self) -> None:
        known = set(self._version.keys)
        if self._reloaded is not None:
            await _aside(self._reloaded.look)
        self._adopt()
        # Not awaited: a web server that does not answer must not delay the next look ...
        looks = {at: self._looking(keys.look) for at, keys in self._version.keys.items()}
        # ... but the first one at a URL: streams must not end because their issuer's keys moved.
        if first := [look for at, look in looks.items() if at not in known]:
            await asyncio.wait(first, timeout=_LONGEST_WAIT_SECONDS)

    def _looking(self, look: Callable[[], None]) -> asyncio.Task[None]:
        """Begin a look, or join the same one that is in progress."""
        task = self._looks.get(look)
        if task is None:
            task = self._looks[look] = asyncio.create_task(self._look_at(look))
            task.add_done_callback(lambda _: self._looks.pop(look))
        return task

    async def _look_at(self, look: Callable[[], None]) -> None:
        await _aside(look)
        self._adopt()

    def _adopt(self) -> None:
        """Use what was read last, and forget the callers that older versions made."""
        if self._reloaded is None:
            return
        version = self._reloaded.value
        seen = (version, *(each.value for each in version.keys.values()))
        if len(seen) != len(self._seen) or any(map(is_not, seen, self._seen)):
            self._version, self._seen, self._known = version, seen, _KnownCallers()


async def _aside(work: Callable[[], None]) -> None:
    """Do work on a thread that does not keep the process from ending, whatever it waits for."""
    loop = asyncio.get_running_loop()
    done = asyncio.Event()

    def run() -> None:
        try:
            work()
        finally:
            # The loop may be closed by then.
            with contextlib.suppress(RuntimeError):
                loop.call_soon_threadsafe(done.set)

    threading.Thread(target=run, name="look", daemon=True).start()
    await done.wait()


def check_auth_file(auth_file: Path) -> None:
    """Read the auth file and the files of keys that it names; raises ``UnusableFileError``."""
    named = NamedFile(FLAG, auth_file)
    Reloaded(lambda content: _keys_of(read_auth_file(content, named), named, {}), named)


def _keys_of(file: AuthFile, named: NamedFile, known: Mapping[str, KeySource]) -> Mapping[str, KeySource]:
    """Open the keys of all issuers, but those that are ``known``; by ``Issuer.keys_at``."""
    wanted = {issuer.keys_at: issuer for issuer in file.issuers.values()}
    return {at: known.get(at) or _open_keys(issuer, named) for at, issuer in wanted.items()}


def _open_keys(issuer: Issuer, named: NamedFile) -> KeySource:
    """Read the keys of an issuer, or raise ``UnusableFileError``; at a URL there are none yet."""
    # Imported late: it takes longer than reading a file without issuers of JWTs.
    from server.access.keys import BadKeysError, FetchedKeys, Keys, read_keys  # noqa: PLC0415

    if issuer.has_url:
        return FetchedKeys(issuer.keys_at)
    file = NamedFile(f"{named}: jwks_file", Path(issuer.keys_at))

    def parse(content: bytes) -> Keys:
        try:
            return read_keys(content)
        except BadKeysError as error:
            raise file.unusable(str(error)) from None

    return Reloaded(parse, file)
