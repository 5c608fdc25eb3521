// The answer of GetMap as a picture.

import { counted } from "../../lib/words.js";
import { groupName } from "./question.js";

// Among more arrows nothing can be seen: those of fewest calls are left out at first.
const ARROWS_A_NODE = 3;
const ARROWS = 120;

/**
 * Make the picture; its nodes and edges hold what the tables show, too.
 *
 * @param {any} answer
 * @param {import("./question.js").Question} asked
 * @returns {import("../../graph/layout.js").Picture}
 */
export function pictureOf({ nodes = [], calls = [] }, asked) {
  const drawn = nodes.map((node) => nodeOf(node, asked));
  const edges = calls.map(({ source = 0, target = 0, calls: counts }) => ({
    source: drawn[source].id,
    target: drawn[target].id,
    mode: modeOf(counts),
    count: counts.pairCount,
    isStale: counts.staleCount === counts.pairCount,
    counts,
  }));
  return { nodes: drawn, edges };
}

function nodeOf(node, asked) {
  const inner = node.innerCalls?.pairCount || 0;
  const common = { x: node.x || 0, y: node.y || 0, inner, services: node.serviceCount || 0 };
  if (node.service) {
    const { serviceId, kind, criticality, team } = node.service;
    const own = { id: `service ${serviceId}`, label: serviceId, serviceKind: kind, criticality, team };
    return { ...common, ...own, kind: "service", services: 1 };
  }
  const group = { ...common, criticality: node.highestCriticality, count: common.services };
  group.note = inner ? `${counted(inner, "call")} inside` : "";
  if (node.others !== undefined) {
    return { ...group, id: "others", kind: "others", label: othersName(node, asked) };
  }
  const name = node.group || "";
  return { ...group, id: `group ${name}`, kind: "group", group: name, label: groupName(asked, name) };
}

function othersName({ others }, asked) {
  return counted(others, asked.isInside ? "other" : "other group");
}

function modeOf({ syncCount = 0, asyncCount = 0, unknownCount = 0 }) {
  const modes = [syncCount && "sync", asyncCount && "async", unknownCount && "unknown"].filter(Boolean);
  return modes.length === 1 ? modes[0] : "mixed";
}

/**
 * Leave every node that has been drawn where it is, whatever a new answer says.
 *
 * @param {import("../../graph/layout.js").Picture} picture
 * @param {Map<string, {x: number, y: number}>} places by id; new ones are added
 */
export function settle({ nodes }, places) {
  for (const node of nodes) {
    const place = places.get(node.id);
    if (place) Object.assign(node, place);
    else places.set(node.id, { x: node.x, y: node.y });
  }
}

/**
 * The fewest calls of an arrow that is shown at first; all arrows of as many calls are, or none.
 *
 * @param {import("../../graph/layout.js").Picture} picture
 * @returns {number}
 */
export function leastCalls({ nodes, edges }) {
  const counts = edges.map((edge) => edge.count).sort((a, b) => b - a);
  const most = Math.min(ARROWS, ARROWS_A_NODE * nodes.length);
  return counts.length > most ? Math.min(counts[0], counts[most] + 1) : 1;
}

/**
 * The nodes whose name holds a text.
 *
 * @param {import("../../graph/layout.js").Picture} picture
 * @param {string} text
 */
export function matching({ nodes }, text) {
  const wanted = text.trim().toLowerCase();
  if (!wanted) return [];
  return nodes.filter((node) => node.kind !== "others" && node.label.toLowerCase().includes(wanted));
}
