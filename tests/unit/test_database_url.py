"""How connection URLs are understood, and what is refused. No I/O but a service file."""

from pathlib import Path

import pytest

from server.postgres import DatabaseUrl, DatabaseUrlError, parse_database_url
from server.postgres.session import Session, set_up_script
from server.postgres.url import conninfo

UNDERSTOOD = {
    "postgresql://": DatabaseUrl(),
    "postgres://h": DatabaseUrl(addresses=(("h", 5432),)),
    "postgresql://h:1/d": DatabaseUrl(addresses=(("h", 1),), port=1, database="d"),
    "postgresql://h:/d": DatabaseUrl(addresses=(("h", 5432),), database="d"),
    "postgresql://:5433/d": DatabaseUrl(port=5433, database="d"),
    "postgresql:///d": DatabaseUrl(database="d"),
    "postgresql://u@h/d": DatabaseUrl(addresses=(("h", 5432),), user="u", database="d"),
    "postgresql://u:p@h": DatabaseUrl(addresses=(("h", 5432),), user="u", password="p"),
    "postgresql://u:a#b?c@h": DatabaseUrl(addresses=(("h", 5432),), user="u", password="a#b?c"),
    "postgresql://u:a+b@h": DatabaseUrl(addresses=(("h", 5432),), user="u", password="a+b"),
    "postgresql://u%40x:%2F%25@h": DatabaseUrl(addresses=(("h", 5432),), user="u@x", password="/%"),
    "postgresql://u@h1:1,h2:2/d": DatabaseUrl(
        addresses=(("h1", 1), ("h2", 2)), port=1, user="u", database="d"
    ),
    "postgresql://h1,h2:2/d": DatabaseUrl(addresses=(("h1", 5432), ("h2", 2)), database="d"),
    "postgresql://[::1]:1,[fe80::1%25lo]/d": DatabaseUrl(
        addresses=(("::1", 1), ("fe80::1%lo", 5432)), port=1, database="d"
    ),
    "postgresql://%2Frun%2Fpg:1/d": DatabaseUrl(addresses=(("/run/pg", 1),), port=1, database="d"),
    "postgresql:///d?host=/run/pg&port=1": DatabaseUrl(addresses=(("/run/pg", 1),), port=1, database="d"),
    "postgresql://h/d?host=other": DatabaseUrl(addresses=(("other", 5432),), database="d"),
    "postgresql:///d?host=a,b&port=7": DatabaseUrl(addresses=(("a", 7), ("b", 7)), port=7, database="d"),
    "postgresql://h?user=u&password=p&dbname=d": DatabaseUrl(
        addresses=(("h", 5432),), user="u", password="p", database="d"
    ),
    "postgresql+asyncpg://u@h/d": DatabaseUrl(addresses=(("h", 5432),), user="u", database="d"),
    "postgresql+psycopg://h/d?ssl=require": DatabaseUrl(
        addresses=(("h", 5432),), database="d", tls="postgresql:?sslmode=require"
    ),
    "postgresql://?ssl=true": DatabaseUrl(tls="postgresql:?sslmode=require"),
    "postgresql://h?hostaddr=": DatabaseUrl(addresses=(("h", 5432),)),
    "postgresql://?hostaddr=127.0.0.1": DatabaseUrl(addresses=(("127.0.0.1", 5432),)),
    "postgresql://?connect_timeout=1": DatabaseUrl(connect_timeout=2.0),
    "postgresql://?connect_timeout=0": DatabaseUrl(),
    "postgresql://?application_name=shop&fallback_application_name=x": DatabaseUrl(
        application_name="shop", ignored=("fallback_application_name",)
    ),
    "postgresql://?target_session_attrs=read-write&load_balance_hosts=random": DatabaseUrl(
        target_session_attrs="read-write", shuffled=True
    ),
    "postgresql://?keepalives=1&keepalives_idle=9&tcp_user_timeout=1": DatabaseUrl(
        ignored=("keepalives", "keepalives_idle", "tcp_user_timeout")
    ),
    "postgresql://?client_encoding=UTF8&channel_binding=prefer&gssencmode=disable": DatabaseUrl(),
    "postgresql://?passfile=/x&krbsrvname=k": DatabaseUrl(passfile="/x", krbsrvname="k"),
    "postgresql://?options=-c%20a%3Db%20--work-mem%3D1%5C%20MB%20-cc%3Dd": DatabaseUrl(
        options=(("a", "b"), ("work_mem", "1 MB"), ("c", "d"))
    ),
}
REFUSED = {
    "": "not a URL of PostgreSQL",
    "host=h dbname=d": "not a URL of PostgreSQL",
    "mysql://u:hunter2@h/d": "not a URL of PostgreSQL",
    "u:hunter2@h": "not a URL of PostgreSQL",
    "postgresql://u:hunter2@h:port/d": "a port is not a number from 1 to 65535",
    "postgresql://u:hunter2@h:0/d": "a port is not",
    "postgresql://u:hunter2@h:65536/d": "a port is not",
    "postgresql://u:hunter2@[::1/d": "a host is malformed",
    "postgresql://u:hunter2@[]/d": "a host is malformed",
    "postgresql://u:hunter2/x@h": "'/' in a password as %2F",
    "postgresql://u:1/a?hunter2@h": "the name of a parameter is malformed",
    "postgresql://u:hunter2@h,/d": "host 2 of 2 is empty",
    "postgresql://u:hunter2%@h/d": "the password holds a '%' that begins no escape",
    "postgresql://u:hunter2%00@h/d": "the password holds %00",
    "postgresql://u:hunter2%ff@h/d": "the password is not UTF-8",
    "postgresql://h?password=hunter2&sslmode": "'sslmode' is not written NAME=VALUE",
    "postgresql://h?password=hunter2=": "'password' is not written NAME=VALUE",
    "postgresql://?host=a:1&host=b:2": "'host' is there twice",
    "postgresql://?host=a,b&port=1,2,3": "3 ports do not go with 2 hosts",
    "postgresql://?host=h&hostaddr=::1": "host and hostaddr are both there",
    "postgresql://?host=%40abstract": "abstract Unix socket",
    "postgresql://h?jit=off": (
        "the parameter 'jit' is not known: leave it out; "
        "a setting of the server is written options=-c%20jit%3DVALUE"
    ),
    "postgresql://h?pgbouncer=true": "the parameter 'pgbouncer' is not known",
    "postgresql://h?sslmode=on": "it may be disable, allow,",
    "postgresql://h?sslrootcert=/no/such": "can't be read (No such file or directory)",
    "postgresql://h?sslrootcert=system": "name its file",
    "postgresql://h?target_session_attrs=master": "it may be any, primary",
    "postgresql://h?connect_timeout=soon": "connect_timeout=soon is no number",
    "postgresql://h?channel_binding=require": "the driver can't bind channels",
    "postgresql://h?gssencmode=require": "use sslmode",
    "postgresql://h?require_auth=scram-sha-256": "pg_hba.conf",
    "postgresql://h?requirepeer=postgres": "can't be honoured",
    "postgresql://h?client_encoding=LATIN1": "depgraph speaks UTF8",
    "postgresql://h?replication=database": "depgraph runs queries",
    "postgresql://h?options=-e": "'-e' in options is no setting",
    "postgresql://h?options=-c%20work_mem": "'work_mem' in options is no setting",
    "postgresql://h?service=nowhere": "the service 'nowhere' is in no service file",
}


@pytest.fixture(autouse=True)
def no_environment(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for name in ("PGPORT", "PGSERVICE", "PGSYSCONFDIR"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("PGSERVICEFILE", str(tmp_path / "services"))
    parse_database_url.cache_clear()


@pytest.mark.parametrize(("url", "meant"), UNDERSTOOD.items(), ids=UNDERSTOOD.keys())
def test_a_url_means_the_same_as_to_libpq(url: str, meant: DatabaseUrl) -> None:
    assert parse_database_url(url) == meant


@pytest.mark.parametrize(("url", "reason"), REFUSED.items(), ids=REFUSED.keys())
def test_an_unsupported_url_is_refused_with_the_reason_and_without_the_password(
    url: str, reason: str
) -> None:
    with pytest.raises(DatabaseUrlError) as refusal:
        parse_database_url(url)
    assert reason in str(refusal.value)
    assert "hunter2" not in str(refusal.value)


def test_the_repr_of_a_url_hides_the_password() -> None:
    assert "hunter2" not in repr(parse_database_url("postgresql://u:hunter2@h?sslpassword=hunter2"))


def test_readable_certificates_are_passed_to_the_driver(tmp_path: Path) -> None:
    certificate = tmp_path / "root certificate.crt"
    certificate.touch()
    meant = parse_database_url(f"postgresql://h?sslmode=verify-full&sslrootcert={certificate}")
    assert meant.tls is not None
    assert meant.tls.startswith("postgresql:?sslmode=verify-full&sslrootcert=")
    assert "root%20certificate.crt" in meant.tls


def test_a_service_adds_parameters_that_the_url_lacks(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "services").write_text("# ours\n[shop]\nhost=h\nport=7\nuser=u\npassword=50%off\ndbname=d\n")
    expected = DatabaseUrl(addresses=(("h", 7),), port=7, user="other", password="50%off", database="d")
    assert parse_database_url("postgresql://?service=shop&user=other") == expected
    monkeypatch.setenv("PGSERVICE", "shop")
    assert parse_database_url("postgresql://other@") == expected


def test_option_values_are_quoted_and_session_settings_win() -> None:
    script = set_up_script(Session(settings={"jit": "off"}), [("a.b", "it's \\ quoted"), ("JIT", "on")])
    assert "set_config(E'a.b', E'it''s \\\\ quoted', false)" in script
    assert "(E'jit', E'off')" in script
    assert "E'on', false" not in script


def test_programs_of_postgresql_get_what_a_service_says_and_not_its_file(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.delenv("PGSERVICE", raising=False)
    file = tmp_path / "services"
    file.write_text("[shop]\nhost=h\npassword=hunter2\ndbname=d\n")
    where, password = conninfo(f"postgresql://u@/?service=shop&servicefile={file}")
    assert sorted(where.split()) == ["dbname='d'", "host='h'", "user='u'"]
    assert password == "hunter2"
