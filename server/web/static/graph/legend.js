// What the signs of a picture mean: those that it uses.

import { h, s } from "../lib/dom.js";
import { count, CRITICALITIES } from "../lib/words.js";
import { cycleMark, staleMark } from "./elements.js";
import { changeSign, mark, outline, word } from "./marks.js";

const KINDS = ["service", "database", "queue", "gateway", "external"];
const MODES = {
  sync: "synchronous: the caller waits",
  async: "asynchronous",
  mixed: "some of both",
  unknown: "mode unknown",
};

const CHANGES = {
  added: "added: solid",
  removed: "removed: dashed",
  changed: "other values: dotted",
};

/**
 * @typedef {Object} Uses
 * @property {string[]} criticalities plain words
 * @property {string[]} kinds
 * @property {string[]} modes
 * @property {boolean} [groups]
 * @property {boolean} [soft] soft or degraded dependencies
 * @property {boolean} [hard]
 * @property {boolean} [stale]
 * @property {boolean} [faint] low confidence
 * @property {boolean} [cyclic]
 * @property {string} [marked] mode of the calls that the picture is about, if it marks some
 * @property {boolean} [counted]
 * @property {string[]} [changes] of a difference
 * @property {string} [bounded] how many arrows are drawn, if not all
 */

/** Find what a picture uses. @param {import("./layout.js").Picture} picture @returns {Uses} */
export function usesOf({ nodes, edges, allEdges }) {
  const services = nodes.filter((node) => node.kind === "service");
  const kindOf = (node) => (word(node.serviceKind) === "unknown" ? "service" : word(node.serviceKind));
  const soft = (edge) => ["soft", "degraded"].includes(word(edge.criticality));
  return {
    criticalities: [...new Set(nodes.filter((node) => !node.isBare).map((node) => word(node.criticality)))],
    kinds: [...new Set(services.map(kindOf))],
    modes: [...new Set(edges.map((edge) => edge.mode))],
    changes: [...new Set([...nodes, ...edges].map((each) => each.change))],
    groups: services.length < nodes.length,
    soft: edges.some(soft),
    hard: edges.some((edge) => edge.criticality && !soft(edge)),
    stale: edges.some((edge) => edge.isStale),
    faint: edges.some((edge) => edge.isLowConfidence),
    cyclic: edges.some((edge) => edge.isCyclic),
    marked: edges.find((edge) => edge.isMarked)?.mode,
    counted: edges.some((edge) => edge.count > 1),
    bounded: allEdges && `${count(edges.length)} of ${count(allEdges)} arrows: those of most calls`,
  };
}

/**
 * Explain the signs.
 *
 * @param {Uses} uses
 * @param {string} [about] what the marked calls are
 * @returns {HTMLElement}
 */
export function legend(uses, about = "marked") {
  const line = (classes, more) => s("g", { class: `edge ${classes}` }, lines(classes), head(), more);
  const entries = [
    used(CRITICALITIES, uses.criticalities).map(level),
    uses.kinds.length > 1 && used(KINDS, uses.kinds).map((each) => entry(shape(each), each)),
    uses.groups && entry(shape("group"), "group of services; click opens it"),
    used(Object.keys(MODES), uses.modes).map((each) => entry(line(each), MODES[each])),
    used(Object.keys(CHANGES), uses.changes).map((each) =>
      entry(line(`change-${each}`, changeSign(each, { x: 15, y: 9 })), CHANGES[each]),
    ),
    uses.soft && entry(line("sync soft"), "hollow head: the caller goes on without, or with less"),
    uses.cyclic && entry(line("cyclic", cycleMark({ x: 15, y: 9 })), "on a cycle"),
    uses.marked && entry(line(`${uses.marked} marked${uses.cyclic ? " cyclic" : ""}`), `thick: ${about}`),
    uses.stale && entry(line("sync stale", staleMark({ x: 15, y: 9 })), "stale: not seen for long"),
    uses.faint && entry(line("sync faint"), "thin: low confidence"),
    uses.counted && entry(number(), "number of calls in one arrow; thicker: more"),
    uses.bounded && h("li", {}, uses.bounded),
  ];
  return h("ul", { class: "legend", "aria-label": "Legend" }, ...entries.flat());
}

function level(criticality) {
  const sign = s("g", { transform: "translate(8,9)" }, mark(criticality));
  return entry(sign, criticality === "unknown" ? "criticality unknown" : criticality, 16);
}

function used(all, some) {
  return all.filter((each) => some.includes(each));
}

function number() {
  return s("text", { class: "legend-count", x: 18, y: 13, "text-anchor": "middle" }, "12");
}

function entry(sign, text, width = 36) {
  const room = { width, height: 18, viewBox: `0 0 ${width} 18`, "aria-hidden": "true" };
  return h("li", {}, s("svg", room, sign), text);
}

function shape(kind) {
  const classes = `node ${kind === "group" ? "group" : "service"} kind-${kind}`;
  return s("g", { class: classes, transform: "translate(3,4)" }, outline(kind, 30, 12));
}

function lines(classes) {
  const d = "M1,9H30";
  return [
    classes.includes("mixed") && s("path", { class: "line outer", d }),
    s("path", { class: "line", d }),
  ];
}

function head() {
  return s("path", { class: "head", d: "M35,9L28,5.5V12.5Z" });
}
