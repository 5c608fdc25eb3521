// Places that a picture gives, pushed apart until no two boxes overlap.

const ROUNDS = 60;
const GROWTH = 1.12;
const SPACE = 16;

/**
 * Place nodes by their x and y, 0–1. O(rounds · V²): pictures have at most 300 nodes.
 *
 * @param {import("./layout.js").Node[]} nodes
 * @param {(node: import("./layout.js").Node) => number} width
 * @param {import("./layout.js").Density} close
 * @param {number} aspect width of the room by its height
 * @returns {import("./layout.js").Box[]}
 */
export function spread(nodes, width, close, aspect) {
  const sorted = nodes.toSorted((a, b) => (a.id < b.id ? -1 : a.id > b.id ? 1 : 0));
  const area = sorted.reduce((sum, node) => sum + (width(node) + SPACE) * (close.height + SPACE), 0);
  let high = Math.sqrt((3 * area) / aspect);
  for (;;) {
    const boxes = sorted.map((node, index) => {
      const own = width(node);
      // A hair of difference by index: two nodes at one place must have a side to go to.
      const x = (node.x ?? 0.5) * high * aspect - own / 2 + index * 1e-3;
      const y = (node.y ?? 0.5) * high - close.height / 2 + index * 1e-3;
      return { node, x, y, width: own, height: close.height, strip: -1 };
    });
    for (let round = 0; round < ROUNDS; round++) if (!pushed(boxes)) return boxes;
    high *= GROWTH;
  }
}

function pushed(boxes) {
  let any = false;
  for (let i = 0; i < boxes.length; i++) {
    for (let j = i + 1; j < boxes.length; j++) if (apart(boxes[i], boxes[j])) any = true;
  }
  return any;
}

// Push two boxes that overlap, each by half, the way that is shorter.
function apart(a, b) {
  const dx = b.x + b.width / 2 - a.x - a.width / 2;
  const dy = b.y + b.height / 2 - a.y - a.height / 2;
  const overX = (a.width + b.width) / 2 + SPACE - Math.abs(dx);
  const overY = (a.height + b.height) / 2 + SPACE - Math.abs(dy);
  if (overX <= 0.01 || overY <= 0.01) return false;
  if (overX < overY) {
    a.x -= (Math.sign(dx) * overX) / 2;
    b.x += (Math.sign(dx) * overX) / 2;
  } else {
    a.y -= (Math.sign(dy) * overY) / 2;
    b.y += (Math.sign(dy) * overY) / 2;
  }
  return true;
}
