"""Pictures as the console draws them, made by chance; ``graph/layout.js`` says what they hold."""

import random
from typing import Any

Picture = dict[str, list[dict[str, Any]]]

CRITICALITIES = ["critical", "high", "medium", "low", "unknown"]
KINDS = ["service", "database", "queue", "gateway", "external"]
MODES = ["sync", "async", "mixed", "unknown"]


def columns_picture(seed: int, nodes: int, columns: int = 3, groups: int = 0) -> Picture:
    """Return nodes in columns around one in the middle, and calls in every direction."""
    dice = random.Random(seed)  # noqa: S311 - not a secret
    made = [_node(dice, "center", 0) | {"isCenter": True}]
    reach = columns // 2
    for number in range(nodes):
        column = dice.choice([each for each in range(-reach, reach + 1) if each])
        kind = "group" if number < groups else "service"
        made.append(_node(dice, f"node {number} {'x' * dice.randrange(20)}", column, kind))
    return {"nodes": made, "edges": _edges(dice, [node["id"] for node in made])}


def placed_picture(seed: int, nodes: int) -> Picture:
    """Return nodes with places, some of them the same place."""
    dice = random.Random(seed)  # noqa: S311 - not a secret
    made = [
        _node(dice, f"group {number}", None, "group")
        | {"x": dice.choice([0.5, dice.random()]), "y": dice.choice([0.5, dice.random()])}
        for number in range(nodes)
    ]
    return {"nodes": made, "edges": _edges(dice, [node["id"] for node in made])}


def star_picture(callers: int) -> Picture:
    """Return a service with very many callers."""
    dice = random.Random(callers)  # noqa: S311 - not a secret
    nodes = [_node(dice, f"caller {number}", -1) for number in range(callers)]
    edges = [{"source": node["id"], "target": "id center", "mode": "sync"} for node in nodes]
    return {"nodes": [_node(dice, "center", 0) | {"isCenter": True}, *nodes], "edges": edges}


def shuffled(picture: Picture, seed: int = 1) -> Picture:
    """Return the same picture, its nodes and edges in another order."""
    dice = random.Random(seed)  # noqa: S311 - not a secret
    return {key: dice.sample(each, len(each)) for key, each in picture.items()}


def _node(dice: random.Random, label: str, column: int | None, kind: str = "service") -> dict[str, Any]:
    node: dict[str, Any] = {
        "id": f"id {label}",
        "label": label,
        "kind": kind,
        "criticality": dice.choice(CRITICALITIES),
    }
    if column is not None:
        node["column"] = column
    if kind == "service":
        return node | {"serviceKind": dice.choice(KINDS), "team": f"team {dice.randrange(9)}"}
    return node | {"count": dice.randrange(1, 9_000)}


def _edges(dice: random.Random, ids: list[str]) -> list[dict[str, Any]]:
    pairs: dict[tuple[str, str], dict[str, Any]] = {}
    for _ in range(2 * len(ids)):
        source, target = dice.sample(ids, 2)
        pairs[source, target] = {
            "source": source,
            "target": target,
            "mode": dice.choice(MODES),
            "criticality": dice.choice(["hard", "soft", "degraded", "unknown"]),
            "count": dice.choice([0, 0, 7, 4_000]),
            "isStale": dice.random() < 0.1,
            "isLowConfidence": dice.random() < 0.1,
        }
    return list(pairs.values())
