// Names cut to the room they have, by their measured width.

const FONT = "system-ui, sans-serif";
const segments = new Intl.Segmenter();
const measured = new Map();
const MOST_MEASURED = 20000;
let pen = null;

/**
 * Measure a text in pixels.
 *
 * @param {string} text
 * @param {number} size of the font in pixels
 * @param {number} [weight]
 * @returns {number}
 */
export function widthOf(text, size, weight = 400) {
  const key = `${weight} ${size} ${text}`;
  const known = measured.get(key);
  if (known !== undefined) return known;
  pen ||= document.createElement("canvas").getContext("2d");
  pen.font = `${weight} ${size}px ${FONT}`;
  const { width } = pen.measureText(text);
  if (measured.size >= MOST_MEASURED) measured.clear();
  measured.set(key, width);
  return width;
}

/**
 * Cut a text so that it fits, between characters as people see them, with an ellipsis.
 *
 * @param {string} text
 * @param {number} room in pixels
 * @param {number} size
 * @param {number} [weight]
 * @returns {string}
 */
export function cut(text, room, size, weight = 400) {
  if (widthOf(text, size, weight) <= room) return text;
  const characters = [...segments.segment(text)].map((each) => each.segment);
  let fits = 0;
  let over = characters.length;
  while (over - fits > 1) {
    const middle = (fits + over) >> 1;
    const shorter = `${characters.slice(0, middle).join("")}…`;
    if (widthOf(shorter, size, weight) <= room) fits = middle;
    else over = middle;
  }
  return `${characters.slice(0, fits).join("").trimEnd()}…`;
}
