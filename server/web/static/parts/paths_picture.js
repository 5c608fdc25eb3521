// Paths of calls as one picture, in columns from the first caller to the last callee.

import { pictureEdge } from "./calls.js";

const MAX_NODES = 300;
// A longer path is drawn without its middle.
const MAX_PATH = 40;
const UNKNOWN = "CRITICALITY_UNKNOWN";

/**
 * Make a picture of paths that begin and end alike; the first ones, as far as 300 services go.
 *
 * @param {Array<{serviceIds: string[], hops: any[]}>} paths of the contract, at least one
 * @param {number} marked position of the path whose calls are marked
 * @param {Map<string, any>} [known] services by name, for their criticality and kind
 * @returns {{picture: any, drawn: number}} how many of the paths are drawn; the marked one always is
 */
export function pathsPicture(paths, marked, known = new Map()) {
  const short = paths.map(shortened);
  const columns = new Map();
  const edges = new Map();
  const inOrder = [marked, ...short.keys()].filter((each, place) => place === 0 || each !== marked);
  let drawn = 0;
  for (const position of inOrder) {
    const { stops, calls } = short[position];
    if (columns.size && columns.size + stops.filter(({ id }) => !columns.has(id)).length > MAX_NODES) break;
    stops.forEach((stop, column) => place(columns, stop, column));
    calls.forEach(
      (edge) => edges.get(edgeKey(edge)) || edges.set(edgeKey(edge), { ...edge, isMarked: !drawn }),
    );
    drawn += 1;
  }
  const nodes = [...columns.values()].map(({ stop, column }) => node(stop, column, known));
  // The end stands apart, right of all others, however short the shortest path is.
  const end = nodes.find((each) => each.id === paths[0].serviceIds.at(-1));
  end.column = Math.max(...nodes.map((each) => each.column + (each === end ? 0 : 1)));
  return { picture: { nodes, edges: [...edges.values()] }, drawn };
}

/** The dependencies of a hop, whichever kind was asked for. @param {any} hop @returns {any[]} */
export function dependenciesOf(hop) {
  return hop.effective ? [hop.effective] : hop.dependencies || [];
}

function shortened({ serviceIds, hops }) {
  const calls = hops.map((hop, at) => pictureEdge(serviceIds[at], serviceIds[at + 1], dependenciesOf(hop)));
  const stops = serviceIds.map((id) => ({ id }));
  const left = stops.length - MAX_PATH;
  if (left <= 1) return { stops, calls };
  const first = MAX_PATH / 2;
  const after = first + left;
  const id = JSON.stringify(["others", serviceIds[first], serviceIds[after - 1]]);
  return {
    stops: [...stops.slice(0, first), { id, others: left }, ...stops.slice(after)],
    calls: [
      ...calls.slice(0, first - 1),
      { ...calls[first - 1], target: id },
      { ...calls[after - 1], source: id },
      ...calls.slice(after),
    ],
  };
}

function place(columns, stop, column) {
  const held = columns.get(stop.id);
  columns.set(stop.id, { stop, column: held ? Math.min(held.column, column) : column });
}

function node({ id, others }, column, known) {
  if (others) {
    const label = `${others.toLocaleString("en")} more`;
    return { id, label, kind: "others", column, criticality: UNKNOWN, count: others };
  }
  const service = known.get(id) || {};
  const { criticality = UNKNOWN, kind, team } = service;
  return { id, label: id, kind: "service", serviceKind: kind, column, criticality, team };
}

function edgeKey({ source, target }) {
  return JSON.stringify([source, target]);
}
