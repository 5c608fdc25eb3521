// Where the nodes of a picture stand: in columns by hops, or at places that the picture gives.
//
// Pure arithmetic, without the page: the same picture gives the same layout, in whatever order its
// nodes and edges come.

import { criticalityRank } from "../lib/words.js";
import { spread } from "./spread.js";

/**
 * @typedef {Object} Node
 * @property {string} id unique in the picture
 * @property {string} label
 * @property {"service"|"group"|"others"} kind
 * @property {string} [serviceKind] "SERVICE_KIND_DATABASE" or "database"
 * @property {number} [column] … −1 0 1 …, from left to right
 * @property {number} [x] 0–1, with y instead of a column
 * @property {number} [y] 0–1
 * @property {string} [criticality] "CRITICALITY_HIGH" or "high"
 * @property {number} [count] of services in a group
 * @property {string} [team]
 * @property {boolean} [isCenter]
 * @property {"added"|"removed"|"changed"} [change] in a difference
 * @property {boolean} [isBare] nothing but its name is known here
 * @property {string} [note] more words for its accessible name
 */
/**
 * @typedef {Object} Edge
 * @property {string} source calls
 * @property {string} target is called
 * @property {"sync"|"async"|"mixed"|"unknown"|""} mode "" in a difference, which has `change` instead
 * @property {"added"|"removed"|"changed"} [change]
 * @property {string} [criticality] of the dependency
 * @property {number} [count] of calls that the edge stands for
 * @property {boolean} [isStale]
 * @property {boolean} [isLowConfidence]
 * @property {boolean} [isMarked] what the picture is about: a path, a cycle
 * @property {boolean} [isCyclic] on a cycle of the picture
 */
/** @typedef {{nodes: Node[], edges: Edge[], allEdges?: number}} Picture allEdges: if some are left out */
/**
 * @typedef {{node: Node, x: number, y: number, width: number, height: number, strip: number}} Box
 *   x and y of its left top corner
 */
/**
 * @typedef {{left: number, right: number, column: number, lanes: number[]}} Strip boxes in one row from
 *   top to bottom; lanes are the heights between them
 */
/**
 * @typedef {Object} Layout
 * @property {Map<string, Box>} boxes by id
 * @property {Strip[]} strips left to right; none where the picture gives the places
 * @property {{x: number, y: number, width: number, height: number}} frame around everything
 * @property {Density} density
 */
/** @typedef {{name: string, height: number, gap: number, between: number}} Density */

/** @type {Density[]} */
const DENSITIES = [
  { name: "roomy", height: 42, gap: 14, between: 26 },
  { name: "normal", height: 28, gap: 10, between: 22 },
  { name: "dense", height: 22, gap: 8, between: 18 },
];
const WIDTH = 150;
const MARGIN = 28;
const SWEEPS = 6;
// A column of so few boxes is never wrapped.
const UNWRAPPED = 10;

/** How close the boxes of a picture stand. @param {number} count of nodes @returns {Density} */
export function density(count) {
  return DENSITIES[count <= 45 ? 0 : count <= 110 ? 1 : 2];
}

/**
 * Place the nodes of a picture: no two overlap. O(sweeps · (V + E) log V).
 *
 * @param {Picture} picture
 * @param {{width?: (node: Node) => number, aspect?: number}} [options] width of a node's box; width of
 *   the room by its height
 * @returns {Layout}
 */
export function layout(picture, { width = () => WIDTH, aspect = 1.6 } = {}) {
  const close = density(picture.nodes.length);
  const placed = picture.nodes.some((node) => node.x !== undefined && node.y !== undefined);
  const { boxes, strips } = placed
    ? { boxes: spread(picture.nodes, width, close, aspect), strips: [] }
    : inColumns(picture, width, close, aspect);
  return {
    boxes: new Map(boxes.map((box) => [box.node.id, box])),
    strips,
    frame: framed(boxes),
    density: close,
  };
}

function inColumns(picture, width, close, aspect) {
  const columns = ordered(picture);
  const widths = columns.map((column) => Math.max(...column.nodes.map(width)));
  const gaps = columnGaps(columns, picture.edges);
  const rows = bestRows(columns, widths, gaps, close, aspect);
  const boxes = [];
  const strips = [];
  let x = 0;
  columns.forEach((column, at) => {
    const strands = Math.ceil(column.nodes.length / rows);
    const depth = Math.ceil(column.nodes.length / strands);
    const pitch = close.height + close.gap;
    const top = (-depth * pitch + close.gap) / 2;
    for (let strand = 0; strand < strands; strand++) {
      const left = x + strand * (widths[at] + close.between);
      // Reading order: from left to right, then down.
      column.nodes
        .filter((_, index) => index % strands === strand)
        .forEach((node, row) => {
          const own = column.nodes.length === 1 ? width(node) : widths[at];
          const y = top + row * pitch;
          boxes.push({ node, x: left, y, width: own, height: close.height, strip: strips.length });
        });
      const lanes = Array.from({ length: depth + 1 }, (_, lane) => top - close.gap / 2 + lane * pitch);
      strips.push({ left, right: left + widths[at], column: column.column, lanes });
    }
    x += strands * (widths[at] + close.between) - close.between + (gaps[at] || 0);
  });
  return { boxes, strips };
}

// The number of rows in which the whole picture can be drawn largest.
function bestRows(columns, widths, gaps, close, aspect) {
  const longest = Math.max(...columns.map((column) => column.nodes.length));
  let best = { rows: Math.max(longest, 1), scale: 0 };
  for (let rows = Math.max(longest, 1); rows >= Math.min(longest, UNWRAPPED); rows--) {
    let wide = gaps.reduce((sum, gap) => sum + gap, 0) + 2 * MARGIN;
    let deep = 0;
    columns.forEach((column, at) => {
      const strands = Math.ceil(column.nodes.length / rows);
      wide += strands * (widths[at] + close.between) - close.between;
      deep = Math.max(deep, Math.ceil(column.nodes.length / strands));
    });
    const high = deep * (close.height + close.gap) + 2 * MARGIN;
    const scale = Math.min(aspect / wide, 1 / high);
    if (scale > best.scale * 1.001) best = { rows, scale };
  }
  return best.rows;
}

// More room between two columns the more edges run there.
function columnGaps(columns, edges) {
  const at = new Map(columns.flatMap((column, index) => column.nodes.map((node) => [node.id, index])));
  const crossing = columns.map(() => 0);
  for (const edge of edges) {
    const [from, to] = [at.get(edge.source), at.get(edge.target)].sort((a, b) => a - b);
    for (let index = from; index < to; index++) crossing[index]++;
  }
  return crossing.slice(0, -1).map((count) => 84 + Math.min(130, 5 * Math.sqrt(count) + count / 4));
}

// Columns from left to right, each in an order that lets few edges cross: barycentre sweeps
// (Sugiyama, Tagawa, Toda 1981), there and back. Groups stand below the services.
function ordered(picture) {
  const columns = [...Map.groupBy(picture.nodes, (node) => node.column || 0)]
    .sort(([a], [b]) => a - b)
    .map(([column, nodes]) => ({ column, nodes: nodes.toSorted(firstOrder) }));
  const neighbours = adjacent(picture.edges);
  const place = new Map();
  columns.forEach((column) => remember(column, place));
  for (let sweep = 0; sweep < SWEEPS; sweep++) {
    const outward = sweep % 2 ? columns.toReversed() : columns;
    for (let index = 1; index < outward.length; index++) {
      const before = new Set(outward[index - 1].nodes.map((node) => node.id));
      reorder(outward[index], before, neighbours, place);
    }
  }
  return columns;
}

function reorder(column, before, neighbours, place) {
  const weight = new Map();
  for (const node of column.nodes) {
    const places = (neighbours.get(node.id) || []).filter((id) => before.has(id)).map((id) => place.get(id));
    const mean = places.reduce((sum, each) => sum + each, 0) / places.length;
    // Rounded: the sum of floats depends on the order of the edges.
    weight.set(node.id, places.length ? Math.round(mean * 1e6) / 1e6 : place.get(node.id));
  }
  column.nodes.sort((a, b) => rank(a) - rank(b) || weight.get(a.id) - weight.get(b.id) || firstOrder(a, b));
  remember(column, place);
}

function remember(column, place) {
  column.nodes.forEach((node, index) => place.set(node.id, (index + 0.5) / column.nodes.length));
}

function adjacent(edges) {
  const neighbours = new Map();
  const join = (a, b) => neighbours.set(a, [...(neighbours.get(a) || []), b]);
  for (const { source, target } of edges) {
    join(source, target);
    join(target, source);
  }
  return neighbours;
}

function firstOrder(a, b) {
  return (
    rank(a) - rank(b) ||
    criticalityRank(a.criticality) - criticalityRank(b.criticality) ||
    compared(a.label, b.label) ||
    compared(a.id, b.id)
  );
}

// Not by locale: two people who look at one picture see the same.
function compared(a, b) {
  return a < b ? -1 : a > b ? 1 : 0;
}

function rank(node) {
  return { service: 0, group: 1, others: 2 }[node.kind];
}

function framed(boxes) {
  if (!boxes.length) return { x: 0, y: 0, width: 2 * MARGIN, height: 2 * MARGIN };
  const x = Math.min(...boxes.map((box) => box.x)) - MARGIN;
  const y = Math.min(...boxes.map((box) => box.y)) - MARGIN;
  const right = Math.max(...boxes.map((box) => box.x + box.width)) + MARGIN;
  const bottom = Math.max(...boxes.map((box) => box.y + box.height)) + MARGIN;
  return { x, y, width: right - x, height: bottom - y };
}
