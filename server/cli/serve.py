"""``depgraph serve``."""

import typer

from server.cli.failures import CommandError, database_failures
from server.cli.settings import (
    DEFAULTS,
    DatabaseUrl,
    DataDir,
    Listen,
    LogFormatOption,
    LogLevelOption,
    Migrate,
    SeedFile,
)
from server.config import Settings


def serve(
    *,
    listen: Listen = DEFAULTS.listen,
    database_url: DatabaseUrl = DEFAULTS.database_url,
    data_dir: DataDir = DEFAULTS.data_dir,
    seed_file: SeedFile = DEFAULTS.seed_file,
    migrate: Migrate = DEFAULTS.migrate,
    log_level: LogLevelOption = "info",
    log_format: LogFormatOption = "auto",
) -> None:
    """Run the server; says 'serving on ADDRESS' when the graph is in memory. SIGTERM or Ctrl-C stops it."""
    from server.app import SchemaBehindError, run
    from server.cli.logs import configure_logging

    configure_logging(log_level, log_format)
    settings = Settings(
        listen=listen,
        database_url=database_url,
        data_dir=data_dir,
        seed_file=seed_file,
        migrate=migrate,
    )
    try:
        with database_failures():
            code = run(settings, lambda sentence: typer.echo(sentence, err=True))
    except SchemaBehindError as error:
        raise CommandError(str(error)) from error
    raise typer.Exit(code)
