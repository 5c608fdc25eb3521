"""
Cursors that look right and lose changes, put in the place of the real one in a test's own database.

Everything else stays as it is: triggers, feed, replica and the observer that is to catch them.
"""

import asyncpg

# The session keeps the highest sequence number seen; a failed step takes that back, as it should.
_BY_SEQUENCE = """
ALTER TABLE depgraph_feed.change_log ADD COLUMN seq bigserial;
DROP FUNCTION depgraph_feed.changes;
CREATE FUNCTION depgraph_feed.changes(since pg_snapshot) RETURNS TABLE (source smallint, id uuid)
LANGUAGE plpgsql VOLATILE
AS $$
DECLARE
    last_seen bigint := COALESCE(NULLIF(current_setting('naive.next', true), ''), '0');
BEGIN
    IF current_setting('naive.since', true) IS NOT DISTINCT FROM since::text THEN
        last_seen := current_setting('naive.last_seen');
    END IF;
    PERFORM set_config('naive.since', since::text, false),
        set_config('naive.last_seen', last_seen::text, false),
        set_config(
            'naive.next',
            GREATEST(last_seen, (SELECT max(l.seq) FROM depgraph_feed.change_log AS l))::text,
            false
        );
    RETURN QUERY SELECT DISTINCT l.source, l.id FROM depgraph_feed.change_log AS l WHERE l.seq > last_seen;
END
$$
"""
_BY_TRANSACTION = """
CREATE OR REPLACE FUNCTION depgraph_feed.changes(since pg_snapshot) RETURNS TABLE (source smallint, id uuid)
LANGUAGE sql STABLE
AS $$
    SELECT DISTINCT l.source, l.id FROM depgraph_feed.change_log AS l WHERE l.xid >= pg_snapshot_xmax(since)
$$
"""
NAIVE_CURSORS = {"sequence": _BY_SEQUENCE, "transaction": _BY_TRANSACTION}


async def install(url: str, cursor: str) -> None:
    """Replace the real cursor by one of ``NAIVE_CURSORS``."""
    connection = await asyncpg.connect(url)
    try:
        await connection.execute(NAIVE_CURSORS[cursor])
    finally:
        await connection.close()
