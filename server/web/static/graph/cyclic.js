// Which calls of a picture are on a cycle: those within a strongly connected component.

/**
 * Mark the edges of a picture that are on a cycle of it. Groups don't count: a cycle through a group
 * need not be one of services. O(V + E), Tarjan 1972, without recursion.
 *
 * @param {import("./layout.js").Picture} picture
 * @returns {import("./layout.js").Picture} the same, its edges marked
 */
export function withCycles({ nodes, edges }) {
  const services = new Set(nodes.filter((node) => node.kind === "service").map((node) => node.id));
  const inner = edges.filter((edge) => services.has(edge.source) && services.has(edge.target));
  const component = components([...services], inner);
  return {
    nodes,
    edges: edges.map((edge) => {
      const own = component.get(edge.source);
      return own !== undefined && own === component.get(edge.target) ? { ...edge, isCyclic: true } : edge;
    }),
  };
}

function components(ids, edges) {
  const targets = new Map(ids.map((id) => [id, []]));
  for (const { source, target } of edges) targets.get(source).push(target);
  const index = new Map();
  const low = new Map();
  const open = [];
  const isOpen = new Set();
  const found = new Map();
  const begin = (id) => {
    index.set(id, index.size);
    low.set(id, index.get(id));
    open.push(id);
    isOpen.add(id);
    return { id, next: 0 };
  };
  const close = (id) => {
    for (;;) {
      const member = open.pop();
      isOpen.delete(member);
      found.set(member, id);
      if (member === id) return;
    }
  };
  for (const root of ids) {
    if (index.has(root)) continue;
    const work = [begin(root)];
    while (work.length) {
      const step = work.at(-1);
      const target = targets.get(step.id)[step.next++];
      if (target === undefined) {
        work.pop();
        if (low.get(step.id) === index.get(step.id)) close(step.id);
        const parent = work.at(-1)?.id;
        if (parent !== undefined) low.set(parent, Math.min(low.get(parent), low.get(step.id)));
      } else if (!index.has(target)) work.push(begin(target));
      else if (isOpen.has(target)) low.set(step.id, Math.min(low.get(step.id), index.get(target)));
    }
  }
  return found;
}
