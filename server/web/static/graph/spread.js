// Places that a picture gives, moved apart until no two boxes overlap.

const ROUNDS = 60;
const SPACE = 16;
const STEPS = 16;

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
  const high = Math.sqrt((3.4 * area) / aspect);
  const boxes = sorted.map((node, index) => {
    const own = width(node);
    // A hair of difference by index: two nodes at one place must have a side to go to.
    const x = (node.x ?? 0.5) * high * aspect - own / 2 + index * 1e-3;
    const y = (node.y ?? 0.5) * high - close.height / 2 + index * 1e-3;
    return { node, x, y, width: own, height: close.height, strip: -1 };
  });
  for (let round = 0; round < ROUNDS; round++) if (!pushed(boxes)) return boxes;
  settle(boxes);
  return boxes;
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
  const { x, y } = overlap(a, b);
  if (x <= 0.01 || y <= 0.01) return false;
  const push = (key, size, by) => {
    const sign = Math.sign(b[key] + b[size] / 2 - a[key] - a[size] / 2) || 1;
    a[key] -= (sign * by) / 2;
    b[key] += (sign * by) / 2;
  };
  if (x < y) push("x", "width", x);
  else push("y", "height", y);
  return true;
}

function overlap(a, b) {
  return {
    x: (a.width + b.width) / 2 + SPACE - Math.abs(b.x + b.width / 2 - a.x - a.width / 2),
    y: (a.height + b.height) / 2 + SPACE - Math.abs(b.y + b.height / 2 - a.y - a.height / 2),
  };
}

// What pushing has not separated, in a crowd, goes one by one to the nearest free place around.
function settle(boxes) {
  const free = (box, placed) => {
    const hit = (other) => {
      const { x, y } = overlap(box, other);
      return x > 0.01 && y > 0.01;
    };
    return !placed.some(hit);
  };
  const placed = [];
  for (const box of boxes) {
    const { x, y } = box;
    for (let ring = 1; !free(box, placed); ring++) {
      for (let step = 0; step < STEPS * ring && (step === 0 || !free(box, placed)); step++) {
        const angle = (2 * Math.PI * step) / (STEPS * ring);
        box.x = x + (ring * (box.width + SPACE) * Math.cos(angle)) / 3;
        box.y = y + ring * (box.height + SPACE) * 0.5 * Math.sin(angle);
      }
    }
    placed.push(box);
  }
}
