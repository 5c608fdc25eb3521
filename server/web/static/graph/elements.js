// The SVG elements of a picture: nodes and edges.

import { s } from "../lib/dom.js";
import { changeSign, mark, outline, word } from "./marks.js";
import { cut, widthOf } from "./text.js";

const NAME = 12;
const SMALL = 10.5;
const BEFORE = 26;
const AFTER = 10;
const NARROWEST = 84;
const CENTRAL = { "dominant-baseline": "central" };
const BREADTH = 8;
const MOST_BREADTH = 110;
const WIDEST = { roomy: 190, normal: 172, dense: 148 };

/**
 * The width that a node would like.
 *
 * @param {import("./layout.js").Node} node
 * @param {string} density its name
 * @returns {number}
 */
export function widthFor(node, density) {
  const weight = node.isCenter ? 700 : 500;
  const name = widthOf(clipped(node.label), NAME, weight) + trailing(node, density);
  const below = density === "roomy" ? widthOf(clipped(subtitle(node)), SMALL) : 0;
  const room = BEFORE + sides(node) + AFTER;
  const needed = Math.min(WIDEST[density], Math.max(NARROWEST, name + room, below + room));
  return Math.ceil(needed + breadth(node));
}

// On a map, a group is the wider the more services it holds.
function breadth(node) {
  if (node.kind === "service" || node.x === undefined) return 0;
  return Math.min(MOST_BREADTH, BREADTH * Math.log2(Math.max(1, node.count || 1)));
}

/**
 * Draw a node, its left top corner at 0,0.
 *
 * @param {import("./layout.js").Box} box
 * @param {string} density
 * @param {string} name for screen readers
 * @returns {SVGElement}
 */
export function nodeElement({ node, x, y, width, height }, density, name) {
  const kind = node.kind === "service" ? word(node.serviceKind) : node.kind;
  const roomy = density === "roomy";
  const under = roomy ? subtitle(node) : "";
  const weight = node.isCenter ? 700 : 500;
  const left = BEFORE + (kind === "gateway" ? 4 : 0);
  const room = width - BEFORE - sides(node) - AFTER;
  const line = under ? height / 2 - 7 : height / 2;
  const tail = roomy ? "" : tailOf(node);
  const text = (role, y, size, whole, space, bold) =>
    s("text", { class: role, x: left, y, ...CENTRAL }, cut(clipped(whole), space, size, bold));
  const end = { x: width - AFTER, y: line, "text-anchor": "end", ...CENTRAL };
  const aside = tail && s("text", { class: "under", ...end }, tail);
  const lower = kind === "database" ? 1.5 : 0;
  return s(
    "g",
    {
      class: classesOf(node, kind),
      transform: `translate(${x.toFixed(1)},${y.toFixed(1)})`,
      tabindex: "-1",
      role: "button",
      "aria-label": name,
    },
    s("title", {}, `${node.label}${node.team ? `\n${node.team}` : ""}${node.note ? `\n${node.note}` : ""}`),
    outline(kind, width, height),
    !node.isBare &&
      s("g", { transform: `translate(${left - 13},${height / 2 + lower})` }, mark(node.criticality)),
    text("name", line + lower, NAME, node.label, room - trailing(node, density), weight),
    under && text("under", height / 2 + 8.5, SMALL, under, room),
    aside,
    node.change && changeSign(node.change, { x: 0, y: 0 }),
  );
}

function classesOf(node, kind) {
  const { isCenter, change } = node;
  const own = ["node", node.kind, word(node.criticality), `kind-${kind}`];
  return [...own, isCenter && "center", change && `change-${change}`].filter(Boolean).join(" ");
}

/**
 * Draw an edge: its line, its head, and what is written on it.
 *
 * @param {import("./routes.js").Way} way
 * @returns {SVGElement}
 */
export function edgeElement({ edge, line, arrow, middle, label, isWithin }) {
  const hard = word(edge.criticality);
  const classes = ["edge", edge.mode, hard === "soft" || hard === "degraded" ? "soft" : ""];
  if (edge.isStale) classes.push("stale");
  if (edge.isLowConfidence) classes.push("faint");
  if (edge.isCyclic) classes.push("cyclic");
  if (edge.isMarked) classes.push("marked");
  if (isWithin) classes.push("within");
  if (edge.change) classes.push(`change-${edge.change}`);
  if (edge.count > 1) classes.push(`thick-${Math.min(4, Math.ceil(Math.log10(edge.count + 1)))}`);
  return s(
    "g",
    { class: classes.filter(Boolean).join(" ") },
    edge.mode === "mixed" && s("path", { class: "line outer", d: line }),
    s("path", { class: "line", d: line }),
    s("path", { class: "head", d: arrow }),
    edge.isCyclic && cycleMark(middle),
    edge.isStale && staleMark(middle),
    edge.change && changeSign(edge.change, middle),
    edge.count > 1 && label && callsText(edge.count, label),
  );
}

function callsText(count, { x, y }) {
  return s("text", { class: "calls", x: x.toFixed(1), y: y.toFixed(1) }, count.toLocaleString("en-US"));
}

/** A clock: not seen for too long. @param {{x: number, y: number}} at */
export function staleMark({ x, y }) {
  return s(
    "g",
    { class: "clock", transform: `translate(${x.toFixed(1)},${y.toFixed(1)})` },
    s("circle", { r: 5 }),
    s("path", { d: "M0,-3V0L2.2,1.6" }),
  );
}

/** An arrow that turns back: on a cycle. @param {{x: number, y: number}} at */
export function cycleMark({ x, y }) {
  return s(
    "g",
    { class: "turn", transform: `translate(${x.toFixed(1)},${y.toFixed(1)})` },
    s("circle", { r: 6 }),
    s("path", { d: "M2.8,-1.6A3.3,3.3 0 1 0 3.3,0.8M3.6,-3.6L2.9,-1.3L0.6,-1.8" }),
  );
}

function subtitle(node) {
  if (node.kind === "service") return node.team || "";
  return `${Number(node.count || 0).toLocaleString("en-US")} ${node.count === 1 ? "service" : "services"}`;
}

function tailOf(node) {
  return node.kind === "service" ? "" : Number(node.count || 0).toLocaleString("en-US");
}

function trailing(node, density) {
  const tail = density === "roomy" ? "" : tailOf(node);
  return tail ? widthOf(tail, SMALL) + 8 : 0;
}

// Some outlines take room at the sides.
function sides(node) {
  if (node.kind !== "service") return 0;
  return { gateway: 12, queue: 16, external: 6 }[word(node.serviceKind)] || 0;
}

// Enough for every box; what follows could not be seen, but would be measured.
function clipped(text) {
  return text.slice(0, 80);
}
