// A difference as a picture: the services that changed, those that changed dependencies join, and these.

import { changeWord } from "../../parts/changes.js";

const MOST_NODES = 300;
const MOST_EDGES = 400;

/**
 * @param {{services: any[], dependencies: any[]}} answer of DiffGraph
 * @returns {{picture: import("../../graph/layout.js").Picture, allNodes: number, allEdges: number}} how many
 *   there are, drawn or not
 */
export function graphOf({ services, dependencies }) {
  const changed = new Map(services.map((each) => [(each.after || each.before).serviceId, each]));
  const pairs = pairsOf(dependencies);
  const weight = new Map([...changed.keys()].map((name) => [name, 1]));
  for (const { source, target } of pairs) {
    for (const name of [source, target]) weight.set(name, (weight.get(name) || 0) + 1);
  }
  const kept = heaviest(weight);
  const drawn = pairs.filter(({ source, target }) => kept.has(source) && kept.has(target));
  drawn.sort((a, b) => ORDER.indexOf(a.change) - ORDER.indexOf(b.change));
  const edges = drawn.slice(0, MOST_EDGES);
  const columns = layered([...kept], edges);
  const nodes = [...kept].map((name) => node(name, changed.get(name), columns.get(name)));
  return { picture: { nodes, edges: edges.map(edge) }, allNodes: weight.size, allEdges: pairs.length };
}

const ORDER = ["added", "removed", "changed"];

/** What each discovery source says of two services, as one. */
function pairsOf(dependencies) {
  const pairs = new Map();
  for (const { kind, before, after } of dependencies) {
    const { sourceServiceId: source, targetServiceId: target } = after || before;
    const key = JSON.stringify([source, target]);
    const pair = pairs.get(key) || { source, target, kinds: new Set(), changes: 0 };
    pair.kinds.add(changeWord(kind));
    pair.changes += 1;
    pairs.set(key, pair);
  }
  return [...pairs.values()].map(({ kinds, ...pair }) => ({
    ...pair,
    change: kinds.size === 1 ? [...kinds][0] : "changed",
  }));
}

// Of equal ones, by name: the same difference gives the same picture.
function heaviest(weight) {
  const names = [...weight.keys()].sort((a, b) => weight.get(b) - weight.get(a) || (a < b ? -1 : 1));
  return new Set(names.slice(0, MOST_NODES));
}

/**
 * Place callers left of their callees: the column is the longest way from a service that nobody calls.
 * Kahn 1962; where only cycles are left, the service with most callees goes first.
 *
 * @returns {Map<string, number>}
 */
function layered(names, edges) {
  const callers = new Map(names.map((name) => [name, 0]));
  const callees = new Map(names.map((name) => [name, []]));
  for (const { source, target } of edges) {
    callers.set(target, callers.get(target) + 1);
    callees.get(source).push(target);
  }
  const columns = new Map();
  const waiting = new Set(names);
  while (waiting.size) {
    const free = [...waiting].filter((name) => callers.get(name) === 0);
    const next = free.length ? free : [mostCallees(waiting, callees)];
    for (const name of next) {
      waiting.delete(name);
      const column = columns.get(name) || 0;
      columns.set(name, column);
      for (const target of callees.get(name)) {
        if (!waiting.has(target)) continue;
        callers.set(target, callers.get(target) - 1);
        columns.set(target, Math.max(columns.get(target) || 0, column + 1));
      }
    }
  }
  return columns;
}

function mostCallees(waiting, callees) {
  const number = (name) => callees.get(name).filter((each) => waiting.has(each)).length;
  return [...waiting].reduce((best, name) => (number(name) > number(best) ? name : best));
}

function node(name, change, column) {
  const { criticality, kind, team } = change ? change.after || change.before : {};
  return {
    id: `service ${name}`,
    label: name,
    kind: "service",
    serviceKind: kind,
    criticality,
    team,
    column,
    isBare: !change,
    change: change && changeWord(change.kind),
  };
}

function edge({ source, target, change }) {
  return { source: `service ${source}`, target: `service ${target}`, mode: "", change };
}
