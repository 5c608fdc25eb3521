"""``depgraph audit`` and ``depgraph drift`` against the real server."""

import json
import re

import grpc
import pytest

from depgraph.v1.dependency_service_pb2 import DeleteDependencyRequest
from depgraph.v1.graph_service_pb2 import ListComponentsRequest
from depgraph.v1.types_pb2 import DISCOVERY_SOURCE_SERVICE_MESH, RetryConfig
from tests.support.calls import FRESH, Stubs
from tests.support.command import Command

# What the command prints does not depend on the transport.
pytestmark = pytest.mark.one_transport

TIME = re.compile(r"\d{4}-\d\d-\d\d \d\d:\d\d")


async def test_audit_lists_timeouts_and_retries(quick_command: Command, online_shop: None) -> None:
    finished = await quick_command("audit")
    assert (finished.returncode, finished.stderr) == (0, "")
    assert finished.stdout.splitlines() == [
        "2 timeouts that do not shrink",
        "EXCESS  PATH                            CALLER WAITS  SERVICE WAITS",
        "50 ms   promotions → loyalty → pricing  150 ms        200 ms",
        "0 ms    pricing → promotions → loyalty  150 ms        150 ms",
        "",
        "2 services from which one call may become more than 10 attempts",
        "ATTEMPTS  FACTORS    PATH",
        "18        3 × 3 × 2  checkout → cart → catalog → inventory",  # noqa: RUF001 - as it is printed
        "18        3 × 3 × 2  storefront → cart → catalog → inventory",  # noqa: RUF001
        "",
        "audited: 24 synchronous dependencies, 20 with a timeout, 16 with retries",
    ]


async def test_audit_and_drift_say_what_they_know_nothing_of(
    quick_command: Command, channel: grpc.aio.Channel
) -> None:
    stubs = Stubs(channel)

    async def printed(*arguments: str) -> list[str]:
        # The command asks memory; this waits for it.
        await stubs.graph.ListComponents(ListComponentsRequest(consistency=FRESH))
        return (await quick_command(*arguments)).stdout.splitlines()

    assert await printed("audit") == ["nothing to audit: no synchronous dependency passes"]
    assert await printed("drift") == ["nothing is declared or observed: there is nothing to compare with"]
    await stubs.write_edges("a>b")
    assert await printed("audit") == [
        "no dependency has a timeout: nothing is known of timeouts",
        "",
        "no dependency has a retry configuration: nothing is known of retries",
        "",
        "audited: 1 synchronous dependency, 0 with a timeout, 0 with retries",
    ]
    assert (await printed("drift"))[0] == "nothing is observed: there is nothing to compare with"
    assert await printed("drift", "--kind", "not-declared") == [
        "nothing is observed: there is nothing to compare with"
    ]
    await stubs.write_edges("a>b", discovery_source=DISCOVERY_SOURCE_SERVICE_MESH)
    assert await printed("drift") == ["no drift"]
    [declared] = await stubs.write_edges("a>b")
    await stubs.dependencies.DeleteDependency(DeleteDependencyRequest(id=declared.id))
    assert (await printed("drift", "b"))[0] == "nothing is declared: there is nothing to compare with"


async def test_an_effective_audit_names_the_source_of_a_timeout(
    quick_command: Command, online_shop: None, channel: grpc.aio.Channel
) -> None:
    plain = (await quick_command("audit")).stdout.splitlines()
    assert (await quick_command("audit", "--effective")).stdout.splitlines()[:-1] == plain[:-1], (
        "one source knows of each"
    )
    stubs = Stubs(channel)
    mesh = DISCOVERY_SOURCE_SERVICE_MESH
    await stubs.write_edges("p>q", "q>r")
    await stubs.write_edges("p>q", "q>r", timeout_ms=700, discovery_source=mesh)
    await stubs.graph.ListComponents(ListComponentsRequest(consistency=FRESH))
    printed = (await quick_command("audit", "p", "--effective")).stdout.splitlines()
    assert printed[2].split("  ")[-2:] == ["700 ms (service mesh)", "700 ms (service mesh)"]


async def test_findings_exit_with_3_with_the_exit_code_option(
    quick_command: Command, online_shop: None
) -> None:
    assert (await quick_command("audit", "--exit-code")).returncode == 3
    clean = await quick_command("audit", "shipping", "--exit-code")
    assert (clean.returncode, clean.stderr) == (0, "")
    assert clean.stdout == "nothing to audit: no synchronous dependency passes\n"
    clean = await quick_command("audit", "catalog", "--exit-code")
    assert (clean.returncode, clean.stderr) == (0, "")
    assert clean.stdout.splitlines()[:-2] == [
        "0 timeouts that do not shrink",
        "",
        "0 services from which one call may become more than 10 attempts",
    ]
    assert (await quick_command("drift", "--exit-code")).returncode == 3
    assert (await quick_command("drift", "accounts", "--kind", "not-declared", "--exit-code")).returncode == 0


async def test_audit_can_be_limited_to_a_service_and_a_filter(
    quick_command: Command, online_shop: None
) -> None:
    finished = await quick_command("audit", "checkout", "--max-hops", "2", "--max-attempts", "1")
    assert finished.stdout.splitlines()[-3] == "9         3 × 3    checkout → cart → catalog"  # noqa: RUF001
    first = await quick_command("audit", "--top", "1", "--max-attempts", "17")
    assert "… and 1 more (--top lists up to 1,000)" in first.stdout
    soft = await quick_command(
        "audit", "--criticality", "hard", "--source", "manual", "--min-confidence", "1"
    )
    assert soft.stdout.startswith("0 timeouts")


async def test_the_source_of_a_timeout_is_named_unless_manual(
    quick_command: Command, channel: grpc.aio.Channel
) -> None:
    stubs = Stubs(channel)
    retries = RetryConfig(max_retries=3)
    await stubs.write_edges("a>b", timeout_ms=1_000, retry_config=retries)
    await stubs.write_edges("b>c", timeout_ms=2_500, discovery_source=DISCOVERY_SOURCE_SERVICE_MESH)
    await stubs.graph.ListComponents(ListComponentsRequest(consistency=FRESH))
    finished = await quick_command("audit", "--max-attempts", "3")
    assert finished.stdout.splitlines() == [
        "1 timeout that does not shrink",
        "EXCESS    PATH       CALLER WAITS  SERVICE WAITS",
        "1,500 ms  a → b → c  1,000 ms      2,500 ms (service mesh)",
        "",
        "1 service from which one call may become more than 3 attempts",
        "ATTEMPTS  FACTORS  PATH",
        "4         4        a → b",
        "",
        "audited: 2 synchronous dependencies, 2 with a timeout, 1 with retries",
    ]


async def test_audit_prints_json(quick_command: Command, online_shop: None) -> None:
    answer = json.loads((await quick_command("audit", "--json", "--include-stale")).stdout)
    assert (answer["timeout_count"], answer["retry_count"], answer["truncated"]) == ("2", "2", False)
    assert answer["timeouts"][0]["callee_dependency"]["target_service_id"] == "pricing"
    assert answer["retries"][0]["service_ids"] == ["checkout", "cart", "catalog", "inventory"]


async def test_drift_is_listed_by_name(quick_command: Command, online_shop: None) -> None:
    finished = await quick_command("drift", "search")
    assert (finished.returncode, finished.stderr) == (0, "")
    assert TIME.sub("<time>", finished.stdout).splitlines() == [
        "3 calls declared but not observed, or observed but not declared",
        "CALL                 DRIFT         SINCE (UTC)       KNOWN AS",
        "search → catalog     not observed  <time>  async degraded kafka",
        "search → pricing     not declared  <time>  sync hard (otel service graph) confidence 0.6",
        "storefront → search  not observed  <time>  sync degraded http 500 ms",
    ]


async def test_drift_lists_contradictions_of_a_source_and_drift_of_a_team(
    quick_command: Command, online_shop: None, channel: grpc.aio.Channel
) -> None:
    none = await quick_command("drift", "--kind", "contradicted", "--exit-code", "--source", "service_mesh")
    assert (none.returncode, none.stdout) == (0, "no contradictions\n")
    stubs = Stubs(channel)
    await stubs.write_edges("search>catalog", discovery_source=DISCOVERY_SOURCE_SERVICE_MESH)
    await stubs.graph.ListComponents(ListComponentsRequest(consistency=FRESH))
    found = await quick_command("drift", "--kind", "contradicted", "--exit-code", "--source", "service_mesh")
    assert found.returncode == 3
    assert TIME.sub("<time>", found.stdout).splitlines() == [
        "1 call whose sources contradict each other about mode or criticality",
        "CALL              DRIFT         SINCE (UTC)       KNOWN AS",
        "search → catalog  contradicted  <time>  async degraded kafka + sync hard (service mesh)",
    ]
    of_team = await quick_command("drift", "search", "--team", "commerce", "--kind", "not-declared")
    assert "search → pricing" in of_team.stdout
    assert (await quick_command("drift", "search", "--team", "nobody")).stdout == "no drift\n"


async def test_drift_says_how_many_calls_are_left_out(quick_command: Command, online_shop: None) -> None:
    some, whole = await quick_command("drift", "--top", "5"), await quick_command("drift", "--top", "0")
    assert some.stdout.splitlines()[-1] == "… and 19 more (--top 0 lists all)"
    first, lines = some.stdout.splitlines()[2:-1], whole.stdout.splitlines()[2:]
    assert [line.split() for line in first] == [line.split() for line in lines[:5]]
    assert len(lines) == 24
    none = await quick_command("drift", "accounts", "--kind", "not-declared", "--ignore-stale")
    assert none.stdout == "no drift\n"


async def test_drift_prints_all_as_json(quick_command: Command, online_shop: None) -> None:
    answer = json.loads((await quick_command("drift", "--json", "--top", "1")).stdout)
    assert (len(answer["drifts"]), answer["total_count"]) == (24, "24")
    assert answer["drifts"][0]["kind"] == "DRIFT_KIND_NOT_OBSERVED"
    assert "next_page_token" not in answer


async def test_an_unknown_service_gets_similar_names(quick_command: Command, online_shop: None) -> None:
    for command in ("audit", "drift"):
        finished = await quick_command(command, "chekout")
        assert finished.returncode == 2
        assert finished.stderr == "depgraph: no service named 'chekout': did you mean 'checkout'?\n"
