-- name: database_ping
-- Whether a connection still answers.
SELECT 1;

-- name: database_revision
-- The revision of the transaction that asks, as text.
SELECT depgraph_feed.revision();
