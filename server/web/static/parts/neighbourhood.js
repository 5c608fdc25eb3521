// A neighbourhood, as the server answers it, as a picture: callers to the left, callees to the right.

import { bounded } from "../graph/bounded.js";
import { withCycles } from "../graph/cyclic.js";
import { counted, criticalityRank } from "../lib/words.js";
import { pictureEdge } from "./calls.js";

const MOST_NODES = 300;

/**
 * @param {any} answer GetNeighbourhoodResponse
 * @param {number} [mostArrows]
 * @returns {import("../graph/layout.js").Picture} at most 300 nodes: what is more of groups becomes
 *   one node for each column
 */
export function pictureOf(answer, mostArrows) {
  const neighbours = answer.neighbours || [];
  const services = [
    { ...serviceNode(answer.center), column: 0, isCenter: true },
    ...neighbours.map((each) => ({
      ...serviceNode(each.service),
      column: columnOf(each.direction, each.depth),
      note: alsoOn(each),
    })),
  ];
  const groups = groupNodes(answer.groups || [], MOST_NODES - services.length);
  const dependencies = (answer.dependencies || []).map(dependencyEdge);
  const calls = groupEdges(answer, groups.idOf);
  const nodes = [...services, ...groups.nodes];
  return bounded(withCycles({ nodes, edges: [...dependencies, ...calls] }), mostArrows);
}

/** @param {string} direction @param {number} depth @returns {number} */
export function columnOf(direction, depth) {
  return direction === "DIRECTION_UPSTREAM" ? -depth : depth;
}

/** The id of a service's node. @param {string} name @returns {string} */
export function nodeId(name) {
  return `service ${name}`;
}

/**
 * Name a group of a neighbourhood.
 *
 * @param {{team?: string, otherTeams?: boolean}} selector
 * @param {number} [teamCount] of the group, where it is known
 * @returns {string}
 */
export function groupName({ team, otherTeams }, teamCount) {
  if (!otherTeams) return team || "no team";
  return teamCount ? counted(teamCount, "other team") : "other teams";
}

function serviceNode(service) {
  return {
    id: nodeId(service.serviceId),
    label: service.serviceId,
    kind: "service",
    serviceKind: service.kind,
    criticality: service.criticality,
    team: service.team,
  };
}

function alsoOn({ direction, otherDepth }) {
  if (!otherDepth) return undefined;
  const other = direction === "DIRECTION_UPSTREAM" ? "downstream" : "upstream";
  return `also ${counted(otherDepth, "hop")} ${other}`;
}

function dependencyEdge(dependency) {
  const { sourceServiceId, targetServiceId } = dependency;
  return pictureEdge(nodeId(sourceServiceId), nodeId(targetServiceId), [dependency]);
}

// The groups with most services are nodes of their own, while there is room; what is left of a
// column is one node.
function groupNodes(groups, room) {
  const columns = groups.map(({ selector }) => columnOf(selector.direction, selector.depth));
  const own = new Set(groups.map((_, index) => index));
  if (groups.length > room) {
    const bySize = [...own].sort((a, b) => groups[b].serviceCount - groups[a].serviceCount || a - b);
    for (const index of bySize.slice(Math.max(0, room - new Set(columns).size))) own.delete(index);
  }
  const nodes = new Map();
  const ids = groups.map((group, index) => {
    const column = columns[index];
    // Not by position: the keyboard's focus stays on a group when the graph changes.
    const id = own.has(index) ? groupId(column, group.selector) : `others ${column}`;
    const before = nodes.get(id);
    nodes.set(id, before ? joined(before, group) : groupNode(id, column, group, own.has(index)));
    return id;
  });
  return { nodes: [...nodes.values()], idOf: (index) => ids[index] };
}

function groupId(column, { team, otherTeams }) {
  return otherTeams ? `group ${column}` : `group ${column} ${team || ""}`;
}

function groupNode(id, column, { selector, serviceCount, highestCriticality, teamCount }, isOwn) {
  return {
    id,
    label: isOwn ? groupName(selector, teamCount) : "other teams",
    kind: isOwn ? "group" : "others",
    column,
    count: serviceCount,
    criticality: highestCriticality,
    selector,
  };
}

function joined(node, { serviceCount, highestCriticality }) {
  const highest = [node.criticality, highestCriticality].sort(
    (a, b) => criticalityRank(a) - criticalityRank(b),
  )[0];
  return { ...node, count: node.count + serviceCount, criticality: highest };
}

// Calls of groups that share a node are one edge.
function groupEdges(answer, idOf) {
  const end = (callEnd) =>
    callEnd.serviceId === undefined ? idOf(callEnd.group || 0) : nodeId(callEnd.serviceId);
  const sums = new Map();
  for (const { source, target, calls } of answer.groupCalls || []) {
    const [from, to] = [end(source), end(target)];
    if (from === to) continue;
    const key = JSON.stringify([from, to]);
    const sum = sums.get(key) || {
      source: from,
      target: to,
      pairs: 0,
      sync: 0,
      async: 0,
      unknown: 0,
      stale: 0,
    };
    sum.pairs += calls.pairCount || 0;
    sum.sync += calls.syncCount || 0;
    sum.async += calls.asyncCount || 0;
    sum.unknown += calls.unknownCount || 0;
    sum.stale += calls.staleCount || 0;
    sums.set(key, sum);
  }
  return [...sums.values()].map(countedEdge);
}

function countedEdge({ source, target, pairs, stale, ...modes }) {
  const used = Object.keys(modes).filter((mode) => modes[mode] > 0);
  const mode = used.length === 1 ? used[0] : "mixed";
  return { source, target, mode, count: pairs, isStale: stale > 0 && stale === pairs };
}
