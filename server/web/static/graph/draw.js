// A picture of services and the calls between them, as SVG: drawn, moved, looked around in.

import { h, s } from "../lib/dom.js";
import { edgeElement, nodeElement, widthFor } from "./elements.js";
import { density, layout } from "./layout.js";
import { names } from "./names.js";
import { panzoom } from "./panzoom.js";
import { routes } from "./routes.js";
import { walking } from "./walking.js";

const CROWDED = 150;
const MOST_COUNTS = 60;
const RESHAPED = 0.15;

/** @typedef {import("./layout.js").Picture} Picture */
/** @typedef {import("./layout.js").Node} Node */
/**
 * @typedef {Object} Drawing
 * @property {(picture: Picture) => void} update draw another; what is focused, and the zoom, stay
 * @property {(ids: string[] | null) => void} highlight these nodes and dim the rest; null = none
 * @property {(id: string | null) => void} choose the node that is looked at beside the picture
 * @property {() => void} focus the node in the middle, for the keyboard
 * @property {() => void} destroy
 * @property {SVGElement} svg
 * @property {import("./panzoom.js").PanZoom} view
 */

/**
 * Draw a picture into a room that has a height.
 *
 * @param {HTMLElement} root
 * @param {Picture} picture
 * @param {{onopen?: (node: Node) => void, onselect?: (node: Node) => void, label?: string}} [options]
 *   onopen: click or Enter; onselect: click with Shift, or the space bar
 * @returns {Drawing}
 */
export function draw(root, picture, { onopen = () => {}, onselect, label = "Picture of the graph" } = {}) {
  const svg = s("svg", { class: "picture", focusable: "false" });
  const room = h("div", { class: "graph", role: "application", "aria-label": label }, svg);
  const view = panzoom(room, svg);
  room.append(view.buttons);
  root.append(room);
  const walk = walking(room, svg, view, { onopen, onselect: onselect || onopen });
  let shown = "";
  let current = picture;
  let aspect = 0;

  function update(next) {
    const same = JSON.stringify(next);
    if (same === shown) return;
    shown = same;
    current = next;
    aspect ||= aspectOf(room);
    paint();
  }
  function paint() {
    const close = density(current.nodes.length).name;
    const plan = layout(current, { width: (node) => widthFor(node, close), aspect });
    const spoken = names(current);
    const boxes = [...plan.boxes.values()];
    const nodes = new Map(
      boxes.map((box) => [box.node.id, nodeElement(box, close, spoken.get(box.node.id))]),
    );
    const ways = routes(plan, current.edges);
    const edges = ways.map(edgeElement);
    const { x, y, width, height } = plan.frame;
    svg.setAttribute("viewBox", `${x} ${y} ${width} ${height}`);
    svg.setAttribute("width", width);
    svg.setAttribute("height", height);
    svg.setAttribute("class", classesOf(current, close));
    const swap = () =>
      svg.replaceChildren(s("g", { class: "edges" }, edges), s("g", { class: "nodes" }, [...nodes.values()]));
    const drawn = ways.map((way, index) => ({ ...way.edge, element: edges[index] }));
    walk.replace(swap, { plan, nodes, edges: drawn });
    view.frame(plan.frame, centerOf(plan));
  }
  // A room of another shape has room for another layout; not while somebody looks at a part of it.
  const size = new ResizeObserver(() => {
    // Hidden, or taken out of the page.
    if (!room.clientWidth) return;
    const now = aspectOf(room);
    if (Math.abs(now / aspect - 1) < RESHAPED || !view.state().isUntouched) return;
    aspect = now;
    paint();
  });

  update(picture);
  size.observe(room);
  return {
    update,
    highlight: walk.highlight,
    choose: walk.choose,
    focus: walk.focus,
    svg,
    view,
    destroy() {
      size.disconnect();
      walk.destroy();
      view.destroy();
      room.remove();
    },
  };
}

function classesOf({ edges }, density) {
  const counted = edges.filter((edge) => edge.count > 1).length;
  return ["picture", density, edges.length > CROWDED && "crowded", counted > MOST_COUNTS && "counted"]
    .filter(Boolean)
    .join(" ");
}

function aspectOf(room) {
  const { clientWidth: wide, clientHeight: high } = room;
  return wide && high ? Math.min(2.6, Math.max(0.8, wide / high)) : 1.6;
}

// The middle of the picture: of the service in focus, if there is one.
function centerOf({ boxes, frame }) {
  const center = [...boxes.values()].find((box) => box.node.isCenter);
  const { x, y, width, height } = center || frame;
  return { x: x + width / 2, y: y + height / 2 };
}
