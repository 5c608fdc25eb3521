"""What a reader made of a file, as plain values."""

from server.formats.reading import Reading


def links_of(reading: Reading) -> set[tuple[str, str]]:
    """List caller and callee of each dependency; no pair may stand there twice."""
    pairs = [(edge.source_service_id, edge.target_service_id) for edge in reading.report.edges]
    assert len(pairs) == len(set(pairs))
    return set(pairs)


def kinds_of(reading: Reading) -> dict[str, int]:
    """List the kinds of the services whose kind is known."""
    return {node.service_id: node.kind for node in reading.report.nodes if node.kind}


def skipped_of(reading: Reading) -> dict[str, int]:
    """Count the skipped elements by reason."""
    return {each.reason: each.count for each in reading.skipped}
