"""Everything a start needs to know, worked out and made ready before PostgreSQL is started."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from server.store.embedded.account import Account, database_account, is_nobody
from server.store.embedded.binaries import programs, wheel_version
from server.store.embedded.cluster import check_version, create_cluster
from server.store.embedded.home import CLUSTER, check_home, known_home, new_home
from server.store.embedded.leftovers import end_leftovers
from server.store.embedded.log import DatabaseLog
from server.store.embedded.ownership import take_over
from server.store.embedded.sockets import DEFAULT_PORT, remove_stale_sockets, socket_folder
from server.store.embedded.state import Report

# Survives a crash of the database's processes, since what they wrote is in the kernel; not a crash of the machine.
NOT_DURABLE = {"fsync": "off", "full_page_writes": "off"}


@dataclass(frozen=True, slots=True)
class Layout:
    """Where a cluster and its socket are, which programs run it, and as whom."""

    cluster: Path
    sockets: Path
    programs: Path
    account: Account | None

    def command(self, settings: Mapping[str, str]) -> list[str]:
        """Give the command line of the server."""
        options = (f"--{name}={value}" for name, value in settings.items())
        return [str(self.programs / "postgres"), "-D", str(self.cluster), *options]


def find_home(folder: Path, report: Report) -> Path:
    """Find the folder of the cluster, chosen now if there is none yet; see ``home``."""
    home = known_home(folder)
    if home is None:
        return new_home(folder, database_account(folder / CLUSTER), report)
    check_home(folder, home, database_account(home / CLUSTER))
    return home


def make_ready(home: Path, log: DatabaseLog, report: Report, *, durable: bool) -> Layout:
    """Binaries in reach, no leftovers, a cluster of the right version, a socket folder. Blocks; locks are held."""
    cluster = home / CLUSTER
    account = database_account(cluster)
    if is_nobody(account):
        report(
            "warning: this container has no user id that the database could have for itself: it runs as nobody, and "
            "whoever else does can read and alter it; start as an ordinary user"
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
