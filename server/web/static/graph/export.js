// A picture as a file: SVG that needs no style sheet, or PNG.

import { h } from "../lib/dom.js";

const SVG = "http://www.w3.org/2000/svg";
// What the style sheet decides; as attributes, so that every program reads it.
const STYLES = [
  "fill",
  "stroke",
  "stroke-width",
  "stroke-dasharray",
  "stroke-linejoin",
  "opacity",
  "paint-order",
  "font-family",
  "font-size",
  "font-weight",
  "text-anchor",
  "dominant-baseline",
];
const DROPPED = ["class", "tabindex", "role", "aria-label", "style", "focusable"];
const LARGEST = 8000;

/**
 * Make the buttons that save a picture.
 *
 * @param {SVGElement} svg of a drawing
 * @param {string} filename without ending
 * @returns {HTMLElement}
 */
export function exportButtons(svg, filename) {
  const button = (text, act) => h("button", { type: "button", class: "small", onclick: act }, text);
  return h(
    "span",
    { class: "exports", role: "group", "aria-label": "Save the picture" },
    button("SVG", () => save(svgFile(svg), `${safe(filename)}.svg`)),
    button("PNG", async () => save(await png(svg), `${safe(filename)}.png`)),
  );
}

/** Write a picture as SVG text that opens anywhere. @param {SVGElement} svg @returns {string} */
export function standalone(svg) {
  // As it looks at rest: nothing dimmed, nothing in transition.
  const before = svg.getAttribute("class");
  svg.setAttribute("class", `${before.replace(/\b(lit|moving)\b/g, "")} still`);
  const copy = svg.cloneNode(true);
  inline(svg, copy);
  svg.setAttribute("class", before);
  const { x, y, width, height } = svg.viewBox.baseVal;
  const paper = document.createElementNS(SVG, "rect");
  const color = getComputedStyle(svg.parentElement).backgroundColor;
  const all = { x, y, width, height, fill: color };
  for (const [name, value] of Object.entries(all)) paper.setAttribute(name, value);
  copy.prepend(paper);
  copy.setAttribute("xmlns", SVG);
  return new XMLSerializer().serializeToString(copy);
}

/**
 * Draw a picture as PNG, twice as fine as on the screen.
 *
 * @param {SVGElement} svg
 * @returns {Promise<Blob>}
 */
export async function png(svg) {
  const { width, height } = svg.viewBox.baseVal;
  const scale = Math.min(2, LARGEST / Math.max(width, height));
  const address = URL.createObjectURL(svgFile(svg));
  try {
    const image = new Image();
    image.src = address;
    await image.decode();
    const canvas = document.createElement("canvas");
    canvas.width = Math.ceil(width * scale);
    canvas.height = Math.ceil(height * scale);
    canvas.getContext("2d").drawImage(image, 0, 0, canvas.width, canvas.height);
    const blob = await new Promise((done) => canvas.toBlob(done, "image/png"));
    if (!blob) throw new Error("the picture is too large for PNG");
    return blob;
  } finally {
    URL.revokeObjectURL(address);
  }
}

function svgFile(svg) {
  return new Blob([standalone(svg)], { type: "image/svg+xml" });
}

function inline(from, to) {
  const style = getComputedStyle(from);
  for (const name of STYLES) {
    const value = style.getPropertyValue(name);
    if (value && value !== "normal" && value !== "auto") to.setAttribute(name, value);
  }
  for (const name of DROPPED) to.removeAttribute(name);
  [...from.children].forEach((child, index) => inline(child, to.children[index]));
}

function save(blob, filename) {
  const address = URL.createObjectURL(blob);
  h("a", { href: address, download: filename }).click();
  // The browser reads the file after the click.
  setTimeout(() => URL.revokeObjectURL(address), 60_000);
}

// Names hold slashes and worse.
function safe(filename) {
  return filename.replace(/[^\p{L}\p{N}._-]+/gu, "-").slice(0, 80) || "picture";
}
