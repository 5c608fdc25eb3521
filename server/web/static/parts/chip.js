// Criticality as a small label: colour, shape and word.

import { h } from "../lib/dom.js";
import { words } from "../lib/words.js";

/**
 * @param {string} criticality "CRITICALITY_HIGH"
 * @returns {HTMLElement}
 */
export function chip(criticality) {
  const word = words.criticality(criticality) || "unknown";
  return h("span", { class: `chip ${word}` }, word === "unknown" ? "criticality unknown" : word);
}
