"""The migrations, which run SQL scripts; only Alembic imports them."""

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, cast

from alembic import op

if TYPE_CHECKING:
    from sqlalchemy.engine.interfaces import AdaptedConnection

SCRIPTS = Path(__file__).parents[1] / "sql"


def steps_of(name: str) -> tuple[Callable[[], None], Callable[[], None]]:
    """Return the functions that run ``sql/NAME.up.sql`` and ``sql/NAME.down.sql``."""

    def upgrade() -> None:
        _run(f"{name}.up.sql")

    def downgrade() -> None:
        _run(f"{name}.down.sql")

    return upgrade, downgrade


def _run(script_name: str) -> None:
    """Run a script inside the migration's transaction, or write it out in offline mode."""
    script = (SCRIPTS / script_name).read_text(encoding="utf-8")
    context = op.get_context()
    # SQLAlchemy sends BEGIN along with its first statement, and the script bypasses SQLAlchemy.
    context.execute("SET LOCAL search_path = pg_catalog, pg_temp")
    if context.as_sql:
        context.impl.static_output(script.rstrip())
    elif context.connection is not None:
        # The driver's simple query holds many commands; SQLAlchemy's prepared statements hold one.
        adapted = cast("AdaptedConnection", context.connection.connection.dbapi_connection)
        adapted.run_async(lambda driver: driver.execute(script))
