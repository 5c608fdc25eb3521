"""The password file, read as libpq reads it."""

from pathlib import Path

import pytest

from server.postgres.parameters import password_from_file

FILE = r"""
# db:5432:graph:ana:a comment
db:5432:graph:ana:first
db:5432:graph:ana:second
db:*:graph:*: with blanks and: colons 
/run/my\:sockets:5432:*:ana:by path
localhost:5432:*:ben:by socket
*:6432:*:ana:b\:c\\d
"""  # noqa: W291 - blanks belong to the password


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "passwords"
    path.write_text(FILE)
    path.chmod(0o600)
    return path


@pytest.mark.parametrize(
    ("host", "port", "user", "password"),
    [
        ("db", 5432, "ana", "first"),
        ("db", 1, "ben", " with blanks and: colons "),
        ("/run/my:sockets", 5432, "ana", "by path"),
        ("/run/others", 5432, "ben", "by socket"),
        ("anywhere", 6432, "ana", "b:c\\d"),
        ("anywhere", 5432, "ana", None),
        ("db", 5432, "a", " with blanks and: colons "),
    ],
)
def test_the_first_matching_line_gives_the_password(
    file: Path, host: str, port: int, user: str, password: str | None
) -> None:
    assert password_from_file(str(file), host=host, port=port, database="graph", user=user) == password


def test_the_file_is_the_named_one_or_that_of_the_environment_or_of_the_home_folder(
    file: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    def found(named: str | None) -> str | None:
        return password_from_file(named, host="db", port=5432, database="graph", user="ana")

    monkeypatch.delenv("PGPASSFILE", raising=False)
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    assert found(None) is None
    monkeypatch.setenv("PGPASSFILE", str(file))
    assert found(None) == "first"
    assert found(str(tmp_path / "missing")) is None
    monkeypatch.setenv("PGPASSFILE", str(tmp_path / "missing"))
    (tmp_path / "home").mkdir()
    file.rename(tmp_path / "home" / ".pgpass")
    assert found(None) is None
    monkeypatch.delenv("PGPASSFILE")
    assert found(None) == "first"


def test_a_file_that_others_can_read_is_not_used(file: Path) -> None:
    file.chmod(0o640)
    assert password_from_file(str(file), host="db", port=5432, database="graph", user="ana") is None
