-- name: single_runner_try
-- Take the lock of one kind of work ($1) for this session, unless another has it.
SELECT pg_try_advisory_lock(7203411, $1::integer);
