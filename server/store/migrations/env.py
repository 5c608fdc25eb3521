"""What Alembic runs for every command, on the connection that it gets or into a script."""

from collections.abc import Collection, Mapping
from typing import Any

from alembic import context
from alembic.runtime.migration import MigrationContext, MigrationInfo

SCHEMA = "public"
VERSION_TABLE = "alembic_version"


def after_step(
    ctx: MigrationContext,
    step: MigrationInfo,
    heads: Collection[str],
    run_args: Mapping[str, Any],  # noqa: ARG001 - Alembic passes it by name
) -> None:
    """Note the step for the caller; after the last downgrade drop the version table too."""
    context.config.attributes.setdefault("ran", []).append(step.up_revision)
    if not heads:
        ctx.execute(f"DROP TABLE {SCHEMA}.{VERSION_TABLE}")


def run() -> None:
    """Configure Alembic and run the steps of the command, each in a transaction of its own."""
    context.configure(
        connection=context.config.attributes.get("connection"),
        dialect_name="postgresql",
        version_table=VERSION_TABLE,
        version_table_schema=SCHEMA,
        transaction_per_migration=True,
        on_version_apply=after_step,
    )
    with context.begin_transaction():
        context.run_migrations()


run()
