// Shapes and marks: kinds of services by the outline of their box, criticality by a mark beside the
// name. Each says without colour what the colour says too.

import { s } from "../lib/dom.js";

const PREFIX = /^(CRITICALITY|SERVICE_KIND|DEPENDENCY_CRITICALITY|COMMUNICATION_MODE)_/;

/** How far the boxes behind that of a group stand out above it. */
export const STACK = 6;

/**
 * Give the plain word of an enum's value: "CRITICALITY_HIGH" and "high" are both "high"; one that is
 * not set, which JSON leaves out, is "unknown".
 *
 * @param {string} [value]
 * @returns {string}
 */
export function word(value) {
  const plain = (value || "").replace(PREFIX, "").toLowerCase();
  return plain === "" || plain === "unspecified" ? "unknown" : plain;
}

/**
 * Draw the mark of a criticality, 10 by 10, its middle at 0,0; the same as those of .chip in style.css.
 *
 * @param {string} [criticality]
 * @returns {SVGElement}
 */
export function mark(criticality) {
  const level = word(criticality);
  const shapes = {
    critical: "M0,-5.5L5.5,0L0,5.5L-5.5,0Z",
    high: "M0,-5L5.2,4.2H-5.2Z",
    medium: "M0,-4A4,4 0 1 1 0,4A4,4 0 1 1 0,-4Z",
    low: "M0,-3.6A3.6,3.6 0 1 1 0,3.6A3.6,3.6 0 1 1 0,-3.6Z",
    // A question mark: it is a picture here, not text.
    unknown: "M-2.6,-2.6C-2.4,-5.4 2.8,-5.4 2.6,-2.2C2.5,-0.4 0,-0.2 0,2M0,4.4V5",
  };
  return s("path", { class: `mark ${level}`, d: shapes[level] || shapes.unknown });
}

const SIGNS = {
  added: "M-3.5,0H3.5M0,-3.5V3.5",
  removed: "M-3.5,0H3.5",
  changed: "M-3.5,1Q-1.8,-2.5 0,0T3.5,-1",
};

/**
 * Draw the sign of a difference: plus, minus, or a wave for what has other values.
 *
 * @param {"added"|"removed"|"changed"} change
 * @param {{x: number, y: number}} at
 * @returns {SVGElement}
 */
export function changeSign(change, { x, y }) {
  return s(
    "g",
    { class: `sign sign-${change}`, transform: `translate(${x.toFixed(1)},${y.toFixed(1)})` },
    s("circle", { r: 6.5 }),
    s("path", { d: SIGNS[change] }),
  );
}

/**
 * Draw the outline of a kind, its left top corner at 0,0.
 *
 * @param {string} kind of a service, or "group", "others"
 * @param {number} width
 * @param {number} height
 * @returns {SVGElement[]} from back to front
 */
export function outline(kind, width, height) {
  const box = (d) => s("path", { class: "box", d });
  const line = (d) => s("path", { class: "inner", d });
  const low = height - 4;
  switch (kind) {
    case "database":
      return [
        box(`M0,4C0,-1.4 ${width},-1.4 ${width},4V${low}C${width},${low + 5.4} 0,${low + 5.4} 0,${low}Z`),
        line(`M0,4C0,8.6 ${width},8.6 ${width},4`),
      ];
    case "queue":
      return [
        box(rounded(0, 0, width, height, height / 2)),
        line(`M${width - height / 2 - 2},3V${height - 3}M${width - height / 2 + 3},3V${height - 3}`),
      ];
    case "gateway":
      return [box(`M9,0H${width - 9}L${width},${height / 2}L${width - 9},${height}H9L0,${height / 2}Z`)];
    case "external":
      return [box(`M0,0H${width - 10}L${width},10V${height}H0Z`), line(`M${width - 10},0V10H${width}`)];
    case "group":
    case "others":
      return [
        s("path", { class: "box behind", d: rounded(6, -STACK, width - 6, height, 5) }),
        s("path", { class: "box behind", d: rounded(3, -STACK / 2, width - 3, height, 5) }),
        box(rounded(0, 0, width, height, 5)),
      ];
    default:
      return [box(rounded(0, 0, width, height, 6))];
  }
}

function rounded(x, y, right, height, radius) {
  const r = radius;
  const wide = right - x - 2 * r;
  const high = height - 2 * r;
  return (
    `M${x + r},${y}h${wide}a${r},${r} 0 0 1 ${r},${r}v${high}a${r},${r} 0 0 1 ${-r},${r}` +
    `h${-wide}a${r},${r} 0 0 1 ${-r},${-r}v${-high}a${r},${r} 0 0 1 ${r},${-r}Z`
  );
}
