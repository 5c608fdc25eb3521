-- name: single_runner_try
-- Take the lock of one kind of work ($1) for this session, unless another has it.
SELECT pg_try_advisory_lock(7203411, $1::integer) AS is_mine, depgraph_feed.undone_for($2) AS undone_for;

-- name: single_runner_holder
-- Who holds the lock of one kind of work ($1); no row when no session does.
SELECT a.pid, a.application_name, host(a.client_addr) AS address, a.backend_start
FROM pg_locks AS l
INNER JOIN pg_stat_activity AS a ON a.pid = l.pid
WHERE l.locktype = 'advisory'
    AND l.database = (SELECT d.oid FROM pg_database AS d WHERE d.datname = current_database())
    AND l.classid = 7203411
    AND l.objid = $1::integer::oid
    AND l.objsubid = 2
    AND l.granted;

-- name: single_runner_did
-- Note that one kind of work was done just now.
SELECT depgraph_feed.did($1);
