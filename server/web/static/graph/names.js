// What a screen reader says for a node.

import { word } from "./marks.js";

const MODES = {
  sync: "synchronously",
  async: "asynchronously",
  mixed: "in several modes",
  unknown: "in an unknown mode",
};

/**
 * Name each node of a picture: "payments, critical, 1 hop downstream, called by checkout synchronously".
 *
 * @param {import("./layout.js").Picture} picture
 * @returns {Map<string, string>} by id
 */
export function names(picture) {
  const labels = new Map(picture.nodes.map((node) => [node.id, node.label]));
  const columns = new Map(picture.nodes.map((node) => [node.id, node.column || 0]));
  const calls = new Map();
  const add = (id, way, other, edge) => {
    if (!calls.has(id)) calls.set(id, []);
    calls.get(id).push({ way, other, edge });
  };
  for (const edge of picture.edges) {
    add(edge.source, "calls", edge.target, edge);
    add(edge.target, "called by", edge.source, edge);
  }
  const how = ({ mode, change, isStale }) =>
    change ? `(${change})` : `${MODES[mode] || MODES.unknown}${isStale ? ", stale" : ""}`;
  const told = ({ way, other, edge }) => `${way} ${labels.get(other)} ${how(edge)}`;
  return new Map(
    picture.nodes.map((node) => {
      const own = calls.get(node.id) || [];
      // The calls towards the middle say why the node is in the picture.
      const inner = own.filter(({ other }) => Math.abs(columns.get(other)) < Math.abs(node.column || 0));
      const shown = (inner.length ? inner : own).slice(0, 2).map(told);
      const more = own.length - shown.length;
      const parts = [node.label, ...facts(node), ...(node.isCenter ? counts(own) : shown)];
      if (!node.isCenter && more > 0) parts.push(`and ${more} more`);
      return [node.id, parts.join(", ")];
    }),
  );
}

function facts(node) {
  const level = word(node.criticality);
  const kind = word(node.serviceKind);
  const hops = Math.abs(node.column || 0);
  return [
    node.kind === "service" ? null : `group of ${Number(node.count || 0).toLocaleString("en-US")} services`,
    node.isBare ? null : level === "unknown" ? "criticality unknown" : level,
    kind === "unknown" || kind === "service" ? null : kind,
    node.kind === "service" && node.team ? `team ${node.team}` : null,
    node.isCenter ? "in focus" : null,
    hops ? `${hops} ${hops === 1 ? "hop" : "hops"} ${node.column < 0 ? "upstream" : "downstream"}` : null,
    node.change || null,
    node.note || null,
  ].filter(Boolean);
}

function counts(own) {
  const callers = own.filter(({ way }) => way === "called by").length;
  return [`${callers} ${callers === 1 ? "arrow" : "arrows"} in, ${own.length - callers} out`];
}
