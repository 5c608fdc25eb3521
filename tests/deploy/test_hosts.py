"""What runs the server on a single host: the unit for systemd, and the file for compose."""

import json
import re
import shlex
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.support.command import ROOT
from tests.support.flags import settings_of
from tests.support.required import required_package, required_program

UNIT = ROOT / "deploy/systemd/depgraph.service"
DROP_INS = sorted(UNIT.parent.glob("*.conf"))
COMPOSE = ROOT / "deploy/compose.yaml"
PROGRAM = "/opt/depgraph/bin/depgraph"
# %S and %d of systemd: folders of states and of credentials.
FOLDERS = {"%S": "/var/lib", "%d": "/run/credentials/depgraph.service"}
# Exposure of 1.4 of 10, times ten; an unhardened unit has 9.2.
MOST_EXPOSED = 15


def lines(*files: Path) -> list[tuple[str, str]]:
    """List the settings of units in their order."""
    found = [line.partition("=") for file in files for line in file.read_text().splitlines()]
    return [(name, value) for name, equals, value in found if equals and not name.startswith("#")]


def environment(*files: Path) -> dict[str, str]:
    words = [word for name, value in lines(*files) if name == "Environment" for word in shlex.split(value)]
    text = "\n".join(words)
    for specifier, folder in FOLDERS.items():
        text = text.replace(specifier, folder)
    return dict(word.split("=", 1) for word in text.splitlines())


def command(*files: Path) -> list[str]:
    (started,) = [value for name, value in lines(*files) if name == "ExecStart"]
    program, *arguments = shlex.split(started)
    assert program == PROGRAM
    return arguments


@pytest.fixture
def unit(tmp_path: Path) -> Path:
    """The unit with all drop-ins and a program that exists here."""
    there = tmp_path / UNIT.name
    there.write_text(UNIT.read_text().replace(PROGRAM, sys.executable))
    folder = tmp_path / f"{UNIT.name}.d"
    folder.mkdir()
    for each in DROP_INS:
        shutil.copy(each, folder)
    return there


def analyzed(verb: str, *arguments: str | Path) -> subprocess.CompletedProcess[str]:
    program = required_program("systemd-analyze")
    return subprocess.run([program, verb, *arguments], capture_output=True, text=True, check=False)


def test_systemd_finds_no_fault_with_the_unit_and_its_drop_ins(unit: Path) -> None:
    finished = analyzed("verify", "--man=no", unit)
    assert (finished.returncode, finished.stdout + finished.stderr) == (0, "")


def test_systemd_finds_a_setting_that_does_not_exist(unit: Path) -> None:
    unit.write_text(unit.read_text().replace("ProtectClock=", "ProtectClocks="))
    assert "ProtectClocks" in analyzed("verify", "--man=no", unit).stderr


def test_systemd_finds_the_unit_well_protected(unit: Path) -> None:
    finished = analyzed("security", "--offline=yes", f"--threshold={MOST_EXPOSED}", "--no-pager", unit)
    assert finished.returncode == 0, finished.stdout + finished.stderr


@pytest.mark.parametrize("drop_ins", [[], *([each] for each in DROP_INS), DROP_INS], ids=len)
def test_the_server_takes_the_settings_of_the_unit(drop_ins: list[Path]) -> None:
    settings = settings_of(command(UNIT, *drop_ins), environment(UNIT, *drop_ins))
    assert settings["listen"] == "127.0.0.1:50051"
    assert settings["data_dir"] == Path("/var/lib/depgraph")


def test_credentials_that_settings_name_are_loaded() -> None:
    for each in DROP_INS:
        loaded = {value.partition(":")[0] for name, value in lines(each) if name == "LoadCredential"}
        assert set(re.findall(r"%d/(\S+)", each.read_text())) == loaded


def test_systemd_waits_longer_than_the_server_takes_to_stop() -> None:
    (patience,) = [int(value) for name, value in lines(UNIT) if name == "TimeoutStopSec"]
    assert patience > settings_of(command(UNIT), environment(UNIT))["grace"] + 2


def compose() -> dict[str, Any]:
    found: dict[str, Any] = required_package("yaml").safe_load(COMPOSE.read_text())
    return found


def test_the_file_for_compose_keeps_to_the_specification_of_compose() -> None:
    schemas = required_package("check_jsonschema.builtin_schemas")
    schema = schemas.get_builtin_schema("vendor.compose-spec")
    validate = required_package("jsonschema").validate
    validate(compose(), schema)
    with pytest.raises(required_package("jsonschema").ValidationError):
        validate(compose() | {"services": {"server": {"imagine": "depgraph"}}}, schema)


def test_the_server_takes_the_settings_that_compose_gives_it() -> None:
    server = compose()["services"]["server"]
    settings = settings_of(server["command"], server["environment"])
    assert settings["listen"] == "0.0.0.0:50051"
    assert settings["allow_plaintext"] is True
    assert server["entrypoint"][:2] == ["sh", "-c"]


def test_compose_lets_no_other_host_reach_plaintext() -> None:
    ports = [port for service in compose()["services"].values() for port in service.get("ports", ())]
    assert ports
    assert all(port.startswith("127.0.0.1:") for port in ports)


def test_no_password_stands_in_the_file_for_compose() -> None:
    file = compose()
    assert not re.search(r"://[^/@\s]+:[^/@\s]+@", json.dumps(file))
    for service in file["services"].values():
        for secret in service["secrets"]:
            assert "file" in file["secrets"][secret]
    ignored = (ROOT / ".gitignore").read_text().splitlines()
    assert "deploy/secrets/" in ignored


def test_the_password_of_compose_reaches_the_server_by_its_environment(tmp_path: Path) -> None:
    server = compose()["services"]["server"]
    (tmp_path / "database-password").write_text("secret\n")
    program = tmp_path / "depgraph"
    program.write_text('#!/bin/sh\necho "$PGPASSWORD: $*"\n')
    program.chmod(0o755)
    # Compose reads $$ as $.
    line = [each.replace("$$", "$") for each in [*server["entrypoint"], *server["command"]]]
    started = subprocess.run(
        [each.replace("/run/secrets", str(tmp_path)) for each in line],
        env={"PATH": f"{tmp_path}:/usr/bin:/bin"},
        capture_output=True,
        text=True,
        check=True,
    )
    assert started.stdout == "secret: serve\n"


def test_compose_waits_longer_than_the_server_takes_to_stop() -> None:
    server = compose()["services"]["server"]
    patience = int(server["stop_grace_period"].removesuffix("s"))
    assert patience > settings_of(server["command"], server["environment"])["grace"] + 2


def test_what_is_mounted_and_reached_in_compose_exists() -> None:
    file = compose()
    for service in file["services"].values():
        assert set(service["networks"]) <= file["networks"].keys()
        assert {volume.partition(":")[0] for volume in service.get("volumes", ())} <= file["volumes"].keys()
    assert file["services"]["server"]["depends_on"].keys() <= file["services"].keys()
    assert (COMPOSE.parent / file["services"]["server"]["build"]["context"] / "Dockerfile").is_file()
