"""SuggestAliases over a real channel, and its command. Other tests prove what it finds."""

import asyncio
import json
from collections.abc import Awaitable

import grpc
import pytest
import pytest_asyncio

from depgraph.v1 import catalog_service_pb2 as pb
from depgraph.v1.types_pb2 import Service
from tests.support.calls import FRESH, Stubs, pages
from tests.support.command import Command
from tests.support.failures import failure_of

# Answers are the same on both transports, which only carry them.
pytestmark = pytest.mark.one_transport

PAIRS = [
    ("checkout", "Checkout_Service"),
    ("cart", "cart-v2"),
    ("shop/stock", "stock"),
]


@pytest_asyncio.fixture(loop_scope="module")
async def stubs(channel: grpc.aio.Channel) -> Stubs:
    """Write three pairs, of which the first has calls."""
    stubs = Stubs(channel)
    names = ["checkout", "Checkout_Service", "cart", "cart-v2", "stock", "shop/stock", "a"]
    await stubs.write_edges("a>checkout", "b>checkout", "a>Checkout_Service")
    await stubs.write_services(*names)
    return stubs


async def suggested(
    stubs: Stubs, service_id: str = "", *, page_size: int = 0, min_score: float | None = None
) -> list[pb.AliasSuggestion]:
    def ask(token: str) -> Awaitable[pb.SuggestAliasesResponse]:
        request = pb.SuggestAliasesRequest(
            service_id=service_id,
            page_size=page_size,
            page_token=token,
            min_score=min_score,
            consistency=FRESH,
        )
        return stubs.catalog.SuggestAliases(request)

    return [each async for page in pages(ask) for each in page.suggestions]


def names(pairs: list[pb.AliasSuggestion]) -> list[tuple[str, str]]:
    return [(each.service_id, each.other_service_id) for each in pairs]


async def test_the_most_alike_come_first_page_by_page(stubs: Stubs) -> None:
    found = await suggested(stubs)
    assert sorted(names(found)) == sorted(PAIRS)
    assert [each.score for each in found] == sorted((each.score for each in found), reverse=True)
    first = found[0]
    assert (first.service_id, first.other_service_id) == PAIRS[0]
    assert first.reason == "equal names without the word service; 1 of 1 callers and callees in common"
    for size in (1, 2, 3):
        assert await suggested(stubs, page_size=size) == found


async def test_pairs_of_one_service_and_of_a_least_score(stubs: Stubs) -> None:
    assert names(await suggested(stubs, "cart-v2")) == [("cart", "cart-v2")]
    assert await suggested(stubs, "a") == []
    [best, *others] = await suggested(stubs)
    assert await suggested(stubs, min_score=best.score) == [best]
    assert all(each.score < best.score for each in others)


async def test_the_service_that_a_person_made_would_stay(stubs: Stubs) -> None:
    request = pb.UpdateServiceRequest(service=Service(service_id="checkout", discovered=True))
    await stubs.catalog.UpdateService(request)
    found = names(await suggested(stubs, "checkout"))
    assert found == [("Checkout_Service", "checkout")]


async def test_a_merged_pair_and_its_alias_are_not_suggested(stubs: Stubs) -> None:
    merge = pb.MergeServicesRequest(from_service_id="Checkout_Service", into_service_id="checkout")
    await stubs.catalog.MergeServices(merge)
    assert sorted(names(await suggested(stubs))) == sorted(PAIRS[1:])
    # Asked by the alias, it is the service that is asked for.
    assert await suggested(stubs, "Checkout_Service") == []
    await stubs.write_services("checkout-svc")
    assert names(await suggested(stubs, "Checkout_Service")) == [("checkout", "checkout-svc")]


async def test_what_is_wrong_with_a_request_is_said_by_field(stubs: Stubs) -> None:
    request = pb.SuggestAliasesRequest(min_score=1.5, page_size=-1, page_token="x")
    failure = await failure_of(stubs.catalog.SuggestAliases(request))
    assert failure.fields.keys() == {"min_score", "page_size", "page_token"}
    failure = await failure_of(stubs.catalog.SuggestAliases(pb.SuggestAliasesRequest(service_id="nobody")))
    assert failure.reason == "SERVICE_NOT_FOUND"
    first = await stubs.catalog.SuggestAliases(pb.SuggestAliasesRequest(page_size=1, consistency=FRESH))
    other = pb.SuggestAliasesRequest(page_token=first.next_page_token, min_score=0.1)
    assert (await failure_of(stubs.catalog.SuggestAliases(other))).reason == "INVALID_PAGE_TOKEN"


async def test_callers_at_once_get_the_same_pairs_and_one_that_leaves_disturbs_no_other(
    stubs: Stubs,
) -> None:
    left = asyncio.ensure_future(suggested(stubs))
    await asyncio.sleep(0)
    left.cancel()
    answers = await asyncio.gather(*(suggested(stubs) for _ in range(5)))
    assert all(sorted(names(answer)) == sorted(PAIRS) for answer in answers)


async def test_the_command_prints_pairs_with_what_merges_them(quick_command: Command, stubs: Stubs) -> None:
    await suggested(stubs)
    finished = await quick_command("alias", "suggest")
    assert (finished.returncode, finished.stderr) == (0, "")
    heads, *rows = finished.stdout.splitlines()
    assert heads.split() == ["SCORE", "SERVICE", "OTHER", "NAME", "WHY", "TO", "MERGE", "THEM"]
    assert rows[0].startswith("0.96   checkout")
    assert rows[0].endswith("depgraph alias merge Checkout_Service checkout")
    assert len(rows) == 3
    short = await quick_command("alias", "suggest", "--top", "1", "--min-score", "0.6")
    _, row, more = short.stdout.splitlines()
    assert row.split() == rows[0].split()
    assert "2 more" in more
    of_one = json.loads((await quick_command("alias", "suggest", "stock", "--json")).stdout)
    assert [each["service_id"] for each in of_one["suggestions"]] == ["shop/stock"]
    assert (await quick_command("alias", "suggest", "a")).stdout == "no two services look like one\n"
