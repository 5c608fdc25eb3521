"""Making a cluster, and knowing whether these binaries can run it."""

import os
import shutil
import sys
from pathlib import Path

from server.store.embedded.account import Account, is_nobody, nobody
from server.store.embedded.errors import EmbeddedPostgresError
from server.store.embedded.log import DatabaseLog
from server.store.embedded.ownership import give, give_all
from server.store.embedded.process import GuardedProcess

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


def create_cluster(
    cluster: Path, programs: Path, account: Account | None, log: DatabaseLog, *, durable: bool
) -> None:
    """
    Make a cluster that is there complete or not at all. Blocks for about a second.

    Raises ``EmbeddedPostgresError`` with what ``initdb`` said.
    """
    closed = cluster.with_name(f"{cluster.name}.new")
    shutil.rmtree(closed, ignore_errors=True)
    closed.mkdir(mode=0o700)
    staging = closed / cluster.name
    staging.mkdir(mode=0o700)
    if account is not None:
        _let_in(closed, account)
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


def _let_in(folder: Path, account: Account) -> None:
    """Open a folder of root's to processes of the account's group, of which nobody else is a member."""
    os.chown(folder, 0, account.gid)
    folder.chmod(0o710)


def _maker(account: Account | None) -> Account | None:
    """
    Say as whom ``initdb`` runs: it refuses a user without an account, unlike the server.

    So it is ``nobody``, with the account's own group: other processes of ``nobody`` can't enter the folder.
    """
    if account is None or is_nobody(account):
        return account
    lent = nobody()
    return Account(lent.name, lent.uid, account.gid)


def _sync_folder(folder: Path) -> None:
    if sys.platform == "win32":
        return
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
