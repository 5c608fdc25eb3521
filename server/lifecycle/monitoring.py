"""What operators see of a process: metrics and health."""

from collections.abc import Callable

from graphcore.compiled import kernel_state
from server.domain.health import FeedHealth
from server.feed import Vitals
from server.lifecycle.detection import Detection
from server.metrics import Readings
from server.replica import Replica
from server.rpc.server import RpcServer
from server.store.database import Database
from server.store.staleness import Sweeper


def readings(
    replica: Replica,
    vitals: Vitals,
    *,
    database: Database,
    rpc: RpcServer,
    sweeper: Sweeper,
    detection: Detection,
    health: Callable[[], FeedHealth],
) -> Readings:
    """Read every figure. Safe on any thread: it looks at numbers only, each of them whole."""
    graph, status, audit, load = replica.graph, replica.status(), vitals.last_audit, rpc.load
    return Readings(
        lag_seconds=replica.freshness().lag.total_seconds(),
        services=graph.service_count,
        dependencies=graph.dependency_count,
        stale_dependencies=graph.stale_count,
        waiting_dependencies=graph.waiting_count,
        feed_state=status.feed_state.value,
        transport=rpc.transport,
        problems=len(health().problems),
        missing_triggers=len(vitals.missing_triggers),
        warms=status.warm_count,
        warm_seconds=status.warm_duration.total_seconds(),
        steps=vitals.steps,
        changed_rows=vitals.changed_rows,
        reconnects=vitals.disconnects,
        lock_waits=vitals.lock_waits,
        change_log_rows=vitals.change_log_rows,
        pruned_rows=vitals.pruned_rows,
        audits=vitals.audits,
        failed_audits=vitals.failed_audits,
        differing_rows=vitals.differing_rows,
        audit_seconds=audit.duration.total_seconds() if audit is not None else 0.0,
        is_detection_writer=detection.is_writer,
        cyclic_components=detection.vitals.cycle_count if detection.is_writer else 0,
        detection_age_seconds=detection.vitals.level_age_seconds if detection.is_writer else 0.0,
        detection_rounds=detection.vitals.rounds,
        detection_failures=detection.vitals.failures,
        is_sweeper=sweeper.is_running,
        sweeps=sweeper.sweeps,
        swept_at=sweeper.swept_at,
        sweep_seconds=sweeper.took_seconds,
        marked_stale=sweeper.marked,
        decayed=sweeper.decayed,
        restored=sweeper.restored,
        pool_in_use=database.connections_in_use,
        running_calls=rpc.running_calls,
        waiting_calls=load.waiting_calls,
        large_requests_bytes=load.requests_bytes,
        unsent_bytes=load.unsent_bytes,
        kernels_compiled=kernel_state().compiled,
    )


async def tell_trust(vitals: Vitals, rpc: RpcServer) -> None:
    """Let the health of what answers from memory follow whether memory can be trusted, until cancelled."""
    while True:
        rpc.set_trusted(trusted=vitals.trusted)
        await vitals.trust_turned()
