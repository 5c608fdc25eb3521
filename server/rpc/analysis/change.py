"""CheckChange: what a proposed change would do to cycles and blast radii."""

from collections.abc import Iterable
from typing import NamedTuple

from depgraph.v1 import analysis_service_pb2 as pb
from graphcore import DependencyGraph
from graphcore.analysis import cycle_changes, impact_changes
from graphcore.analysis.proposed_change import (
    DependencyKey,
    ProposedChange,
    ProposedDependency,
    UnknownDependenciesError,
)
from graphcore.analysis.what_if import what_if
from server.config import Limits
from server.domain.dependencies import DependencyDraft, DiscoverySource
from server.domain.errors import DependencyNotFoundError, FieldViolation
from server.domain.live_graph import Consistency
from server.domain.records import SOURCE_FLAGS, flags_of
from server.rpc.answers import too_large
from server.rpc.dependency.drafts import drafts_in
from server.rpc.questions import consistency, resolved_field
from server.rpc.validate import Check, shown
from server.wire.columns import DISCOVERY_SOURCE

DEFAULT_IMPACTS, MAX_IMPACTS = 100, 1_000


class RemovedKey(NamedTuple):
    """Dependencies to remove; ``discovery_source`` None = those of all sources."""

    source: str
    target: str
    discovery_source: DiscoverySource | None


class ChangeQuestion(NamedTuple):
    """A proposed change; the answer lists at most ``most_impacts`` changes of blast radii."""

    added: list[DependencyDraft]
    removed: list[RemovedKey]
    most_impacts: int
    consistency: Consistency


def change_question(request: pb.CheckChangeRequest, limits: Limits) -> ChangeQuestion:
    """Read a request."""
    check = Check()
    most = limits.max_items
    check.within_limit("removed", request.removed, most)
    added = drafts_in(check, "added", request.added, limits)
    removed = check.each("removed", request.removed, _removed_key)
    check.distinct("removed[{}]", removed, "this source, target and discovery source")
    if not added and not removed:
        check.add("added", f"is empty, and so is removed; give up to {most:,} dependencies in either")
    most_impacts = check.number("max_impacts", request.max_impacts, 0, MAX_IMPACTS, f"0 = {DEFAULT_IMPACTS}")
    wanted = consistency(check, request.consistency)
    check.done()
    return ChangeQuestion(added, removed, most_impacts or DEFAULT_IMPACTS, wanted)


def change_answer(graph: DependencyGraph, question: ChangeQuestion, limit: int) -> bytes:
    """Predict and encode; raises ``DependencyNotFoundError`` for what can't be removed."""
    question, resolved = _under_own_names(graph, question)
    try:
        found = what_if(
            graph,
            _proposed(question),
            most_impacts=question.most_impacts,
            min_confidence=graph.cycle_confidence,
        )
    except UnknownDependenciesError as error:
        raise _not_found([(at, question.removed[at]) for at in error.positions]) from None
    answer = pb.CheckChangeResponse(
        adds_cycles=found.adds_cycles,
        cycle_changes=map(cycle_change_message, found.cycle_changes),
        impact_changes=map(impact_change_message, found.impacts.changes),
        impact_change_count=found.impacts.count,
        impacts_truncated=found.impacts.truncated,
        created_service_ids=found.created,
    ).SerializeToString()
    answer += resolved
    if len(answer) > limit:
        raise too_large(
            f"{len(found.cycle_changes):,} changes of cycles "
            f"and {len(found.impacts.changes):,} of blast radii",
            limit,
            "set max_impacts lower, or check fewer dependencies at a time",
        )
    return answer


def _removed_key(check: Check, key: pb.DependencyKey) -> RemovedKey:
    return RemovedKey(
        check.text("source_service_id", key.source_service_id),
        check.text("target_service_id", key.target_service_id),
        check.optional_word("discovery_source", key.discovery_source, DISCOVERY_SOURCE),
    )


def _under_own_names(graph: DependencyGraph, question: ChangeQuestion) -> tuple[ChangeQuestion, bytes]:
    """
    Replace aliases by the own names of services; returns the encoded ``resolved_aliases``, too.

    Raises ``InvalidInputError`` for what a write would refuse by then: a call of a service to
    itself, or a dependency that comes twice.
    """
    names = {name for draft in question.added for name in draft[:2]}
    names |= {name for key in question.removed for name in key[:2]}
    own = {
        name: service_id
        for name in sorted(names)
        if (service_id := graph.resolve(name)) is not None and service_id != name
    }
    if not own:
        return question, b""
    added = [
        draft._replace(
            source_service_id=own.get(draft.source_service_id, draft.source_service_id),
            target_service_id=own.get(draft.target_service_id, draft.target_service_id),
        )
        for draft in question.added
    ]
    removed = [
        key._replace(source=own.get(key.source, key.source), target=own.get(key.target, key.target))
        for key in question.removed
    ]
    check = Check()
    for place, draft in enumerate(added):
        if draft.source_service_id == draft.target_service_id:
            check.add(f"added[{place}].target_service_id", "is the source too, by an alias")
    what = "this source, target and discovery source, by an alias,"
    check.distinct("added[{}]", (draft.key for draft in added), what)
    check.distinct("removed[{}]", removed, what)
    check.done()
    resolved = resolved_field(pb.CheckChangeResponse, own.keys(), own.values())
    return question._replace(added=added, removed=removed), resolved


def _proposed(question: ChangeQuestion) -> ProposedChange:
    return ProposedChange(
        [
            # The words of a draft are checked, so it has flags.
            ProposedDependency(
                each.source_service_id, each.target_service_id, flags_of(each) or 0, each.confidence_score
            )
            for each in question.added
        ],
        [
            DependencyKey(
                key.source,
                key.target,
                0 if key.discovery_source is None else SOURCE_FLAGS[key.discovery_source],
            )
            for key in question.removed
        ],
    )


def _not_found(unknown: list[tuple[int, RemovedKey]]) -> DependencyNotFoundError:
    violations = [FieldViolation(f"removed[{at}]", _missing(key)) for at, key in unknown]
    others = f" (and {len(unknown) - 1:,} more)" if len(unknown) > 1 else ""
    first = violations[0]
    return DependencyNotFoundError(f"{first.field}: {first.description}{others}", violations=violations)


def _missing(key: RemovedKey) -> str:
    source = f" of discovery source {key.discovery_source}" if key.discovery_source else ""
    return f"no dependency of {shown(key.source)} on {shown(key.target)}{source}"


def cycle_change_message(change: cycle_changes.CycleChange) -> pb.CycleChange:
    """Write a change of cyclic components."""
    return pb.CycleChange(
        kind=pb.CycleChangeKind.Value(f"CYCLE_CHANGE_KIND_{change.kind.name}"),
        before=_cycles(change.before),
        after=_cycles(change.after),
        adds_cycles=change.adds_cycles,
        closing_pairs=[
            pb.ClosingPair(source_service_id=pair.source, target_service_id=pair.target, cycle_path=pair.path)
            for pair in change.closing
        ],
        closing_pair_count=change.closing_count,
    )


def _cycles(cycles: Iterable[cycle_changes.Cycle]) -> list[pb.Cycle]:
    return [pb.Cycle(members=cycle.members, size=cycle.size, cycle_path=cycle.path) for cycle in cycles]


def impact_change_message(change: impact_changes.ImpactChange) -> pb.ImpactChange:
    """Write a change of a blast radius."""
    return pb.ImpactChange(
        service_id=change.name,
        before=change.before,
        after=change.after,
        added_service_ids=change.added,
        added_count=change.added_count,
        removed_service_ids=change.removed,
        removed_count=change.removed_count,
    )
