// Looking around in a picture: hover and focus light up a node with its neighbours; arrow keys go
// from node to node, one of which is in the tab order.

const ARROWS = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] };
const PAN = 60;

/**
 * @typedef {Object} Walk
 * @property {(swap: () => void, scene: object) => void} replace the elements; the focus stays on its node
 * @property {(ids: string[] | null) => void} highlight
 * @property {(id: string | null) => void} choose what is looked at beside the picture
 * @property {() => void} focus the node in the middle, by the keyboard
 * @property {() => void} destroy
 */

/**
 * @param {HTMLElement} room
 * @param {SVGElement} svg
 * @param {import("./panzoom.js").PanZoom} view
 * @param {{onopen: (node: any) => void, onselect: (node: any) => void}} act
 * @returns {Walk}
 */
export function walking(room, svg, view, { onopen, onselect }) {
  const off = new AbortController();
  const on = (name, listen) => room.addEventListener(name, listen, { signal: off.signal });
  let scene = { plan: null, nodes: new Map(), edges: [] };
  let byElement = new Map();
  let current = null;
  let pinned = null;
  let chosen = null;
  let isReplacing = false;

  const idOf = (target) => byElement.get(target.closest?.(".node"));
  const nodeOf = (id) => scene.plan.boxes.get(id).node;

  function light(ids, edges) {
    svg.classList.toggle("lit", ids !== null);
    scene.nodes.forEach((element, id) => element.classList.toggle("near", ids !== null && ids.has(id)));
    scene.edges.forEach((edge) => edge.element.classList.toggle("near", ids !== null && edges(edge)));
  }
  function around(id) {
    const near = new Set([id]);
    for (const { source, target } of scene.edges) {
      if (source === id) near.add(target);
      if (target === id) near.add(source);
    }
    light(near, (edge) => edge.source === id || edge.target === id);
  }
  function rest() {
    if (pinned) light(pinned, (edge) => pinned.has(edge.source) && pinned.has(edge.target));
    else light(null);
  }
  function mark() {
    scene.nodes.forEach((element, id) => element.classList.toggle("chosen", id === chosen));
  }
  // One node is reached by Tab; arrows reach the others.
  function take(id, focus) {
    scene.nodes.get(current)?.setAttribute("tabindex", "-1");
    current = id;
    const element = scene.nodes.get(id);
    element?.setAttribute("tabindex", "0");
    if (focus) element?.focus({ preventScroll: true });
  }

  on("pointerover", (event) => {
    if (event.pointerType === "touch") return;
    const id = idOf(event.target);
    if (id !== undefined) around(id);
    else if (!room.contains(document.activeElement) || !idOf(document.activeElement)) rest();
  });
  on("pointerleave", rest);
  on("focusin", (event) => {
    const id = idOf(event.target);
    if (id === undefined) return;
    take(id, false);
    // A click lights up by hovering already, and must not move what was clicked.
    if (!event.target.matches(":focus-visible")) return;
    around(id);
    // A picture that is drawn anew stays where it is.
    if (!isReplacing) view.reveal(scene.plan.boxes.get(id));
  });
  on("focusout", rest);
  on("click", (event) => {
    const id = idOf(event.target);
    if (id === undefined) return;
    if (event.shiftKey) onselect(nodeOf(id));
    else onopen(nodeOf(id));
  });
  on("keydown", (event) => {
    if (event.ctrlKey || event.altKey || event.metaKey) return;
    const id = idOf(event.target);
    if (pressed(event, id)) event.preventDefault();
  });

  function pressed(event, id) {
    const [dx, dy] = ARROWS[event.key] || [0, 0];
    if (dx || dy) {
      if (id === undefined) return false;
      if (event.shiftKey) view.pan(-dx * PAN, -dy * PAN);
      else {
        const next = nextBox(scene.plan.boxes, id, dx, dy);
        if (next) take(next, true);
      }
      return true;
    }
    if (event.key === "Escape") {
      pinned = null;
      rest();
      return true;
    }
    if (event.key === "+" || event.key === "=") view.zoom(1.3);
    else if (event.key === "-") view.zoom(1 / 1.3);
    else if (event.key === "0") view.fit(true);
    else if (id === undefined) return false;
    else if (event.key === "Home") take(firstOf(scene.plan.boxes), true);
    else if (event.key === "Enter") onopen(nodeOf(id));
    else if (event.key === " ") onselect(nodeOf(id));
    else return false;
    return true;
  }

  return {
    replace(swap, next) {
      const focused = idOf(document.activeElement);
      scene = next;
      byElement = new Map([...next.nodes].map(([id, element]) => [element, id]));
      swap();
      mark();
      const stays = next.nodes.has(current) ? current : firstOf(next.plan.boxes);
      current = null;
      isReplacing = true;
      if (stays !== undefined) take(stays, focused !== undefined);
      isReplacing = false;
      if (focused !== undefined && stays === focused) around(focused);
      else rest();
    },
    highlight(ids) {
      pinned = ids ? new Set(ids) : null;
      rest();
    },
    choose(id) {
      chosen = id;
      mark();
    },
    focus() {
      take(firstOf(scene.plan.boxes), true);
    },
    destroy: () => off.abort(),
  };
}

function firstOf(boxes) {
  const all = [...boxes.values()];
  return (all.find((box) => box.node.isCenter) || all[0])?.node.id;
}

// The nearest box that way; one that lies aside counts as farther.
function nextBox(boxes, id, dx, dy) {
  const from = boxes.get(id);
  const middle = (box) => ({ x: box.x + box.width / 2, y: box.y + box.height / 2 });
  const here = middle(from);
  let best = null;
  let least = Infinity;
  for (const box of boxes.values()) {
    const there = middle(box);
    const ahead = (there.x - here.x) * dx + (there.y - here.y) * dy;
    const aside = Math.abs((there.x - here.x) * dy + (there.y - here.y) * dx);
    // Within a cone: at most 60 degrees off.
    if (ahead < 2 || aside > ahead * (dx ? 8 : 1)) continue;
    const far = ahead + aside * (dx ? 0.6 : 3);
    if (far < least) [best, least] = [box.node.id, far];
  }
  return best;
}
