import asyncio
import subprocess
import sys
import threading
from datetime import timedelta
from pathlib import Path
from time import time
from typing import Any

import pytest
from structlog.testing import capture_logs

from server.access import identification
from server.access.grants import UnknownKeyError
from server.access.identification import Identification
from server.access.reloading import UnusableFileError
from server.domain.caller import ANYONE
from server.domain.errors import UnauthenticatedError
from server.rpc.callers import TrustedProxies
from tests.support.certificates import Authority, replace
from tests.support.eventually import eventually
from tests.support.issuer import (
    auth_file,
    ec_key,
    grant,
    issuer_table,
    jwks,
    static_token,
    subject,
    token,
)
from tests.support.publisher import published

JWKS = issuer_table('jwks_file = "jwks.json"')


def known(folder: Path, *tables: str) -> Identification:
    return Identification(auth_file(folder, *tables))


def test_without_an_auth_file_a_certificate_gives_a_name_to_an_admin() -> None:
    everybody = Identification()
    caller = everybody.by_certificate(Authority().issue("shop.example").chain)
    assert (caller.principal, caller.is_admin, caller.expires_at) == ("shop.example", True, None)
    assert everybody.by_forwarded("URI=spiffe://example.org/a").principal == "spiffe://example.org/a"
    # Names are of no other use there.
    assert everybody.by_forwarded("Hash=1") == everybody.without_credential() == ANYONE


def test_with_an_auth_file_a_certificate_has_what_is_granted_to_it(tmp_path: Path) -> None:
    callers = known(tmp_path, grant('dns_name = "shop.example"', "reader"))
    authority = Authority()
    assert callers.by_certificate(authority.issue("shop.example").chain).roles == frozenset({"reader"})
    assert callers.by_certificate(authority.issue("other.example").chain).roles == frozenset()
    assert callers.by_forwarded("DNS=shop.example").roles == frozenset({"reader"})
    with pytest.raises(UnauthenticatedError):
        callers.by_forwarded("Hash=1")
    with pytest.raises(UnauthenticatedError, match="carries no credential"):
        callers.without_credential()


def test_a_certificate_that_expired_on_its_connection_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    callers = known(tmp_path, grant('dns_name = "shop.example"', "reader"))
    chain = Authority().issue("shop.example", valid=timedelta(hours=1)).chain
    assert callers.by_certificate(chain).principal == "shop.example"
    later = time() + 3_601
    monkeypatch.setattr("server.access.identification.time.time", lambda: later)
    with pytest.raises(UnauthenticatedError, match="has expired"):
        callers.by_certificate(chain)


def test_a_token_is_refused_from_the_moment_it_expires(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    callers = known(tmp_path, JWKS, grant(subject("alice"), "reader"))
    now = time()
    header = f"Bearer {token(exp=int(now) + 60)}"
    caller = callers.by_authorization(header)
    # It is remembered.
    assert callers.by_authorization(header) is caller
    monkeypatch.setattr("server.access.identification.time.time", lambda: now + 91)
    with pytest.raises(UnauthenticatedError, match="has expired"):
        callers.by_authorization(header)


def test_a_token_that_is_too_long_is_not_even_parsed(tmp_path: Path) -> None:
    callers = known(tmp_path, JWKS)
    for text in (token(filler="x" * 20_000), "ü"):
        with pytest.raises(UnauthenticatedError, match="no ASCII text of at most 16 KiB"):
            callers.by_authorization(f"Bearer {text}")


def test_an_end_beyond_all_numbers_is_an_end(tmp_path: Path) -> None:
    callers = known(tmp_path, JWKS)
    assert callers.by_authorization(f"Bearer {token(exp=10**400)}").principal == "alice"
    with pytest.raises(UnauthenticatedError):
        callers.by_authorization(f"Bearer {token(exp=float('inf'))}")


def test_another_claim_may_name_the_principal(tmp_path: Path) -> None:
    table = JWKS + 'principal_claim = "email"\n'
    callers = known(tmp_path, table, grant(subject("alice@example.org"), "reader"))
    caller = callers.by_authorization(f"Bearer {token(email='alice@example.org')}")
    assert (caller.principal, caller.roles) == ("alice@example.org", frozenset({"reader"}))
    for claims in ({}, {"email": 1}, {"email": ""}, {"email": "a" * 256}):
        with pytest.raises(UnauthenticatedError, match="'email' is no usable name"):
            callers.by_authorization(f"Bearer {token(**claims)}")


def test_callers_that_are_remembered_are_bounded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(identification, "_MAX_KNOWN", 2)
    callers = known(tmp_path, JWKS)
    texts = [f"Bearer {token(sub=name)}" for name in "abc"]
    first, second, third = map(callers.by_authorization, texts)
    assert callers.by_authorization(texts[2]) is third
    assert callers.by_authorization(texts[1]) is second
    assert callers.by_authorization(texts[0]) is not first
    # Of those left, it was the one used longest ago that went.
    assert callers.by_authorization(texts[1]) is second


async def test_an_unknown_key_is_known_once_its_issuer_was_asked(tmp_path: Path) -> None:
    callers = known(tmp_path, JWKS)
    header = f"Bearer {token(ec_key(), '2', 'ES256')}"
    with pytest.raises(UnknownKeyError) as caught:
        callers.by_authorization(header)
    replace(tmp_path / "jwks.json", jwks({"2": ec_key()}))
    await asyncio.gather(*(callers.renew(caught.value.keys) for _ in range(3)))
    assert callers.by_authorization(header).principal == "alice"


async def test_keys_that_are_broken_keep_the_old_and_are_a_problem(tmp_path: Path) -> None:
    callers = known(tmp_path, JWKS)
    with pytest.raises(UnknownKeyError) as caught:
        callers.by_authorization(f"Bearer {token(kid='2')}")
    replace(tmp_path / "jwks.json", b"{}")
    await callers.renew(caught.value.keys)
    assert callers.by_authorization(f"Bearer {token()}").principal == "alice"
    [problem] = callers.problems()
    assert "jwks.json" in problem


async def test_keys_at_a_url_are_fetched_and_stay_while_the_file_changes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(identification, "LOOK_EVERY", timedelta(milliseconds=5))
    looks = 0

    async def looked() -> None:
        nonlocal looks
        looks += 1

    with published() as publisher:
        url = issuer_table(f'jwks_url = "{publisher.url}"')
        callers = known(tmp_path, url)
        header = f"Bearer {token()}"
        # A call need not wait for the next look.
        with pytest.raises(UnknownKeyError) as caught:
            callers.by_authorization(header)
        await callers.renew(caught.value.keys)
        assert callers.by_authorization(header).roles == frozenset()
        following = asyncio.create_task(callers.follow(looked))
        replace(tmp_path / "auth.toml", f"{url}{grant(subject('alice'), 'reader')}".encode())
        await eventually(lambda: bool(callers.by_authorization(header).roles))
        assert publisher.asked == 1
    seen = looks
    await eventually(lambda: looks > seen)
    following.cancel()
    assert callers.problems() == ()


async def test_keys_at_a_url_that_does_not_answer_keep_nobody_else_out(tmp_path: Path) -> None:
    with published() as publisher:
        url = publisher.url
    callers = known(tmp_path, issuer_table(f'jwks_url = "{url}"'), static_token("ci", "reader"))
    assert callers.by_authorization("Bearer ci").principal == "ci"
    for _ in range(2):
        with pytest.raises(UnknownKeyError) as caught:
            callers.by_authorization(f"Bearer {token()}")
        await callers.renew(caught.value.keys)
    assert url in callers.problems()[0]


async def test_callers_of_an_issuer_whose_keys_move_to_another_url_stay_known(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(identification, "LOOK_EVERY", timedelta(milliseconds=5))
    header, seen = f"Bearer {token()}", list[str]()

    async def looked() -> None:
        # As for open streams.
        seen.append(callers.by_authorization(header).principal)

    with published() as first, published() as second:
        callers = known(tmp_path, issuer_table(f'jwks_url = "{first.url}"'))
        with pytest.raises(UnknownKeyError) as caught:
            callers.by_authorization(header)
        await callers.renew(caught.value.keys)
        following = asyncio.create_task(callers.follow(looked))
        await eventually(lambda: bool(seen))
        with capture_logs() as lines:
            replace(tmp_path / "auth.toml", issuer_table(f'jwks_url = "{second.url}"').encode())
            await eventually(lambda: second.asked == 1)
            before = len(seen)
            await eventually(lambda: len(seen) > before)
    following.cancel()
    events = [line["event"] for line in lines]
    assert "read changed files" in events
    assert "a look at the auth file failed" not in events


class SlowKeys:
    """Keys that are looked for until the test lets the look end."""

    def __init__(self) -> None:
        self.value, self.problem, self.may_end = dict[str, Any](), "", threading.Event()

    def look(self) -> None:
        self.may_end.wait()


async def test_few_calls_wait_for_keys_that_take_their_time_and_not_for_long(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    callers, keys = known(tmp_path), SlowKeys()
    monkeypatch.setattr(identification, "_MOST_WAITING", 2)
    waiting = [asyncio.create_task(callers.renew(keys)) for _ in range(2)]
    await asyncio.sleep(0)
    await callers.renew(keys)
    assert not any(task.done() for task in waiting)
    keys.may_end.set()
    await asyncio.gather(*waiting)
    keys.may_end.clear()
    monkeypatch.setattr(identification, "_LONGEST_WAIT_SECONDS", 0)
    await callers.renew(keys)
    keys.may_end.set()


def test_a_server_without_tls_and_auth_file_imports_no_cryptography() -> None:
    program = (
        "import sys, server.app, server.access.identification as i; i.Identification(); "
        "print({name.partition('.')[0] for name in sys.modules} & {'cryptography', 'jwt'})"
    )
    finished = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert finished.stdout == "set()\n"


def test_what_is_remembered_of_one_kind_of_credential_is_no_other_kind(tmp_path: Path) -> None:
    header = "URI=spiffe://example.org/admin"
    chain = Authority().issue("shop.example").chain
    callers = known(tmp_path, JWKS, grant('spiffe_id = "spiffe://example.org/admin"', "admin"))
    assert callers.by_forwarded(header).is_admin
    assert callers.by_certificate(chain).principal == "shop.example"
    for text in (header, chain.decode()):
        with pytest.raises(UnauthenticatedError):
            callers.by_authorization(f"Bearer {text}")
    with pytest.raises(UnauthenticatedError):
        callers.by_forwarded(chain.decode())


def test_keys_that_are_broken_at_the_start_name_their_file(tmp_path: Path) -> None:
    path = auth_file(tmp_path, JWKS)
    (tmp_path / "jwks.json").write_text("{}")
    with pytest.raises(UnusableFileError, match=r"auth\.toml: jwks_file .*jwks\.json: this is no JWKS"):
        Identification(path)
    with pytest.raises(UnusableFileError, match=r"--auth-file .*missing"):
        Identification(tmp_path / "missing")


def test_an_auth_file_without_jwts_refuses_them(tmp_path: Path) -> None:
    callers = known(tmp_path, static_token("ci", "reader"))
    with pytest.raises(UnauthenticatedError, match="the token is not known"):
        callers.by_authorization(f"Bearer {token()}")


@pytest.mark.parametrize(
    ("trusted", "peer", "included"),
    [
        ("127.0.0.1", "ipv4:127.0.0.1:41000", True),
        ("127.0.0.1", "ipv4:127.0.0.2:41000", False),
        ("127.0.0.1", "ipv6:[::ffff:127.0.0.1]:41000", True),
        ("127.0.0.1", "ipv6:%5B::ffff:127.0.0.1%5D:41000", True),
        ("10.1.0.0/16", "ipv4:10.1.2.3:1", True),
        ("10.1.0.0/16", "ipv4:10.2.0.1:1", False),
        ("::1", "ipv6:[::1]:1", True),
        ("::1", "ipv6:%5B::1%5D:1", True),
        ("fe80::/10", "ipv6:[fe80::1%25eth0]:1", True),
        ("::1", "ipv4:127.0.0.1:1", False),
        ("unix", "unix:", True),
        ("unix", "unix:7", True),
        ("unix", "ipv4:127.0.0.1:1", False),
        ("127.0.0.1", "unix:127.0.0.1:1", False),
        ("127.0.0.1", "", False),
        ("127.0.0.1", "127.0.0.1:1", False),
        ("127.0.0.1", "ipv4:localhost:1", False),
    ],
)
def test_peers_that_are_trusted_proxies(trusted: str, peer: str, included: bool) -> None:
    assert TrustedProxies([trusted]).include(peer) is included
    assert not TrustedProxies([]).include(peer)


@pytest.mark.parametrize("text", ["", "localhost", "10.0.0.1/8", "0.0.0.0/0", "::/0", "Unix", "unix:/a"])
def test_what_is_no_proxy_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"no address|every address"):
        TrustedProxies([text])
