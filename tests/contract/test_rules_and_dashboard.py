"""Rules, alerts and the dashboard in deploy/ ask for metrics and labels that a server has."""

import json
import re
import subprocess
import sys
from collections.abc import Iterator, Mapping
from datetime import timedelta
from typing import Any

import grpc
import promql_parser as promql
import pytest
import yaml
from prometheus_client.metrics_core import Metric

from depgraph.v1 import graph_service_pb2 as pb
from server.app import Application
from server.metrics import WorkforceCollector, WorkforceMetrics
from tests.support.calls import Stubs
from tests.support.command import ROOT
from tests.support.eventually import eventually
from tests.support.failures import failure_of
from tests.support.required import required_program

pytestmark = pytest.mark.one_transport

RULES = ROOT / "deploy/prometheus/depgraph.rules.yaml"
DASHBOARD = ROOT / "deploy/grafana/depgraph.json"
# Prometheus itself adds these to what it scrapes.
SCRAPED = {"job", "instance"}
UP = {"up": SCRAPED}
# Read from /proc, which only Linux has.
PROCESS = ("cpu_seconds_total", "resident_memory_bytes", "open_fds", "max_fds")
OF_PROCESS = {f"process_{name}": SCRAPED | {"worker"} for name in PROCESS if sys.platform != "linux"}
WIDTH = 24

Known = dict[str, set[str]]


@pytest.fixture
async def known(mesh_reporter: str, application: Application, channel: grpc.aio.Channel) -> Known:
    """The labels of every metric of a supervisor with a worker, by the metric's name."""
    # One call that goes well, one that does not, and one that meets a limit.
    stubs = Stubs(channel)
    await stubs.graph.ListComponents(pb.ListComponentsRequest())
    await failure_of(stubs.graph.GetComponent(pb.GetComponentRequest(service_id="missing")))
    await failure_of(stubs.graph.GetComponent(pb.GetComponentRequest(service_id="x" * 100_000)))
    await eventually(lambda: mesh_reporter in str(list(application.registry.collect())))
    counts = {1: 0}
    families = {1: list(application.registry.collect())}
    workforce = WorkforceMetrics(count=1, restarts=counts, hangs=counts, families=families)
    collected = WorkforceCollector(lambda: workforce).collect()
    return (
        UP | OF_PROCESS | {name: labels | SCRAPED for family in collected for name, labels in samples(family)}
    )


def samples(family: Metric) -> Iterator[tuple[str, set[str]]]:
    for sample in family.samples:
        yield sample.name, set(sample.labels)


def rules() -> list[dict[str, Any]]:
    groups = yaml.safe_load(RULES.read_text())["groups"]
    assert len({group["name"] for group in groups}) == len(groups)
    return [rule for group in groups for rule in group["rules"]]


def selectors(query: str) -> list[Any]:
    """Parse a query, which fails if it is none; returns what it selects."""
    found: list[Any] = []

    def visit(node: Any) -> None:
        if isinstance(node, promql.VectorSelector):
            found.append(node)

    promql.walk(promql.parse(query), visit)
    assert found
    return found


def unknown(query: str, known: Mapping[str, set[str]]) -> list[str]:
    """What a query asks for that no server has."""
    missing = []
    for selector in selectors(query):
        labels = known.get(selector.name)
        if labels is None:
            missing.append(selector.name)
        else:
            wanted = {matcher.name for matcher in selector.matchers.matchers}
            missing += [f"{selector.name}{{{label}}}" for label in sorted(wanted - labels)]
    return missing


def grouped(query: str) -> set[str]:
    """The labels that the result of a query still has, if it says so."""
    return {label.strip() for names in re.findall(r"\bby \(([^)]*)\)", query) for label in names.split(",")}


async def test_rules_ask_for_metrics_and_labels_that_there_are(known: Known) -> None:
    for rule in rules():
        query = rule["expr"]
        assert unknown(query, known) == [], rule
        if "record" in rule:
            known[rule["record"]] = grouped(query) - {"le"}


def test_the_documentation_names_every_metric(known: Known) -> None:
    written = "".join((ROOT / "docs" / name).read_text() for name in ("operations.md", "staleness.md"))
    names = {re.sub("(_bucket|_sum|_count)$", "", name) for name in known.keys() - UP.keys()}
    assert [name for name in sorted(names) if not re.search(rf"`[^`]*{name}\b[^`]*`", written)] == []


def test_a_metric_or_label_that_there_is_not_is_found() -> None:
    has = {"a": {"x"}, "b": set[str]()}
    assert unknown('rate(a{x="1"}[5m]) / b > 0', has) == []
    assert unknown('sum by (y) (a{y="1"}) + c_total', has) == ["a{y}", "c_total"]
    with pytest.raises(ValueError, match="unclosed left parenthesis"):
        unknown("sum by (x) (a", has)


def test_rules_are_complete_and_have_names_of_their_own() -> None:
    names = [rule.get("record") or rule["alert"] for rule in rules()]
    assert len(set(names)) == len(names)
    for rule in rules():
        if "record" in rule:
            assert set(rule) == {"record", "expr"}
            assert re.fullmatch(r"[a-z_]+:[a-z_]+:[a-z0-9_]+", rule["record"])
            continue
        assert set(rule) - {"for"} == {"alert", "expr", "labels", "annotations"}
        assert rule["alert"].startswith("Depgraph")
        assert promql.parse_duration(rule.get("for", "1m")) >= timedelta(minutes=1)
        assert rule["labels"]["severity"] in {"warning", "critical"}
        assert set(rule["annotations"]) == {"summary", "description"}


def test_the_documentation_lists_every_alert() -> None:
    written = (ROOT / "docs/observability.md").read_text()
    alerts = [rule["alert"] for rule in rules() if "alert" in rule]
    assert [alert for alert in alerts if f"`{alert}`" not in written] == []


def test_promtool_accepts_the_rules() -> None:
    subprocess.run([required_program("promtool"), "check", "rules", RULES], check=True)


def panels() -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = json.loads(DASHBOARD.read_text())["panels"]
    return found


async def test_the_dashboard_asks_for_metrics_and_labels_that_there_are(known: Known) -> None:
    dashboard = json.loads(DASHBOARD.read_text())
    variables = {variable["name"]: variable for variable in dashboard["templating"]["list"]}
    queries = [target["expr"] for panel in panels() for target in panel.get("targets", ())]
    queries += [
        re.sub(r"label_values\((.*), \w+\)", r"\1", variable["query"])
        for variable in variables.values()
        if variable["type"] == "query"
    ]
    for query in queries:
        assert set(re.findall(r"\$(\w+)", query)) <= {*variables, "__rate_interval"}
        plain = re.sub(r"\$\w+", "x", query.replace("$__rate_interval", "5m"))
        assert unknown(plain, known) == [], query


def test_panels_have_a_query_and_a_place_of_their_own() -> None:
    taken: set[tuple[int, int]] = set()
    for panel in panels():
        at = panel["gridPos"]
        assert at["x"] + at["w"] <= WIDTH
        place = {(x, y) for x in range(at["x"], at["x"] + at["w"]) for y in range(at["y"], at["y"] + at["h"])}
        assert not place & taken, panel["title"]
        taken |= place
        assert (panel["type"] == "row") is not bool(panel.get("targets")), panel["title"]
        for target in panel.get("targets", ()):
            assert target["datasource"] == {"type": "prometheus", "uid": "${datasource}"}
    assert len({panel["id"] for panel in panels()}) == len(panels())
