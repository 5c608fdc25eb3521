"""Requests of a pull: credentials, bounds, and errors without secrets."""

import base64
import ssl
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import pytest
import trustme

from server.sources.http import Http
from server.sources.pulls import pull
from server.sources.source import Credentials, PullError, Source
from tests.support.replay import Answer, Replay, replaying
from tests.support.sources import source

SECRET = "s3cr3t-t0ken"


@pytest.fixture
def replay() -> Iterator[Replay]:
    with replaying() as running:
        running.answers["/page"] = Answer(b"content")
        yield running


async def ask(wanted: Source, path: str = "/page", max_bytes: int = 1_000) -> bytes:
    async with Http.opened(wanted, max_bytes) as http:
        return await http.get(path, {"one": "1"})


async def failure(wanted: Source, path: str = "/page", max_bytes: int = 1_000) -> str:
    with pytest.raises(PullError) as error:
        await ask(wanted, path, max_bytes)
    assert SECRET not in str(error.value)
    return str(error.value).removeprefix(f"{wanted.url}{path}: ")


async def test_a_request_has_its_query_and_headers(replay: Replay) -> None:
    assert await ask(source(replay.url, headers={"X-Scope-OrgID": "shop"})) == b"content"
    (asked,) = replay.asked
    assert asked.query == {"one": "1"}
    assert asked.headers["x-scope-orgid"] == "shop"
    assert "authorization" not in asked.headers


async def test_a_token_of_a_file_is_read_at_each_pull(replay: Replay, tmp_path: Path) -> None:
    file = tmp_path / "token"
    for text in ("one\n", "two\n"):
        file.write_text(text)
        await ask(source(replay.url, credentials=Credentials(file=file)))
    assert [each.headers["authorization"] for each in replay.asked] == ["Bearer one", "Bearer two"]


async def test_a_password_of_a_variable_is_sent_with_its_user(
    replay: Replay, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PASSWORD", SECRET)
    await ask(source(replay.url, credentials=Credentials(user="me", variable="PASSWORD")))
    scheme, content = replay.asked[0].headers["authorization"].split()
    assert (scheme, base64.b64decode(content).decode()) == ("Basic", f"me:{SECRET}")


@pytest.mark.parametrize("content", [b"", b"\n", b"a\nb", "\xfc".encode(), b"\xff"])
async def test_a_secret_that_can_not_be_used_is_not_sent(
    replay: Replay, tmp_path: Path, content: bytes
) -> None:
    (tmp_path / "token").write_bytes(content)
    with pytest.raises(PullError, match=str(tmp_path / "token")):
        await ask(source(replay.url, credentials=Credentials(file=tmp_path / "token")))
    assert not replay.asked


async def test_a_variable_that_is_not_set_is_named(replay: Replay) -> None:
    with pytest.raises(PullError, match="the variable NOT_SET_ANYWHERE is empty"):
        await ask(source(replay.url, credentials=Credentials(variable="NOT_SET_ANYWHERE")))


@pytest.mark.parametrize("status", [401, 403])
async def test_refused_credentials_are_named_without_the_secret(
    replay: Replay, tmp_path: Path, status: int
) -> None:
    (tmp_path / "token").write_text(SECRET)
    replay.answers["/page"] = lambda asked: Answer(asked.headers["authorization"].encode(), status)
    wanted = source(replay.url, credentials=Credentials(file=tmp_path / "token"))
    assert await failure(wanted) == f"HTTP {status}: see whether {tmp_path / 'token'} is still good"
    replay.answers["/page"] = Answer(b"", status)
    assert (await failure(source(replay.url))).startswith(f"HTTP {status}: give credentials: token_file")


async def test_what_a_server_says_is_shown_without_the_secret(replay: Replay, tmp_path: Path) -> None:
    (tmp_path / "token").write_text(SECRET)
    wanted = source(replay.url, credentials=Credentials(file=tmp_path / "token"))
    replay.answers["/page"] = lambda asked: Answer(asked.headers["authorization"].encode(), 500)
    assert await failure(wanted) == "HTTP 500: Bearer …"
    replay.answers["/page"] = Answer({"status": "error", "error": "query timed\nout"}, 503)
    assert await failure(wanted) == "HTTP 503: query timed out"


async def test_no_part_of_a_secret_is_left_where_an_answer_is_cut(replay: Replay, tmp_path: Path) -> None:
    (tmp_path / "token").write_text(SECRET)
    wanted = source(replay.url, credentials=Credentials(file=tmp_path / "token"))
    body = b"x" * (200 - len("Bearer ") - len(SECRET) // 2)
    replay.answers["/page"] = lambda asked: Answer(body + asked.headers["authorization"].encode(), 500)
    assert SECRET[:4] not in await failure(wanted)


async def test_a_password_that_an_answer_repeats_is_not_shown(replay: Replay, tmp_path: Path) -> None:
    (tmp_path / "password").write_text(SECRET)
    wanted = source(replay.url, credentials=Credentials(user="ann", file=tmp_path / "password"))
    replay.answers["/page"] = lambda asked: Answer(asked.headers["authorization"].encode(), 500)
    assert await failure(wanted) == "HTTP 500: Basic …"


async def test_a_secret_in_an_answer_that_can_not_be_used_is_not_shown(
    replay: Replay, tmp_path: Path
) -> None:
    (tmp_path / "token").write_text(SECRET)
    wanted = source(replay.url, credentials=Credentials(file=tmp_path / "token"))
    replay.answers["/api/v1/query"] = Answer({"status": "error", "error": f"bad token {SECRET}"})
    with pytest.raises(PullError, match="bad token …"):
        await pull(wanted)


async def test_a_redirect_is_not_followed(replay: Replay) -> None:
    with replaying() as other:
        replay.answers["/page"] = Answer(status=302, headers={"location": f"{other.url}/page?token=x"})
        said = await failure(source(replay.url))
        assert said.startswith(f"HTTP 302, a redirect to {other.url}, which is not followed")
        assert not other.asked


async def test_an_address_where_nothing_listens_is_named() -> None:
    with replaying() as gone:
        pass
    assert await failure(source(gone.url)) == "Connection refused"


async def test_what_is_for_this_host_goes_to_no_proxy(
    replay: Replay, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "token").write_text(SECRET)
    with replaying() as proxy:
        monkeypatch.setenv("HTTP_PROXY", proxy.url)
        monkeypatch.setenv("NO_PROXY", "")
        await ask(source(replay.url, credentials=Credentials(file=tmp_path / "token")))
        assert not proxy.asked


async def test_a_slow_answer_ends_with_the_timeout(replay: Replay) -> None:
    replay.answers["/page"] = Answer(slow=True)
    wanted = source(replay.url, timeout=timedelta(milliseconds=50))
    assert await failure(wanted) in {"no whole answer within 0.05 s", "ReadTimeout"}


async def test_an_answer_that_is_cut_off_fails(replay: Replay) -> None:
    replay.answers["/page"] = Answer(b"x" * 1_000, cut=True)
    assert "peer closed connection" in await failure(source(replay.url))


async def test_an_answer_that_is_too_large_is_not_read(replay: Replay) -> None:
    replay.answers["/page"] = Answer(b"x" * 1_001)
    assert await failure(source(replay.url)) == "the answers take more than 1,000 bytes"


async def test_the_bound_holds_for_all_answers_of_a_pull(replay: Replay) -> None:
    replay.answers["/page"] = Answer(b"x" * 600)
    async with Http.opened(source(replay.url), 1_000) as http:
        await http.get("/page", {})
        with pytest.raises(PullError, match="more than 1,000 bytes"):
            await http.get("/page", {})


async def test_a_file_of_authorities_that_is_none_is_named(tmp_path: Path) -> None:
    (tmp_path / "ca.pem").write_text("no certificate")
    with pytest.raises(PullError, match=r"ca\.pem"):
        await ask(source("https://127.0.0.1:1", ca_file=tmp_path / "ca.pem"))


async def test_a_server_is_trusted_by_the_file_of_authorities(tmp_path: Path) -> None:
    authority, other = trustme.CA(), trustme.CA()
    authority.cert_pem.write_to_path(str(tmp_path / "ca.pem"))
    other.cert_pem.write_to_path(str(tmp_path / "other.pem"))
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("127.0.0.1").configure_cert(context)
    with replaying(context) as replay:
        replay.answers["/page"] = lambda _: Answer(b"content")
        assert await ask(source(replay.url, ca_file=tmp_path / "ca.pem")) == b"content"
        assert "CERTIFICATE_VERIFY_FAILED" in await failure(
            source(replay.url, ca_file=tmp_path / "other.pem")
        )


async def test_a_client_shows_its_certificate(tmp_path: Path) -> None:
    authority = trustme.CA()
    authority.cert_pem.write_to_path(str(tmp_path / "ca.pem"))
    own = authority.issue_cert("depgraph.example")
    own.cert_chain_pems[0].write_to_path(str(tmp_path / "cert.pem"))
    own.private_key_pem.write_to_path(str(tmp_path / "key.pem"))
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.verify_mode = ssl.CERT_REQUIRED
    authority.configure_trust(context)
    authority.issue_cert("127.0.0.1").configure_cert(context)
    with replaying(context) as replay:
        replay.answers["/page"] = Answer(b"content")
        trusted = source(replay.url, ca_file=tmp_path / "ca.pem")
        shown = source(
            replay.url,
            ca_file=tmp_path / "ca.pem",
            client_cert=tmp_path / "cert.pem",
            client_key=tmp_path / "key.pem",
        )
        assert await ask(shown) == b"content"
        await failure(trusted)
