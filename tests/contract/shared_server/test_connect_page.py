"""docs/connect.md: each source, from nothing to the first edge, prints what the page says."""

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import grpc
import pytest

from depgraph.v1.dependency_service_pb2 import ListDependenciesRequest
from server.sources.config import load_sources
from tests.support.calls import Stubs
from tests.support.command import ROOT, Command
from tests.support.replay import Answer, Asked, Replay, replaying, vector

pytestmark = pytest.mark.one_transport

PAGE = (ROOT / "docs/connect.md").read_text()
SHOP = ROOT / "tests/data/shop"
SECTION = re.compile(
    r"^## (?P<title>.+)\n(?:(?!^## )(?!```).*\n)*"
    r"```toml\n(?P<toml>(?:.*\n)+?)```\n+```console\n\$ (?P<command>.*)\n(?P<printed>(?:.*\n)+?)```\n",
    re.MULTILINE,
)
ADDRESS = re.compile(r"http://127\.0\.0\.1:\d+")


class Section(NamedTuple):
    title: str
    toml: str
    command: str
    printed: str


SECTIONS = [Section(**found.groupdict()) for found in SECTION.finditer(PAGE)]


def shop(name: str) -> Answer:
    return Answer((SHOP / name).read_bytes())


def prometheus(asked: Asked) -> Answer:
    """Answer a query with the shop's series; there is no gauge, and Istio saw no TCP."""
    query = asked.query["query"]
    if "_connection_info" in query or "istio_tcp" in query:
        return vector()
    name = "prometheus_istio.json" if "istio" in query else "prometheus_servicegraph.json"
    if not query.startswith("count("):
        return shop(name)
    return vector({}, value=str(len(json.loads(shop(name).content)["data"]["result"])))


@pytest.fixture
def replay() -> Iterator[Replay]:
    with replaying() as running:
        running.answers |= {
            "/api/v1/query": prometheus,
            "/api/dependencies": shop("jaeger.json"),
            "/api/v2/dependencies": shop("zipkin.json"),
            "/kiali/api/namespaces": Answer([{"name": "shop"}]),
            "/kiali/api/namespaces/graph": shop("kiali.json"),
            "/api/catalog/entities/by-query": lambda _: Answer(
                {"items": json.loads(shop("backstage_page.json").content)["items"], "pageInfo": {}}
            ),
        }
        yield running


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder with the files that sections name."""
    (tmp_path / "deploy/shop").mkdir(parents=True)
    (tmp_path / "deploy/shop/all.yaml").write_bytes(shop("kubernetes.yaml").content)
    (tmp_path / "exports").mkdir()
    (tmp_path / "exports/jaeger.json").write_bytes(shop("jaeger.json").content)
    return tmp_path


async def test_every_kind_of_source_has_a_section() -> None:
    assert [section.title for section in SECTIONS] == [
        "Prometheus",
        "Istio",
        "Jaeger",
        "Zipkin",
        "Kiali",
        "Backstage",
        "Kubernetes",
        "Files",
    ]


@pytest.mark.parametrize("section", SECTIONS, ids=[section.title for section in SECTIONS])
async def test_a_source_has_its_first_edge_in_under_ten_lines(
    section: Section, quick_command: Command, channel: grpc.aio.Channel, replay: Replay, folder: Path
) -> None:
    assert len(section.toml.splitlines()) + 1 < 10
    file = folder / "sources.toml"
    file.write_text(ADDRESS.sub(replay.url, section.toml))
    program, *arguments = section.command.split()
    assert program == "depgraph"
    finished = await quick_command(*(str(file) if each == file.name else each for each in arguments))
    assert (finished.returncode, finished.stderr) == (0, "")
    assert finished.stdout.split() == section.printed.split(), finished.stdout
    found = await Stubs(channel).dependencies.ListDependencies(ListDependenciesRequest())
    assert len(found.dependencies) > 0


async def test_the_rules_for_names_on_the_page_are_read(tmp_path: Path) -> None:
    (rules,) = re.findall(r"```toml\n(\[source\.names\]\n[^`]+)```", PAGE)
    path = tmp_path / "sources.toml"
    path.write_text(SECTIONS[0].toml + rules)
    (source,) = load_sources(path)
    assert source.names.name_of({"namespace": "default", "service": "cart-v2"}) == "cart"


async def test_the_page_has_a_row_for_each_key_of_the_file() -> None:
    text = (ROOT / "server/sources/config.py").read_text()
    keys = set(re.findall(r'table(?:, |\.\w+\()"(\w+)"', text)) - {"token", "password", "source"}
    listed = set(re.findall(r"`(\w+)`", "\n".join(re.findall(r"^\| (`.*?) \|", PAGE, re.MULTILINE))))
    assert {"every", "ca_file", "headers"} <= keys
    assert keys <= listed
