"""What ``make`` and its scripts do with the Python, the tools and the settings that they find."""

import ast
import os
import platform
import re
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest
from packaging.markers import Marker
from packaging.tags import compatible_tags, cpython_tags
from packaging.utils import parse_wheel_filename

ROOT = Path(__file__).parents[2]
SUPPORTED = ("3.11", "3.12", "3.13", "3.14", "3.15")
NAMES = ("python3", *(f"python{version}" for version in SUPPORTED))
NEEDED = "depgraph needs Python 3.11 to 3.15"
ANOTHER_VERSION = """#!/bin/sh
exec {python} -c 'import runpy, sys
sys.version_info = ({version}, 0, "final", 0)
sys.argv = sys.argv[1:]
runpy.run_path(sys.argv[0], run_name="__main__")' "$@"
"""
FAKE_UV = """#!/bin/sh
test "$1" = --version && {{ echo "uv {version}"; exit; }}
echo "certs=$UV_SYSTEM_CERTS $*" >>{calls}
case $* in *--dry-run*) {dry_run} ;; esac
"""


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    """What ``make`` reads of the project, without what it makes."""
    for name in ("Makefile", "pyproject.toml", "uv.lock"):
        shutil.copy(ROOT / name, tmp_path)
    shutil.copytree(ROOT / "scripts", tmp_path / "scripts")
    return tmp_path


def program(path: Path, text: str) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    path.chmod(0o755)
    return path


def run(*command: str | Path, folder: Path, **environment: str) -> subprocess.CompletedProcess[str]:
    kept = {name: os.environ[name] for name in ("PATH", "HOME", "TMPDIR") if name in os.environ}
    return subprocess.run(
        command,
        cwd=folder,
        env=kept | environment,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


def only_sentence(finished: subprocess.CompletedProcess[str]) -> str:
    """What a failure of make printed, without make's own line about it."""
    (line,) = [line for line in finished.stderr.splitlines() if not line.startswith(("make: ", "find: "))]
    return line


@pytest.mark.parametrize(
    ("version", "word"),
    [
        ("2, 7", "too old: Python 2.7"),
        ("3, 6", "too old: Python 3.6"),
        ("3, 10", "too old: Python 3.10"),
        ("3, 99", "too new: Python 3.99"),
    ],
)
def test_make_says_in_one_sentence_that_every_python_is_too_old_or_too_new(
    checkout: Path, version: str, word: str
) -> None:
    for name in NAMES:
        program(checkout / "bin" / name, ANOTHER_VERSION.format(python=sys.executable, version=version))
    path = f"{checkout / 'bin'}:{os.environ['PATH']}"
    finished = run("make", "run", folder=checkout, PATH=path)
    assert finished.returncode != 0
    sentence = only_sentence(finished)
    assert sentence.startswith(f"{NEEDED}, and ")
    assert word in sentence
    assert not (checkout / ".venv").exists()


def test_a_python_named_to_make_that_does_not_exist_is_one_sentence(checkout: Path) -> None:
    finished = run("make", "run", "PYTHON=no-such-python", folder=checkout)
    assert only_sentence(finished).startswith(f"{NEEDED} with venv, and no-such-python does not run")


def test_the_check_of_python_is_written_in_syntax_that_old_versions_parse() -> None:
    tree = ast.parse((ROOT / "scripts/check_python.py").read_text(encoding="ascii"))
    # The project's functions have annotations, which Python 2.7 can't parse.
    newer = (ast.JoinedStr, ast.AnnAssign, ast.NamedExpr, ast.Match, ast.Starred, ast.FunctionDef)
    assert [node.lineno for node in ast.walk(tree) if isinstance(node, newer)] == []


@pytest.mark.parametrize("name", ["README.md", "CONTRIBUTING.md", "docs/running.md", "docs/tutorial.md"])
def test_the_documents_name_the_pythons_that_make_accepts(name: str) -> None:
    assert f"Python {SUPPORTED[0]}\N{EN DASH}{SUPPORTED[-1]}" in (ROOT / name).read_text()


def wheels_of_setup(version: str) -> dict[str, list[str]]:
    """File names of the wheels of each locked package that ``make`` installs on Linux."""
    locked = tomllib.loads((ROOT / "uv.lock").read_text())["package"]
    (project,) = [package for package in locked if package["name"] == "depgraph"]
    place = {"sys_platform": "linux", "python_version": version, "python_full_version": f"{version}.0"}
    waiting = project["dependencies"] + project["optional-dependencies"]["server"]
    waiting += project["dev-dependencies"]["dev"] + project["dev-dependencies"]["deploy"]
    wheels: dict[str, list[str]] = {}
    while waiting:
        wanted = waiting.pop()
        if "marker" in wanted and not Marker(wanted["marker"]).evaluate(place):
            continue
        (package,) = [
            package
            for package in locked
            if package["name"] == wanted["name"] and wanted.get("version") in (None, package["version"])
        ]
        extras = package.get("optional-dependencies", {})
        waiting += [needed for extra in wanted.get("extra", ()) for needed in extras[extra]]
        if package["name"] not in wheels:
            waiting += package.get("dependencies", ())
        wheels[package["name"]] = [wheel["url"].rpartition("/")[2] for wheel in package["wheels"]]
    return wheels


@pytest.mark.parametrize("version", SUPPORTED)
def test_each_package_that_setup_installs_has_a_wheel_for_each_supported_python(version: str) -> None:
    minor = int(version.partition(".")[2])
    linux = f"manylinux_2_28_{platform.machine()}"
    accepted = {(tag.interpreter, tag.abi) for tag in cpython_tags((3, minor), platforms=[linux])}
    accepted |= {(tag.interpreter, tag.abi) for tag in compatible_tags((3, minor), platforms=[linux])}
    wheels = wheels_of_setup(version)
    assert {"asyncpg", "grpcio", "llvmlite", "numba", "numpy", "rustworkx", "greenlet"} <= wheels.keys()
    for name, files in wheels.items():
        tags = [tag for file in files for tag in parse_wheel_filename(file)[3]]
        assert any(
            (tag.interpreter, tag.abi) in accepted
            and (tag.platform == "any" or re.match(f"(many)?linux.*{platform.machine()}", tag.platform))
            for tag in tags
        ), name


def with_tools(checkout: Path, dry_run: str = ":") -> Path:
    """Put a Python and a uv of the locked version into .venv; returns what uv is called with."""
    lock = tomllib.loads((ROOT / "uv.lock").read_text())
    version = next(package["version"] for package in lock["package"] if package["name"] == "uv")
    calls = checkout / "calls"
    program(checkout / ".venv/bin/python", "#!/bin/sh\nexit 1\n")
    program(checkout / ".venv/bin/uv", FAKE_UV.format(version=version, calls=calls, dry_run=dry_run))
    return calls


def test_setup_is_silent_and_trusts_the_certificates_of_the_system(checkout: Path) -> None:
    calls = with_tools(checkout)
    finished = run("sh", "scripts/setup.sh", folder=checkout)
    assert (finished.returncode, finished.stdout, finished.stderr) == (0, "", "")
    checked, synced = calls.read_text().splitlines()
    assert synced.startswith("certs=true sync --locked --all-extras")
    assert synced.endswith(" --quiet")
    assert "--no-build" in checked
    run("sh", "scripts/setup.sh", folder=checkout, UV_SYSTEM_CERTS="false")
    assert calls.read_text().splitlines()[-1].startswith("certs=false ")


def test_setup_installs_the_uv_that_is_locked(checkout: Path) -> None:
    with_tools(checkout)
    calls = checkout / "pip"
    program(checkout / ".venv/bin/python", f'#!/bin/sh\necho "$@" >{calls}\n')
    program(checkout / ".venv/bin/uv", "#!/bin/sh\necho uv 0.0.1\n")
    assert run("sh", "scripts/setup.sh", folder=checkout).returncode == 0
    assert re.search(r" uv==\d+\.\d+\.\d+$", calls.read_text())


def test_a_package_without_a_wheel_is_one_sentence(checkout: Path) -> None:
    error = "error: Distribution `numba==0.68.0 @ registry+https://pypi.org/simple` marked as `--no-build`"
    with_tools(checkout, dry_run=f"echo '{error}' >&2; exit 2")
    finished = run("sh", "scripts/setup.sh", folder=checkout)
    assert finished.returncode != 0
    assert only_sentence(finished).startswith("there is no wheel of numba==0.68.0 for this Python")


@pytest.mark.parametrize(
    ("given", "environment", "arguments"),
    [
        ([], {}, "serve --http-listen 127.0.0.1:8051 --seed-file examples/online_shop.json"),
        (
            [],
            {
                "DEPGRAPH_LISTEN": "127.0.0.1:7",
                "DEPGRAPH_HTTP_LISTEN": "127.0.0.1:9",
                "DEPGRAPH_DATA_DIR": "elsewhere",
            },
            "serve --seed-file examples/online_shop.json",
        ),
        (
            ["LISTEN=127.0.0.1:8", "HTTP_LISTEN=127.0.0.1:9", "DATA_DIR=here"],
            {"DEPGRAPH_LISTEN": "127.0.0.1:7"},
            (
                "serve --listen 127.0.0.1:8 --http-listen 127.0.0.1:9 --data-dir here "
                "--seed-file examples/online_shop.json"
            ),
        ),
        ([], {"DEPGRAPH_SEED_FILE": "mine.json"}, "serve --http-listen 127.0.0.1:8051"),
    ],
)
def test_make_run_leaves_to_the_environment_what_it_is_not_given(
    checkout: Path, given: list[str], environment: dict[str, str], arguments: str
) -> None:
    program(checkout / ".venv/bin/depgraph", '#!/bin/sh\necho "$@" "listen=$DEPGRAPH_LISTEN"\n')
    (checkout / ".venv/.synced").touch()
    finished = run("make", "run", *given, folder=checkout, **environment)
    assert finished.stdout.split("\n")[0] == f"{arguments} listen={environment.get('DEPGRAPH_LISTEN', '')}"


def test_an_installation_warns_when_its_python_lies_in_a_closed_folder(checkout: Path) -> None:
    closed = checkout / "closed"
    closed.mkdir(mode=0o700)
    copy = program(closed / "python3", f'#!/bin/sh\nexec {sys.executable} "$@"\n')
    code = (
        "import runpy, sys; sys.executable = sys.argv[1]; sys.argv = ['check_python.py', '--shared']; "
        "runpy.run_path('scripts/check_python.py', run_name='__main__')"
    )
    finished = run(sys.executable, "-c", code, copy, folder=checkout)
    assert finished.returncode == 0
    assert only_sentence(finished).startswith("warning: only its owner can run the installed server")
    assert run(sys.executable, "scripts/check_python.py", folder=checkout).stderr == ""


@pytest.mark.parametrize(
    ("given", "used"),
    [
        ({"SSL_CERT_FILE": "own.pem"}, "own.pem"),
        ({"SSL_CERT_FILE": "own.pem", "PIP_CERT": "pips.pem"}, "pips.pem"),
        ({"SSL_CERT_FILE": "absent.pem", "PIP_CERT": "pips.pem"}, "pips.pem"),
    ],
)
def test_an_old_pip_trusts_the_certificates_that_the_environment_names(
    checkout: Path, given: dict[str, str], used: str
) -> None:
    (checkout / "own.pem").touch()
    script = '. "$0"; echo "$PIP_CERT $UV_SYSTEM_CERTS"'
    finished = run("sh", "-euc", script, checkout / "scripts/environment.sh", folder=checkout, **given)
    assert finished.stdout == f"{used} true\n", finished.stderr
