// The ways of the edges of a picture: curves from the side of one box to the side of another, that
// pass the columns between in the lanes between their boxes.

import { STACK } from "./marks.js";

const PORT = 6;
const ARROW = 7;
const LEAD = 5;
// Room that a count needs between two boxes.
const LABEL = 46;

/**
 * @typedef {Object} Way
 * @property {import("./layout.js").Edge} edge
 * @property {string} line of the curve, for an attribute d
 * @property {string} arrow of the head
 * @property {{x: number, y: number}} middle for a mark
 * @property {{x: number, y: number} | null} label for a count, nearer to the group; null = no room
 * @property {boolean} isWithin both ends are in one column, or the call leads back by one or more
 */

/**
 * Find the way of each edge whose two ends are in the layout.
 *
 * @param {import("./layout.js").Layout} layout
 * @param {import("./layout.js").Edge[]} edges
 * @returns {Way[]} one for each of them, in their order
 */
export function routes(layout, edges) {
  const ends = edges
    .map((edge) => ({ edge, from: layout.boxes.get(edge.source), to: layout.boxes.get(edge.target) }))
    .filter(({ from, to }) => from && to && from !== to);
  if (!layout.strips.length) return ends.map(straight);
  const runs = ends.map((end) => ({ ...end, ...sides(end, layout.strips) }));
  givePorts(runs);
  return runs.map((run) => curved(run, layout.strips));
}

// Towards the right an edge leaves at the right side; back to the left, at the left. Within a column
// it goes around, on the side away from the middle.
function sides({ from, to }, strips) {
  const step = Math.sign(to.strip - from.strip);
  if (step) return { step, out: step, into: -step };
  const away = strips[from.strip].column > 0 ? 1 : -1;
  return { step, out: away, into: away };
}

// Ends at the same side of a box are spread over it, in the order of where the edges come from.
function givePorts(runs) {
  const bySide = new Map();
  const put = (box, side, other, run, key) => {
    const name = `${side} ${box.node.id}`;
    if (!bySide.has(name)) bySide.set(name, { box, ends: [] });
    bySide.get(name).ends.push({ run, key, y: other.y + other.height / 2, x: other.x, id: other.node.id });
  };
  for (const run of runs) {
    put(run.from, run.out, run.to, run, "leave");
    put(run.to, run.into, run.from, run, "enter");
  }
  for (const { box, ends } of bySide.values()) {
    ends.sort((a, b) => a.y - b.y || a.x - b.x || compared(a.id, b.id) || compared(a.key, b.key));
    const pitch = Math.min(PORT, (box.height - 10) / Math.max(1, ends.length - 1));
    ends.forEach(({ run, key }, index) => {
      run[key] = box.y + box.height / 2 + (index - (ends.length - 1) / 2) * pitch;
    });
  }
}

function compared(a, b) {
  return a < b ? -1 : a > b ? 1 : 0;
}

function curved({ edge, from, to, step, out, into, leave, enter }, strips) {
  const start = { x: out > 0 ? from.x + from.width : from.x, y: leave };
  const end = { x: into > 0 ? to.x + to.width : to.x, y: enter };
  const tip = { x: end.x + into * LEAD, y: end.y };
  const arrow = head(end, { x: -into, y: 0 });
  if (!step) {
    const bow = out * (18 + Math.min(70, Math.abs(end.y - start.y) / 5));
    const bends = [start, tip].map(({ x, y }) => at({ x: x + bow, y }));
    const line = `M${at(start)}C${bends.join(" ")} ${at(tip)}`;
    const side = { x: start.x + 0.75 * bow, y: (start.y + end.y) / 2 };
    return { edge, line, arrow, middle: side, label: side, isWithin: true };
  }
  const legs = [];
  let here = start;
  for (let strip = from.strip + step; strip !== to.strip; strip += step) {
    const y = lane(strips[strip], start, end, strips[from.strip].column, strips[to.strip].column);
    const { left, right } = strips[strip];
    legs.push([here, { x: step > 0 ? left - 4 : right + 4, y }]);
    here = { x: step > 0 ? right + 4 : left - 4, y };
  }
  legs.push([here, tip]);
  const line = legs.map(([a, b], index) => (index ? `L${at(a)}` : `M${at(a)}`) + curve(a, b)).join("");
  const [a, b] = to.node.kind === "service" ? legs[0] : legs.at(-1);
  const near = to.node.kind === "service" ? 0.28 : 0.66;
  const label = Math.abs(b.x - a.x) < LABEL ? null : along(a, b, near);
  const isWithin = strips[from.strip].column === strips[to.strip].column || (step < 0 && !edge.isCyclic);
  return { edge, line, arrow, middle: along(a, b, 0.5), label, isWithin };
}

// The gap between two boxes of a column that is nearest to where the edge would pass it.
function lane(strip, start, end, sourceColumn, targetColumn) {
  const share = ((strip.left + strip.right) / 2 - start.x) / (end.x - start.x);
  let wish = start.y + (end.y - start.y) * share;
  if (strip.column === sourceColumn) wish = start.y;
  else if (strip.column === targetColumn) wish = end.y;
  return strip.lanes.reduce((best, y) => (Math.abs(y - wish) < Math.abs(best - wish) ? y : best));
}

function curve(a, b) {
  const pull = (b.x - a.x) / 2;
  return `C${at({ x: a.x + pull, y: a.y })} ${at({ x: b.x - pull, y: b.y })} ${at(b)}`;
}

// A point of the curve that `curve` draws.
function along(a, b, t) {
  const ease = t * t * (3 - 2 * t);
  const x = a.x + (b.x - a.x) * (1.5 * t * (1 - t) ** 2 + 1.5 * t * t * (1 - t) + t ** 3);
  return { x, y: a.y + (b.y - a.y) * ease };
}

// Between boxes that stand anywhere: a slight bow to the right, so that two calls there and back are
// two lines.
function straight({ edge, ...ends }) {
  const from = stacked(ends.from);
  const to = stacked(ends.to);
  const a = center(from);
  const b = center(to);
  const length = Math.hypot(b.x - a.x, b.y - a.y) || 1;
  const out = border(from, b);
  const into = border(to, a);
  const bow = Math.min(60, Math.hypot(into.x - out.x, into.y - out.y) / 4);
  const half = { x: (out.x + into.x) / 2, y: (out.y + into.y) / 2 };
  const aside = { x: half.x - ((b.y - a.y) / length) * bow, y: half.y + ((b.x - a.x) / length) * bow };
  const bend = holds(from, aside) || holds(to, aside) ? half : aside;
  const start = border(from, bend);
  const end = border(to, bend);
  const way = Math.hypot(end.x - bend.x, end.y - bend.y) || 1;
  const towards = { x: (end.x - bend.x) / way, y: (end.y - bend.y) / way };
  const tip = { x: end.x - towards.x * LEAD, y: end.y - towards.y * LEAD };
  const middle = {
    x: start.x / 4 + bend.x / 2 + end.x / 4,
    y: start.y / 4 + bend.y / 2 + end.y / 4,
  };
  const line = `M${at(start)}Q${at(bend)} ${at(tip)}`;
  return { edge, line, arrow: head(end, towards), middle, label: middle, isWithin: false };
}

// A group's box with those drawn behind it, which would hide the head of an arrow from above.
function stacked(box) {
  return box.node.kind === "service" ? box : { ...box, y: box.y - STACK, height: box.height + STACK };
}

function center(box) {
  return { x: box.x + box.width / 2, y: box.y + box.height / 2 };
}

function holds(box, { x, y }) {
  return x >= box.x && x <= box.x + box.width && y >= box.y && y <= box.y + box.height;
}

// Where the line from the middle of a box towards a point leaves the box.
function border(box, point) {
  const { x, y } = center(box);
  const dx = point.x - x;
  const dy = point.y - y;
  const share = Math.min(box.width / 2 / Math.abs(dx || 1e-9), box.height / 2 / Math.abs(dy || 1e-9), 1);
  return { x: x + dx * share, y: y + dy * share };
}

function head(tip, towards) {
  const back = { x: tip.x - towards.x * ARROW, y: tip.y - towards.y * ARROW };
  const half = { x: (-towards.y * ARROW) / 2, y: (towards.x * ARROW) / 2 };
  const left = { x: back.x + half.x, y: back.y + half.y };
  const right = { x: back.x - half.x, y: back.y - half.y };
  return `M${at(tip)}L${at(left)}L${at(right)}Z`;
}

function at({ x, y }) {
  return `${x.toFixed(1)},${y.toFixed(1)}`;
}
