"""
The schema, one reversible step after another: an Alembic environment that needs no ``alembic.ini``.

How to add a migration:

1. Write ``sql/0005_what.up.sql`` and its ``.down.sql``. Plain SQL, several statements allowed,
   every name qualified (scripts run with ``search_path = pg_catalog, pg_temp``). Each runs in a
   transaction of its own. The down script removes exactly what the up script made, and nothing
   that is still in use.
2. Write ``versions/v0005_what.py`` after the pattern of its neighbours. The first line of its
   docstring is the title that operators read in ``depgraph migrate``.

The tests find it there: they go up and down each step and compare the catalog before and after.

Tables that may be large by then: create an index on them outside any transaction, without blocking
writers. A script cannot do that (several statements sent at once are one transaction), so such a
step is written in Python, one statement a call, and clears the invalid index that an interrupted
attempt leaves behind::

    def upgrade() -> None:
        with op.get_context().autocommit_block():
            op.execute("DROP INDEX CONCURRENTLY IF EXISTS public.idx_example")
            op.execute("CREATE INDEX CONCURRENTLY idx_example ON public.services (example)")

Likewise a constraint on a large table comes in two steps, ``NOT VALID`` first, ``VALIDATE
CONSTRAINT`` in the next migration.
"""

from pathlib import Path

_VERSIONS = Path(__file__).parent / "versions"


def latest_revision() -> str:
    """Return the revision that this program needs, from the names of the files, without imports."""
    latest = max(path.stem for path in _VERSIONS.glob("v[0-9]*.py"))
    return latest.removeprefix("v").partition("_")[0]
