// A picture with no more arrows than people can follow, and a browser can move.

const MOST_EDGES = 400;

/**
 * Leave out the arrows that say least. Those stay first that touch the middle, then one for each node
 * that leads towards the middle, then those of most calls.
 *
 * @param {import("./layout.js").Picture} picture in columns
 * @returns {import("./layout.js").Picture} with `allEdges`, how many there would be, if it left some out
 */
export function bounded(picture, most = MOST_EDGES) {
  const { nodes, edges } = picture;
  if (edges.length <= most) return picture;
  const distances = new Map(nodes.map((node) => [node.id, Math.abs(node.column)]));
  const far = (edge) => Math.max(distances.get(edge.source), distances.get(edge.target));
  const near = (edge) => Math.min(distances.get(edge.source), distances.get(edge.target));
  const byCalls = [...edges].sort((a, b) => (b.count || 1) - (a.count || 1));
  const kept = new Set(byCalls.filter((edge) => near(edge) === 0));
  const led = new Set();
  for (const edge of byCalls) {
    const outer = distances.get(edge.source) === far(edge) ? edge.source : edge.target;
    if (near(edge) === far(edge) || led.has(outer)) continue;
    led.add(outer);
    kept.add(edge);
  }
  for (const edge of byCalls) {
    if (kept.size >= most) break;
    kept.add(edge);
  }
  return { nodes, edges: edges.filter((edge) => kept.has(edge)), allEdges: edges.length };
}
