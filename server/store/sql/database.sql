-- name: database_ping
-- Whether a connection still answers.
SELECT 1;

-- name: database_notice_lost_clients
-- Look once a second whether the client is still there while a statement runs.
SET client_connection_check_interval = '1s';

-- name: database_revision
-- The revision of the transaction that asks, as text.
SELECT depgraph_feed.revision();
