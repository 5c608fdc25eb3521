"""The few statements that the feed sends; what they call is defined by migration 0004."""

from server.queries import queries_of

_query = queries_of("server.feed")

BEGIN = _query("begin")
COMMIT = _query("commit")
ROLLBACK = _query("rollback")
OPEN = _query("open")
TAKE_OVER = _query("take_over")
STEP = _query("step")
CHANGES = _query("changes")
SERVICES = _query("services")
SERVICES_BY_ID = _query("services_by_id")
DEPENDENCIES = _query("dependencies")
DEPENDENCIES_BY_ID = _query("dependencies_by_id")
BEGIN_HISTORY = _query("begin_history")
HISTORY = _query("history")
CHANGES_UNTIL = _query("changes_until")
MISSING_TRIGGERS = _query("missing_triggers")
PRUNE = _query("prune")
LOG_ROWS = _query("log_rows")
EXPORT_SNAPSHOT = _query("export_snapshot")
IMPORT_SNAPSHOT = _query("import_snapshot")
