"""Runs the SQL scripts of migrations."""

from pathlib import Path
from typing import TYPE_CHECKING, cast

from alembic import op
from sqlalchemy import Connection

if TYPE_CHECKING:
    from sqlalchemy.engine.interfaces import AdaptedConnection

SCRIPTS = Path(__file__).parent / "sql"


def run_script(name: str) -> None:
    """Run ``sql/<name>`` inside the migration's transaction, or write it out in offline mode."""
    script = (SCRIPTS / name).read_text(encoding="utf-8")
    context = op.get_context()
    # Pins name lookup, whatever the connection's own search_path is. It also has to come before the
    # script: SQLAlchemy sends BEGIN only along with its first statement, and the script bypasses
    # SQLAlchemy.
    context.execute("SET LOCAL search_path = pg_catalog, pg_temp")
    if context.as_sql:
        context.impl.static_output(script.rstrip())
    elif context.connection is not None:
        _send(context.connection, script)


def _send(connection: Connection, script: str) -> None:
    # Prepared statements, all that SQLAlchemy sends here, hold one command; the driver's simple
    # query holds many.
    adapted = cast("AdaptedConnection", connection.connection.dbapi_connection)
    adapted.run_async(lambda driver: driver.execute(script))
