"""
What the console is shown with: a company of 40 teams, names of every nasty kind, a hub of packages.

The first two are files for ``depgraph import json`` (``--seed-file``), the last is written by SQL.
All are the same every time.
"""

import random
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Any

import asyncpg


def _words(text: str) -> list[str]:
    return text.split()


TEAMS = _words(
    "accounts ads analytics billing booking catalog chat content coupons delivery disputes email events"
    " experiments feedback finance fraud fulfilment growth identity images inventory invoices legal"
    " loyalty maps media messaging mobile notifications orders partners payments platform pricing"
    " reviews risk search shipping support"
)
ROLES = _words(
    "gateway web api worker scheduler importer exporter indexer mailer reports cache queue database audit"
    " rules sync proxy jobs admin ledger quotes router store archive webhooks"
)
SERVICES = len(TEAMS) * len(ROLES)
KINDS = {"gateway": "GATEWAY", "cache": "DATABASE", "queue": "QUEUE", "database": "DATABASE"}
CRITICALITIES = {
    "gateway": "CRITICAL",
    "api": "CRITICAL",
    "database": "HIGH",
    "web": "HIGH",
    "reports": "LOW",
}
# A team's own calls.
INNER = _words(
    "gateway>web gateway>api web>api web>cache api>database api>cache api>queue worker>queue worker>database"
    " scheduler>jobs jobs>database importer>api exporter>store indexer>database mailer>queue reports>archive"
    " audit>archive rules>cache sync>api proxy>gateway admin>api ledger>database quotes>rules router>proxy"
    " webhooks>queue api>rules api>ledger worker>mailer store>archive"
)
# These are called by all others.
SHARED = ("platform", "identity", "messaging")
OLD = "2026-01-02T03:04:05Z"


def company_of_teams() -> list[dict[str, Any]]:
    """
    Return 1,000 services in 40 teams as five discovery sources report them.

    It has cycles within and between teams, dependencies that only one side reports, some of low
    confidence, and, on a server that marks what traces have not seen for a week, stale ones.
    """
    return _Company().reports()


@dataclass(slots=True)
class _Company:
    dice: random.Random = field(default_factory=lambda: random.Random(40))  # noqa: S311 - not a secret

    def reports(self) -> list[dict[str, Any]]:
        edges = [_edge(source, target) for source, target in sorted(self._calls())]
        manual = [self._declared(each) for each in edges if self.dice.random() < 0.5]
        return [
            _report(
                "KUBERNETES", self._some(edges, 0.6), [_node(team, role) for team in TEAMS for role in ROLES]
            ),
            _report("MANUAL", manual),
            _report("OTEL_SERVICE_GRAPH", [self._unsure(each) for each in self._some(edges, 0.7)]),
            _report("OTEL_SERVICE_GRAPH", self._some(edges, 0.1), observe_time=OLD, reporter="old-cluster"),
            _report("SERVICE_MESH", self._some(edges, 0.3), reporter="mesh-eu"),
            _report("CATALOG", self._some(edges, 0.1)),
        ]

    def _calls(self) -> set[tuple[str, str]]:
        calls = set()
        for team in TEAMS:
            calls |= {(f"{team}-{source}", f"{team}-{target}") for source, target in map(_ends, INNER)}
            calls |= {
                (f"{team}-api", f"{other}-api") for other in self.dice.sample(TEAMS, 3) if other != team
            }
            calls |= {(f"{team}-worker", f"{other}-queue") for other in self.dice.sample(TEAMS, 2)}
            calls |= {(f"{team}-{role}", "platform-audit") for role in ROLES if self.dice.random() < 0.7}
            calls |= {(f"{team}-gateway", f"{other}-api") for other in SHARED if other != team}
        ring = [f"{team}-webhooks" for team in TEAMS[:6]]
        calls |= set(pairwise([*ring, ring[0]]))
        return {(source, target) for source, target in calls if source != target}

    def _some(self, edges: list[dict[str, Any]], share: float) -> list[dict[str, Any]]:
        return [each for each in edges if self.dice.random() < share]

    def _declared(self, edge: dict[str, Any]) -> dict[str, Any]:
        declared = edge | {
            "criticality": f"DEPENDENCY_CRITICALITY_{self.dice.choice(('HARD', 'SOFT', 'DEGRADED'))}"
        }
        if edge["communication_mode"].endswith("_SYNC"):
            declared |= {"timeout_ms": self.dice.choice((200, 500, 1_000, 3_000)), "protocol": "grpc"}
        if self.dice.random() < 0.3:
            declared["retry_config"] = {"max_retries": 2, "backoff_strategy": "BACKOFF_STRATEGY_EXPONENTIAL"}
        return declared

    def _unsure(self, edge: dict[str, Any]) -> dict[str, Any]:
        low = self.dice.random() < 0.08
        return edge | {
            "confidence_score": round(self.dice.uniform(0.1, 0.4) if low else self.dice.uniform(0.7, 1), 2)
        }


def _ends(call: str) -> tuple[str, str]:
    source, target = call.split(">")
    return source, target


def _node(team: str, role: str) -> dict[str, Any]:
    return {
        "service_id": f"{team}-{role}",
        "team": team,
        "kind": f"SERVICE_KIND_{KINDS.get(role, 'SERVICE')}",
        "criticality": f"CRITICALITY_{CRITICALITIES.get(role, 'MEDIUM')}",
        "metadata": {"namespace": f"prod-{TEAMS.index(team) % 8}", "language": "Go"},
    }


def _edge(source: str, target: str) -> dict[str, Any]:
    mode = "ASYNC" if target.endswith("-queue") else "UNKNOWN" if target.endswith("-archive") else "SYNC"
    return {
        "source_service_id": source,
        "target_service_id": target,
        "communication_mode": f"COMMUNICATION_MODE_{mode}",
    }


def _report(
    source: str, edges: list[dict[str, Any]], nodes: list[dict[str, Any]] | None = None, **more: str
) -> dict[str, Any]:
    return {"discovery_source": f"DISCOVERY_SOURCE_{source}", "nodes": nodes or [], "edges": edges} | more


# Every character that a name may hold and a page may stumble over.
NASTY_NAMES = (
    "<script>alert(1)</script>",
    "<img src=x onerror=alert(1)>",
    "</title></svg><b>bold</b>",
    "&amp;&lt;",
    "a\"b'c`d",
    "path/with/slashes/",
    "..",
    "../../etc/passwd",
    "back\\slash",
    "100%",
    "%2F%41%",
    "a#b",
    "a?b=c&d=e",
    "plus + and  two spaces",
    "comma,semicolon;colon:",
    "{{constructor.constructor('x')()}}",
    "${alert(1)}",
    "javascript:alert(1)",
    "__proto__",
    "constructor",
    "null",
    "0",
    "שירות תשלומים",
    "خدمة-الدفع",
    # Turns the direction of what follows it.
    "report\u202egnp.exe",
    "zero\u200bwidth\u200djoined",
    "👩\u200d👩\u200d👧 family 🛒",
    # Combining characters that no single character stands for.
    "z\u0335\u0322\u0351a\u0334l\u0337g\u0336o\u0338",
    "服務-支付",
    "W" * 255,
    "ﷺ" * 255,
    ("long words " * 24)[:255],
)
NASTY_CENTER = "nasty <b>center</b>"


def nasty_names() -> list[dict[str, Any]]:
    """Return a cycle of services with these names; the center calls all others, too."""
    calls = [(NASTY_CENTER, name) for name in NASTY_NAMES]
    calls += pairwise([*NASTY_NAMES, NASTY_CENTER])
    nodes = [
        {
            "service_id": name,
            "team": name,
            "metadata": {name: name, "namespace": name},
            "criticality": criticality,
        }
        for name, criticality in [
            (NASTY_CENTER, "CRITICALITY_CRITICAL"),
            *((name, "CRITICALITY_HIGH") for name in NASTY_NAMES),
        ]
    ]
    edges = [_edge(source, target) | {"protocol": source[:50]} for source, target in calls]
    return [_report("MANUAL", edges, nodes, reporter=NASTY_NAMES[0])]


PACKAGES, CALLERS, PACKAGE_CALLS = 57_819, 21_808, 244_451
PACKAGE_HUB = "library-0"

_PACKAGES = """
INSERT INTO services (service_id, team, criticality, discovered)
SELECT name, team, criticality, true
FROM unnest($1::text[], $2::text[], $3::text[]) AS package (name, team, criticality)
"""
_CALLS = """
INSERT INTO service_dependencies (source_service_id, target_service_id, communication_mode, discovery_source)
SELECT source.id, target.id, 'sync', 'otel_service_graph'
FROM unnest($1::text[], $2::text[]) AS call (source, target)
JOIN services AS source ON source.service_id = call.source
JOIN services AS target ON target.service_id = call.target
"""


async def write_packages(connection: asyncpg.Connection) -> None:
    """Write as many services and dependencies as Debian has packages: one is called by 21,808."""
    dice = random.Random(12)  # noqa: S311 - not a secret
    names = [PACKAGE_HUB, *(f"{dice.choice(ROLES)}-{number}" for number in range(1, PACKAGES))]
    teams = [dice.choice(TEAMS) if dice.random() < 0.9 else None for _ in names]
    criticalities = ["critical", *(dice.choice(("high", "medium", "medium", "low")) for _ in names[1:])]
    calls = {(number, 0) for number in dice.sample(range(1, PACKAGES), CALLERS)}
    while len(calls) < PACKAGE_CALLS:
        # Targets have hubs, too, and lie below their callers, but for a few that close cycles.
        source, target = dice.randrange(1, PACKAGES), 1 + int((PACKAGES - 1) * dice.random() ** 3)
        if source > target or (source != target and dice.random() < 0.001):
            calls.add((source, target))
    pairs = [(names[source], names[target]) for source, target in sorted(calls)]
    await connection.execute(_PACKAGES, names, teams, criticalities, timeout=600)
    await connection.execute("ANALYZE services", timeout=600)
    for start in range(0, len(pairs), 50_000):
        sources, targets = zip(*pairs[start : start + 50_000], strict=True)
        await connection.execute(_CALLS, sources, targets, timeout=600)
    await connection.execute("ANALYZE service_dependencies", timeout=600)
