"""Pulls of Jaeger, Zipkin, Kiali and Backstage, and of files: the small shop of each format."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from server.formats.kubernetes import read_kubernetes
from server.formats.naming import NameRules
from server.formats.reading import Reading
from server.sources.config import load_sources
from server.sources.pulls import pull
from server.sources.source import PullError, Source
from tests.support.readings import links_of
from tests.support.replay import Answer, Asked, Replay, replaying
from tests.support.sources import source

SHOP = Path(__file__).parents[1] / "data/shop"
CALLS = {("web", "cart"), ("cart", "pricing")}


@pytest.fixture
def replay() -> Iterator[Replay]:
    with replaying() as running:
        yield running


async def failure(wanted: Source, **bounds: int) -> str:
    with pytest.raises(PullError) as error:
        await pull(wanted, **bounds)
    return str(error.value)


@pytest.mark.parametrize(
    ("kind", "path"), [("jaeger", "/api/dependencies"), ("zipkin", "/api/v2/dependencies")]
)
async def test_the_calls_of_the_window_are_asked_for(replay: Replay, kind: str, path: str) -> None:
    replay.answers[path] = Answer((SHOP / f"{kind}.json").read_bytes())
    wanted = source(replay.url, kind=kind, names=NameRules("shop/{service}"))
    assert links_of(await pull(wanted)) == {tuple(f"shop/{name}" for name in call) for call in CALLS}
    (asked,) = replay.asked
    assert asked.query["lookback"] == "300000"
    assert asked.query["endTs"].isdigit()


@pytest.mark.parametrize("body", [{"data": [], "errors": None}, {"data": None}, []])
async def test_jaeger_without_calls_is_an_error_that_names_the_job(replay: Replay, body: Any) -> None:
    replay.answers["/api/dependencies"] = Answer(body)
    said = await failure(source(replay.url, kind="jaeger"))
    assert "until its Spark job (jaeger-spark-dependencies) has run" in said


async def test_an_answer_of_another_kind_is_named_with_its_address(replay: Replay) -> None:
    replay.answers["/api/dependencies"] = Answer(b"<html>sign in</html>")
    assert (await failure(source(replay.url, kind="jaeger"))).startswith(f"{replay.url}: not JSON but")


async def test_kiali_is_asked_for_its_namespaces(replay: Replay) -> None:
    replay.answers["/api/namespaces"] = Answer([{"name": "shop"}, {"name": "pay"}])
    replay.answers["/api/namespaces/graph"] = Answer((SHOP / "kiali.json").read_bytes())
    reading = await pull(source(replay.url, kind="kiali", discovery_source="service_mesh"))
    assert ("web", "cart") in links_of(reading)
    assert replay.asked[1].query["namespaces"] == "shop,pay"
    assert (replay.asked[1].query["duration"], replay.asked[1].query["graphType"]) == ("300s", "app")


async def test_kiali_is_asked_for_the_namespaces_of_the_settings(replay: Replay) -> None:
    replay.answers["/api/namespaces/graph"] = Answer((SHOP / "kiali.json").read_bytes())
    rules = NameRules("{namespace}/{workload}")
    await pull(source(replay.url, kind="kiali", namespaces=("shop",), names=rules))
    (asked,) = replay.asked
    assert (asked.query["namespaces"], asked.query["graphType"]) == ("shop", "workload")


async def test_kiali_that_shows_no_namespace_is_an_error(replay: Replay) -> None:
    replay.answers["/api/namespaces"] = Answer([])
    assert "shows no namespace" in await failure(source(replay.url, kind="kiali"))


def entity(name: str, *depends_on: str) -> dict[str, Any]:
    return {
        "apiVersion": "backstage.io/v1alpha1",
        "kind": "Component",
        "metadata": {"name": name},
        "spec": {
            "type": "service",
            "owner": "shop",
            "dependsOn": [f"component:{each}" for each in depends_on],
        },
    }


async def test_a_catalog_is_read_to_its_last_page(replay: Replay) -> None:
    def page(asked: Asked) -> Answer:
        if "cursor" in asked.query:
            assert asked.query["cursor"] == "second"
            return Answer({"items": [entity("cart", "pricing"), entity("pricing")], "pageInfo": {}})
        return Answer({"items": [entity("web", "cart")], "pageInfo": {"nextCursor": "second"}})

    replay.answers["/api/catalog/entities/by-query"] = page
    assert links_of(await pull(source(replay.url, kind="backstage"))) == CALLS


async def test_a_catalog_that_gives_the_same_page_again_is_an_error(replay: Replay) -> None:
    again = Answer({"items": [entity("web", "cart")], "pageInfo": {"nextCursor": "first"}})
    replay.answers["/api/catalog/entities/by-query"] = again
    assert "the catalog has no last page" in await failure(source(replay.url, kind="backstage"))
    assert len(replay.asked) == 2


async def test_a_page_that_fails_fails_the_pull(replay: Replay) -> None:
    def page(asked: Asked) -> Answer:
        more = {"items": [entity("web", "cart")], "pageInfo": {"nextCursor": "second"}}
        return Answer(b"", 502) if "cursor" in asked.query else Answer(more)

    replay.answers["/api/catalog/entities/by-query"] = page
    assert "HTTP 502" in await failure(source(replay.url, kind="backstage"))


async def read(folder: Path, table: str) -> Reading:
    path = folder / "sources.toml"
    path.write_text(f'[[source]]\nname = "files"\n{table}')
    (wanted,) = load_sources(path)
    return await pull(wanted)


def whole_kubernetes() -> Reading:
    return read_kubernetes((SHOP / "kubernetes.yaml").read_bytes())


async def test_manifests_in_many_files_are_one_cluster(tmp_path: Path) -> None:
    for number, document in enumerate(yaml.safe_load_all((SHOP / "kubernetes.yaml").read_bytes())):
        folder = tmp_path / f"deploy [{number % 3}]"
        folder.mkdir(exist_ok=True)
        (folder / f"{number}.yaml").write_text(yaml.safe_dump(document))
    (tmp_path / "empty.yaml").touch()
    reading = await read(tmp_path, 'kind = "kubernetes"\npath = ["**/*.yaml"]')
    assert links_of(reading) == links_of(whole_kubernetes()) != set()


async def test_files_of_a_catalog_are_one_catalog(tmp_path: Path) -> None:
    (tmp_path / "one.yaml").write_text(yaml.safe_dump(entity("web", "cart")))
    (tmp_path / "two.yaml").write_text(yaml.safe_dump_all([entity("cart", "pricing"), entity("pricing")]))
    assert links_of(await read(tmp_path, 'kind = "backstage"\npath = "*.yaml"')) == CALLS


async def test_files_of_several_formats_are_joined(tmp_path: Path) -> None:
    (tmp_path / "jaeger.json").write_bytes((SHOP / "jaeger.json").read_bytes())
    (tmp_path / "zipkin.json").write_bytes((SHOP / "zipkin.json").read_bytes())
    (tmp_path / "own.json").write_text(
        '{"discovery_source": "DISCOVERY_SOURCE_MANUAL", "edges": [{"source_service_id": "a",'
        ' "target_service_id": "b", "communication_mode": "COMMUNICATION_MODE_SYNC"}]}'
    )
    reading = await read(tmp_path, 'kind = "file"\npath = "*.json"\ndiscovery_source = "otel_service_graph"')
    assert links_of(reading) == {*CALLS, ("a", "b")}
    assert reading.element_count == 7
    assert sum(each.count for each in reading.skipped) == 2


@pytest.mark.parametrize(
    ("content", "expected"),
    [(None, "there is no file"), (b"- [", "bad.yaml: not YAML"), (b"kind: Pod", "no manifest of Kubernetes")],
)
async def test_files_that_can_not_be_used_are_named(
    tmp_path: Path, content: bytes | None, expected: str
) -> None:
    if content is not None:
        (tmp_path / "bad.yaml").write_bytes(content)
    with pytest.raises(PullError, match=expected):
        await read(tmp_path, 'kind = "kubernetes"\npath = "*.yaml"')


async def test_files_of_too_many_bytes_are_not_read(tmp_path: Path) -> None:
    (tmp_path / "large.yaml").write_bytes(b"#" * 100)
    wanted = source("", kind="kubernetes", paths=(str(tmp_path / "*.yaml"),))
    assert "take too many bytes" in await failure(wanted, max_bytes=99)
