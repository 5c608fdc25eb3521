"""The drawing library of the console: where nodes stand, how edges run, how a picture is used."""

import itertools
import re
from collections import Counter
from typing import TYPE_CHECKING, Any
from xml.etree import ElementTree as ET

import pytest
import pytest_asyncio

from tests.support.browser import Console, Troubles, new_page
from tests.support.console_worlds import NASTY_NAMES
from tests.support.drawn_pictures import Picture, columns_picture, placed_picture, shuffled, star_picture

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from playwright.async_api import Browser, Page

PICTURES = [
    pytest.param(columns_picture(1, 12), id="few"),
    pytest.param(columns_picture(2, 40, columns=9), id="eight columns beside the middle"),
    pytest.param(columns_picture(3, 150, columns=5, groups=20), id="150 with groups"),
    pytest.param(columns_picture(4, 299, columns=3), id="300"),
    pytest.param(star_picture(299), id="299 callers"),
    pytest.param(placed_picture(5, 40), id="a map"),
    pytest.param(placed_picture(6, 120), id="a large map"),
]
LAYOUT = """
async (picture) => {
  const { layout } = await import("/graph/layout.js");
  const { routes } = await import("/graph/routes.js");
  const plan = layout(picture);
  const ways = routes(plan, picture.edges);
  return {
    boxes: [...plan.boxes].map(([id, { x, y, width, height }]) => ({ id, x, y, width, height })),
    frame: plan.frame,
    ways: ways.map(({ edge, line, arrow }) => ({ source: edge.source, target: edge.target, line, arrow })),
  };
}
"""
DRAW = """
async (picture) => {
  const { draw } = await import("/graph/draw.js");
  const room = document.createElement("div");
  room.id = "drawn";
  room.style.height = "600px";
  document.getElementById("main").replaceChildren(room);
  window.acts = [];
  window.drawing = draw(room, picture, {
    label: "a picture",
    onopen: (node) => window.acts.push(`open ${node.label}`),
    onselect: (node) => window.acts.push(`select ${node.label}`),
  });
}
"""
# Two boxes may touch by this much, in pixels: sums of floats.
TOUCH = 0.01


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def page(browser: "Browser", console: Console) -> "AsyncIterator[Page]":
    """One page for all tests, whose modules they call."""
    troubles = Troubles()
    opened = await new_page(browser, console.url, troubles)
    await console.view(opened, "#/status")
    yield opened
    await opened.context.close()
    assert troubles.found == []


async def laid_out(page: "Page", picture: Picture) -> dict[str, Any]:
    """Call the layout in the page."""
    plan: dict[str, Any] = await page.evaluate(LAYOUT, picture)
    return plan


@pytest.mark.parametrize("picture", PICTURES)
async def test_no_two_nodes_overlap_and_all_are_in_the_frame(page: "Page", picture: Picture) -> None:
    plan = await laid_out(page, picture)
    boxes = plan["boxes"]
    assert {box["id"] for box in boxes} == {node["id"] for node in picture["nodes"]}
    for a, b in itertools.combinations(boxes, 2):
        beside = a["x"] + a["width"] <= b["x"] + TOUCH or b["x"] + b["width"] <= a["x"] + TOUCH
        above = a["y"] + a["height"] <= b["y"] + TOUCH or b["y"] + b["height"] <= a["y"] + TOUCH
        assert beside or above, (a, b)
    frame = plan["frame"]
    for box in boxes:
        assert frame["x"] <= box["x"]
        assert box["x"] + box["width"] <= frame["x"] + frame["width"]
        assert frame["y"] <= box["y"]
        assert box["y"] + box["height"] <= frame["y"] + frame["height"]


@pytest.mark.parametrize("picture", PICTURES)
async def test_the_order_of_nodes_and_edges_does_not_change_the_layout(
    page: "Page", picture: Picture
) -> None:
    first, second = await laid_out(page, picture), await laid_out(page, shuffled(picture))
    assert sorted(map(str, first["boxes"])) == sorted(map(str, second["boxes"]))
    assert sorted(map(str, first["ways"])) == sorted(map(str, second["ways"]))


@pytest.mark.parametrize("picture", PICTURES)
async def test_every_edge_is_one_line_from_the_border_of_its_source_to_that_of_its_target(
    page: "Page", picture: Picture
) -> None:
    plan = await laid_out(page, picture)
    drawn = Counter((way["source"], way["target"]) for way in plan["ways"])
    assert drawn == Counter((edge["source"], edge["target"]) for edge in picture["edges"])
    stacked = {node["id"] for node in picture["nodes"] if node["kind"] == "group" and "x" in node}
    boxes = {box["id"]: _stack(box) if box["id"] in stacked else box for box in plan["boxes"]}
    for way in plan["ways"]:
        start, tip = _points(way["line"])[0], _points(way["arrow"])[0]
        assert _is_on_border(start, boxes[way["source"]]), way
        assert _is_on_border(tip, boxes[way["target"]]), way


@pytest.mark.parametrize("seed", range(4))
async def test_an_edge_between_columns_runs_behind_no_box(page: "Page", seed: int) -> None:
    """Sampled along the line, but for its two ends."""
    picture = columns_picture(seed, 60, columns=7)
    columns = {node["id"]: node["column"] for node in picture["nodes"]}
    plan = await laid_out(page, picture)
    ways = [way for way in plan["ways"] if columns[way["source"]] != columns[way["target"]]]
    assert len(ways) > 40
    crossed: list[Any] = await page.evaluate(
        """
        ({ ways, boxes }) => {
          const path = document.createElementNS("http://www.w3.org/2000/svg", "path");
          const inside = ({ x, y }, box) =>
            x > box.x + 1 && x < box.x + box.width - 1 && y > box.y + 1 && y < box.y + box.height - 1;
          return ways.filter(({ line, source, target }) => {
            path.setAttribute("d", line);
            const length = path.getTotalLength();
            const others = boxes.filter(({ id }) => id !== source && id !== target);
            for (let at = 0; at < length; at += 3) {
              const point = path.getPointAtLength(at);
              if (others.some((box) => inside(point, box))) return true;
            }
            return false;
          });
        }
        """,
        {"ways": ways, "boxes": plan["boxes"]},
    )
    assert crossed == []


async def test_columns_stand_from_left_to_right(page: "Page") -> None:
    picture = columns_picture(8, 60, columns=5)
    boxes = {box["id"]: box for box in (await laid_out(page, picture))["boxes"]}
    by_column: dict[int, list[Any]] = {}
    for node in picture["nodes"]:
        by_column.setdefault(node["column"], []).append(boxes[node["id"]])
    for left, right in itertools.pairwise(sorted(by_column)):
        assert max(box["x"] + box["width"] for box in by_column[left]) < min(
            box["x"] for box in by_column[right]
        )


async def test_pairs_that_need_not_cross_do_not_cross(page: "Page") -> None:
    """Eight chains through three columns, whose names would order them otherwise in each."""
    orders = ["abcdefgh", "hgfedcba", "dhbfaecg"]
    nodes = [
        {"id": f"{column} {chain}", "label": place, "kind": "service", "column": column}
        for column, order in enumerate(orders, start=-1)
        for chain, place in zip("abcdefgh", order, strict=True)
    ]
    edges = [
        {"source": f"{column} {chain}", "target": f"{column + 1} {chain}", "mode": "sync"}
        for column in (-1, 0)
        for chain in "abcdefgh"
    ]
    boxes = {box["id"]: box for box in (await laid_out(page, {"nodes": nodes, "edges": edges}))["boxes"]}
    heights = [
        [chain for _, chain in sorted((boxes[f"{column} {chain}"]["y"], chain) for chain in "abcdefgh")]
        for column in (-1, 0, 1)
    ]
    assert heights[0] == heights[1] == heights[2]


async def test_names_of_every_kind_are_text_cut_to_their_box(page: "Page") -> None:
    names = [*NASTY_NAMES, "center"]
    nodes = [
        {"id": name, "label": name, "kind": "service", "column": 0 if name == "center" else 1, "team": name}
        for name in names
    ]
    edges = [{"source": "center", "target": name, "mode": "sync"} for name in NASTY_NAMES]
    await page.evaluate(DRAW, {"nodes": nodes, "edges": edges})
    shown = await page.evaluate(
        """
        () => [...document.querySelectorAll("#drawn .node")].map((node) => ({
          spoken: node.getAttribute("aria-label"),
          title: node.querySelector("title").textContent,
          text: node.querySelector(".name").textContent,
          over: node.querySelector(".name").getBBox().width - node.querySelector(".box").getBBox().width,
        }))
        """
    )
    assert {each["title"].split("\n")[0] for each in shown} == set(names)
    for each in shown:
        name = each["title"].split("\n")[0]
        assert each["spoken"].startswith(name)
        assert each["text"] == name or (each["text"].endswith("…") and len(each["text"]) < len(name))
        assert each["over"] < 0, each
    elements = await page.evaluate(
        "() => [...new Set([...document.querySelectorAll('#drawn svg *')].map((each) => each.localName))]"
    )
    assert set(elements) <= {"g", "path", "text", "title", "circle"}


async def test_a_node_is_named_with_criticality_kind_hops_and_calls(page: "Page") -> None:
    nodes = [
        {"id": "c", "label": "checkout", "kind": "service", "column": 0, "isCenter": True},
        {
            "id": "p",
            "label": "payments",
            "kind": "service",
            "column": -1,
            "criticality": "CRITICALITY_CRITICAL",
        },
        {"id": "q", "label": "mail", "kind": "service", "column": 2, "serviceKind": "SERVICE_KIND_QUEUE"},
        {"id": "g", "label": "web", "kind": "group", "column": -2, "count": 1_204, "criticality": "high"},
    ]
    edges = [
        {"source": "p", "target": "c", "mode": "sync"},
        {"source": "c", "target": "q", "mode": "async", "isStale": True},
    ]
    await page.evaluate(DRAW, {"nodes": nodes, "edges": edges})
    spoken = await page.locator("#drawn .node").evaluate_all(
        "(nodes) => nodes.map((node) => node.getAttribute('aria-label'))"
    )
    assert sorted(spoken) == [
        "checkout, criticality unknown, in focus, 1 arrow in, 1 out",
        "mail, criticality unknown, queue, 2 hops downstream, called by checkout asynchronously, stale",
        "payments, critical, 1 hop upstream, calls checkout synchronously",
        "web, group of 1,204 services, high, 2 hops upstream",
    ]


async def test_arrow_keys_go_to_the_node_that_lies_there_and_enter_opens_it(page: "Page") -> None:
    await page.evaluate(DRAW, columns_picture(9, 14))
    await page.locator("#drawn [tabindex='0']").focus()
    assert await _focused(page) == "center"
    before = await _place(page)
    for key, axis, sign in [("Right", 0, 1), ("Down", 1, 1), ("Left", 0, -1), ("Up", 1, -1)]:
        await page.keyboard.press(f"Arrow{key}")
        here = await _place(page)
        assert (here[axis] - before[axis]) * sign > 0, key
        assert await page.locator("#drawn .node[tabindex='0']").count() == 1
        before = here
    await page.keyboard.press("Enter")
    await page.keyboard.press(" ")
    name = await _focused(page)
    assert await page.evaluate("window.acts") == [f"open {name}", f"select {name}"]


async def test_every_node_is_reached_by_arrow_keys(page: "Page") -> None:
    picture = columns_picture(10, 40, columns=5)
    await page.evaluate(DRAW, picture)
    reached = await page.evaluate(
        """
        () => {
          const press = (key) => document.activeElement.dispatchEvent(
            new KeyboardEvent("keydown", { key, bubbles: true, cancelable: true }));
          document.querySelector("#drawn [tabindex='0']").focus();
          const seen = new Set();
          const work = [document.activeElement];
          while (work.length) {
            const node = work.pop();
            if (seen.has(node)) continue;
            seen.add(node);
            for (const key of ["ArrowLeft", "ArrowRight", "ArrowUp", "ArrowDown"]) {
              node.focus();
              press(key);
              work.push(document.activeElement);
            }
          }
          return seen.size;
        }
        """
    )
    assert reached == len(picture["nodes"])


async def test_focus_lights_a_node_with_its_neighbours_and_escape_ends_it(page: "Page") -> None:
    picture = columns_picture(11, 20)
    await page.evaluate(DRAW, picture)
    await page.locator("#drawn [tabindex='0']").focus()
    await page.keyboard.press("Home")
    near = {"id center"}
    for edge in picture["edges"]:
        if "id center" in (edge["source"], edge["target"]):
            near |= {edge["source"], edge["target"]}
    labels = {node["id"]: node["label"] for node in picture["nodes"]}
    lit = page.locator("#drawn .lit .node.near title")
    titles = {text.split("\n")[0] for text in await lit.all_text_contents()}
    assert titles == {labels[each] for each in near}
    assert len(near) < len(picture["nodes"])
    await page.keyboard.press("Escape")
    assert await page.locator("#drawn .lit").count() == 0


async def test_the_wheel_zooms_about_the_pointer_and_dragging_moves(page: "Page") -> None:
    await page.evaluate(DRAW, columns_picture(12, 30))
    node = page.locator("#drawn .node.center .box").last
    box = await node.bounding_box()
    assert box
    x, y = box["x"] + box["width"] / 2, box["y"] + box["height"] / 2
    await page.mouse.move(x, y)
    await page.mouse.wheel(0, -300)
    await _moved(page)
    larger = await node.bounding_box()
    assert larger
    assert larger["width"] > box["width"] * 1.2
    assert larger["x"] + larger["width"] / 2 == pytest.approx(x, abs=2)
    assert larger["y"] + larger["height"] / 2 == pytest.approx(y, abs=2)
    await page.mouse.down()
    await page.mouse.move(x + 30, y + 20)
    await page.mouse.move(x + 60, y - 40)
    await page.mouse.up()
    await _moved(page)
    dragged = await node.bounding_box()
    assert dragged
    assert dragged["x"] - larger["x"] == pytest.approx(60, abs=1)
    assert dragged["y"] - larger["y"] == pytest.approx(-40, abs=1)
    # What was dragged was not clicked.
    assert await page.evaluate("window.acts") == []


async def test_an_update_keeps_the_zoom_the_middle_and_the_focus(page: "Page") -> None:
    picture = columns_picture(13, 20)
    await page.evaluate(DRAW, picture)
    await page.locator("#drawn [tabindex='0']").focus()
    await page.keyboard.press("+")
    await page.keyboard.press("ArrowRight")
    focused = await _focused(page)
    await _moved(page)
    center = page.locator("#drawn .node.center .box").last
    before = await center.bounding_box()
    more = columns_picture(14, 20)["nodes"][1:8]
    picture["nodes"] += [node | {"id": f"new {node['id']}", "label": f"new {node['label']}"} for node in more]
    await page.evaluate("(picture) => window.drawing.update(picture)", picture)
    assert await page.locator("#drawn .node").count() == len(picture["nodes"])
    assert await _focused(page) == focused
    after = await center.bounding_box()
    assert before
    assert after
    assert after["width"] == pytest.approx(before["width"], abs=0.5)
    assert after["x"] + after["width"] / 2 == pytest.approx(before["x"] + before["width"] / 2, abs=1)
    assert after["y"] == pytest.approx(before["y"], abs=1)


async def test_a_saved_svg_needs_no_style_sheet(page: "Page") -> None:
    await page.evaluate(DRAW, columns_picture(15, 25, groups=4))
    text = await page.evaluate(
        "async () => (await import('/graph/export.js')).standalone(window.drawing.svg)"
    )
    root = ET.fromstring(text)  # noqa: S314 - our own
    assert root.tag == "{http://www.w3.org/2000/svg}svg"
    assert {"class", "style"}.isdisjoint(name for each in root.iter() for name in each.attrib)
    lines = [each for each in root.iter("{http://www.w3.org/2000/svg}path") if each.get("fill") == "none"]
    assert {"7px, 4px", "none"} <= {each.get("stroke-dasharray") for each in lines}
    assert len({each.get("stroke") for each in lines}) > 2
    assert "var(" not in text


async def test_a_saved_png_is_a_picture_twice_as_fine(page: "Page") -> None:
    await page.evaluate(DRAW, columns_picture(16, 25))
    found = await page.evaluate(
        """
        async () => {
          const blob = await (await import("/graph/export.js")).png(window.drawing.svg);
          const image = await createImageBitmap(blob);
          const canvas = new OffscreenCanvas(image.width, image.height);
          const pen = canvas.getContext("2d");
          pen.drawImage(image, 0, 0);
          const { data } = pen.getImageData(0, 0, image.width, image.height);
          const colors = new Set(new Uint32Array(data.buffer));
          const { width } = window.drawing.svg.viewBox.baseVal;
          return { type: blob.type, width: image.width, wanted: 2 * width, colors: colors.size };
        }
        """
    )
    assert found["type"] == "image/png"
    assert found["width"] == pytest.approx(found["wanted"], abs=1)
    assert found["colors"] > 10


async def test_the_legend_explains_what_the_picture_uses_and_nothing_else(page: "Page") -> None:
    nodes = [
        {"id": "a", "label": "a", "kind": "service", "column": 0, "criticality": "high"},
        {"id": "b", "label": "b", "kind": "service", "column": 1, "criticality": "low"},
    ]
    edges = [{"source": "a", "target": "b", "mode": "async", "isStale": True, "isMarked": True}]
    entries = await page.evaluate(
        """
        async (picture) => {
          const { legend, usesOf } = await import("/graph/legend.js");
          return [...legend(usesOf(picture), "the chosen path").children].map((entry) => entry.textContent);
        }
        """,
        {"nodes": nodes, "edges": edges},
    )
    assert entries == ["high", "low", "asynchronous", "thick: the chosen path", "stale: not seen for long"]


def _stack(box: dict[str, float]) -> dict[str, float]:
    """Return the box around a group and those drawn behind it: they would hide an arrow's head."""
    return box | {"y": box["y"] - 6, "height": box["height"] + 6}


def _points(path: str) -> list[tuple[float, float]]:
    return [(float(x), float(y)) for x, y in re.findall(r"(-?[\d.]+),(-?[\d.]+)", path)]


def _is_on_border(point: tuple[float, float], box: dict[str, float], by: float = 0.2) -> bool:
    x, y = point
    left, top = box["x"], box["y"]
    right, bottom = left + box["width"], top + box["height"]
    is_inside = left - by <= x <= right + by and top - by <= y <= bottom + by
    return is_inside and min(abs(x - left), abs(x - right), abs(y - top), abs(y - bottom)) <= by


async def _focused(page: "Page") -> str:
    title: str = await page.evaluate("document.activeElement.querySelector('title').textContent")
    return title.split("\n", maxsplit=1)[0]


async def _place(page: "Page") -> tuple[float, float]:
    transform: str = await page.evaluate("document.activeElement.getAttribute('transform')")
    return _points(transform)[0]


async def _moved(page: "Page") -> None:
    """Wait until the picture has come to rest."""
    await page.wait_for_function("() => !document.querySelector('#drawn .picture.moving')")


BOUNDED = """
async ([picture, most]) => {
  const { bounded } = await import("/graph/bounded.js");
  return bounded(picture, most);
}
"""


async def test_of_many_arrows_those_that_say_most_are_drawn(page: "Page") -> None:
    columns = {"middle": 0} | {f"n{number}": 1 + number % 3 for number in range(100)}
    pairs = itertools.islice(itertools.permutations(columns, 2), 3_000)
    edges: list[dict[str, Any]] = [
        {"source": a, "target": b, "mode": "sync", "count": hash_of(a + b)} for a, b in pairs
    ]
    nodes = [
        {"id": name, "label": name, "kind": "group", "column": column} for name, column in columns.items()
    ]
    picture = {"nodes": nodes, "edges": edges}
    shown = await page.evaluate(BOUNDED, [picture, 600])
    kept = [(edge["source"], edge["target"]) for edge in shown["edges"]]
    assert shown["allEdges"] == len(edges)
    assert len(kept) == len(set(kept)) <= 600 + len(columns)
    # Every node that calls towards the middle, or is called from there, still does.
    inward = {
        outer
        for edge in edges
        for outer, inner in ((edge["source"], edge["target"]), (edge["target"], edge["source"]))
        if columns[outer] > columns[inner]
    }
    assert inward <= {end for pair in kept for end in pair}
    assert await page.evaluate(BOUNDED, [picture, len(edges)]) == picture


def hash_of(text: str) -> int:
    return 1 + sum(map(ord, text)) * 7_919 % 100


async def test_a_picture_that_is_out_of_sight_is_not_drawn_again(page: "Page") -> None:
    await page.evaluate(DRAW, columns_picture(17, 25))
    changes = await page.evaluate(
        """async () => {
          const room = document.getElementById("drawn");
          const frames = async () => {
            for (let count = 0; count < 5; count++) await new Promise(requestAnimationFrame);
          };
          await frames();
          let changes = 0;
          const seen = new MutationObserver((found) => (changes += found.length));
          seen.observe(window.drawing.svg, { childList: true });
          room.hidden = true;
          await frames();
          room.remove();
          await frames();
          return changes + seen.takeRecords().length;
        }"""
    )
    assert changes == 0
