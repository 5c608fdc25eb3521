"""The few statements that the feed sends; what they call is defined by migration 0004."""

# The locks come before the snapshot: TRUNCATE and table rewrites are not MVCC-safe, and a TRUNCATE that commits between our
# snapshot and our SELECT would show an empty table. ACCESS SHARE conflicts with nothing but them and DDL.
BEGIN = """
BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY;
LOCK TABLE public.services, public.service_dependencies IN ACCESS SHARE MODE;
"""
COMMIT = "COMMIT"
ROLLBACK = "ROLLBACK"

OPEN = "SELECT depgraph_feed.open()"

STEP = """
SELECT snapshot, incarnation, usable, sources, ids, ingestions
FROM depgraph_feed.step($1::text::pg_snapshot, $2)
"""

CHANGES = """
SELECT source, id
FROM depgraph_feed.changes($1::text::pg_snapshot)
"""

SERVICES = """
SELECT id, service_id, metadata::text, criticality, team, discovered, created_at, updated_at
FROM public.services
"""
SERVICES_BY_ID = SERVICES + "WHERE id = ANY ($1::uuid[])"

DEPENDENCIES = """
SELECT id, source_service_id, target_service_id, communication_mode, criticality, protocol, timeout_ms,
    retry_config::text, discovery_source, confidence_score, last_observed_at, is_stale, created_at, updated_at
FROM public.service_dependencies
"""
DEPENDENCIES_BY_ID = DEPENDENCIES + "WHERE id = ANY ($1::uuid[])"

MISSING_TRIGGERS = """
SELECT table_name, trigger_name
FROM depgraph_feed.missing_triggers()
"""

PRUNE = "SELECT depgraph_feed.prune($1, $2, $3)"
