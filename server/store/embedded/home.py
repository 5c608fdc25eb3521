"""Where the cluster of a data folder lives: inside it, or, if the database's user can't get there, beside the system's state."""

import hashlib
import itertools
from pathlib import Path

from server.store.embedded.account import Account, database_account, first_closed_folder
from server.store.embedded.errors import EmbeddedPostgresError
from server.store.embedded.state import Report, system_folder

CLUSTER = "postgres"
POINTER = "CLUSTER_MOVED.txt"


def known_home(folder: Path) -> Path | None:
    """Where an earlier start put the cluster of this data folder; None = there was none."""
    if (folder / CLUSTER).exists():
        return folder
    if (pointer := folder / POINTER).exists():
        return _read_pointer(pointer)
    return None


def new_home(folder: Path, account: Account | None, report: Report) -> Path:
    """Choose where the cluster of a data folder without one goes, and remember it if that is elsewhere."""
    if account is None or (closed := first_closed_folder(folder, account)) is None:
        return folder
    home = _new_place(folder)
    # Its id depends on the place.
    account = database_account(home / CLUSTER) or account
    reason = f"the database runs as the user {account.name}, who may not enter {closed}"
    (folder / POINTER).touch(mode=0o600)
    (folder / POINTER).write_text(
        f"The database files of this folder are in\n\n{home}\n\nbecause {reason}.\n"
        "To start from nothing, stop the service and delete both folders.\n"
    )
    report(f"keeping the database files in {home}: {reason}")
    return home


def check_home(folder: Path, home: Path, account: Account | None) -> None:
    """Raise when a cluster that exists has become unreachable for its user: a new one would hide its rows."""
    if account is None:
        return
    if (closed := first_closed_folder(home, account)) is not None:
        raise EmbeddedPostgresError(
            f"the database files of {folder} are in {home} and belong to the user {account.name}, "
            f"who may not enter {closed}: open that folder (chmod o+x), or choose another data folder"
        )


def _read_pointer(pointer: Path) -> Path:
    for line in pointer.read_text().splitlines():
        if (home := Path(line)).is_absolute():
            home.mkdir(mode=0o711, parents=True, exist_ok=True)
            return home
    raise EmbeddedPostgresError(
        f"{pointer} should say where the database files are, and names no folder: restore or delete it"
    )


def _new_place(folder: Path) -> Path:
    """
    Make a folder that nobody uses.

    One of the same name belongs to a data folder deleted since: its rows are neither shown as the new one's nor
    thrown away.
    """
    places = system_folder("clusters")
    name = hashlib.sha256(str(folder).encode()).hexdigest()[:16]
    for attempt in itertools.count(1):
        place = places / (name if attempt == 1 else f"{name}-{attempt}")
        try:
            place.mkdir()
        except FileExistsError:
            continue
        place.chmod(0o711)
        return place
    raise AssertionError(place)  # the count has no end
