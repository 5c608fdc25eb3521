"""The schema of a database as text: equal lines mean equal schemas."""

from tests.support.plain_sql import connected

_OURS = "nspname !~ '^pg_' AND nspname <> 'information_schema'"

_QUERIES = (
    f"SELECT 'schema ' || nspname || ' ' || coalesce(nspacl::text, '') FROM pg_namespace WHERE {_OURS}",
    f"""
    SELECT concat_ws(' ', 'relation', c.oid::regclass, c.relkind, c.relpersistence, c.reloptions::text,
        c.relacl::text,
        obj_description(c.oid, 'pg_class'))
    FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace WHERE {_OURS}
    """,
    f"""
    SELECT concat_ws(' ', 'column', c.oid::regclass,
        row_number() OVER (PARTITION BY c.oid ORDER BY a.attnum), a.attname,
        format_type(a.atttypid, a.atttypmod), a.attcollation::regcollation,
        'not null ' || a.attnotnull, a.attidentity,
        pg_get_expr(d.adbin, d.adrelid), col_description(c.oid, a.attnum))
    FROM pg_class c
    JOIN pg_namespace n ON n.oid = c.relnamespace
    -- PostgreSQL keeps the number of a column that was dropped, and nothing else of it.
    JOIN pg_attribute a ON a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped
    LEFT JOIN pg_attrdef d ON d.adrelid = c.oid AND d.adnum = a.attnum
    WHERE {_OURS}
    """,
    f"""
    SELECT concat_ws(' ', 'constraint', r.conrelid::regclass, r.conname, pg_get_constraintdef(r.oid),
        r.convalidated)
    FROM pg_constraint r JOIN pg_namespace n ON n.oid = r.connamespace WHERE {_OURS}
    """,
    f"""
    SELECT concat_ws(' ', 'index', pg_get_indexdef(i.indexrelid), i.indisvalid)
    FROM pg_index i
    JOIN pg_class c ON c.oid = i.indexrelid
    JOIN pg_namespace n ON n.oid = c.relnamespace WHERE {_OURS}
    """,
    f"""
    SELECT concat_ws(' ', 'trigger', pg_get_triggerdef(t.oid), t.tgenabled)
    FROM pg_trigger t
    JOIN pg_class c ON c.oid = t.tgrelid
    JOIN pg_namespace n ON n.oid = c.relnamespace
    WHERE {_OURS} AND NOT t.tgisinternal
    """,
    f"""
    SELECT concat_ws(' ', 'function', pg_get_functiondef(p.oid), p.proacl::text,
        obj_description(p.oid, 'pg_proc'))
    FROM pg_proc p JOIN pg_namespace n ON n.oid = p.pronamespace WHERE {_OURS} AND p.prokind <> 'a'
    """,
    f"SELECT 'type ' || t.typname FROM pg_type t JOIN pg_namespace n ON n.oid = t.typnamespace WHERE {_OURS}",
)


async def schema_of(url: str) -> list[str]:
    """Describe everything that is not built in, from schemas to functions and types."""
    async with connected(url) as connection:
        return sorted([line for query in _QUERIES for (line,) in await connection.fetch(query)])
