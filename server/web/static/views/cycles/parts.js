// What the list of alerts and a single one have in common.

import { h } from "../../lib/dom.js";
import { words } from "../../lib/words.js";

/**
 * How often alerts are looked at again: detection writes them a moment after the graph has changed, and
 * people acknowledge them without any change of the graph. Watch announces neither.
 */
export const AGAIN_MS = 3000;

/** The status of an alert: word, colour and shape. @param {string} status @returns {HTMLElement} */
export function statusMark(status) {
  const word = words.alertStatus(status);
  return h("span", { class: `alert-status alert-${word}` }, word);
}

/** Whether the cycle of an alert is not in the graph any more. @param {any} alert @returns {boolean} */
export function isGone({ detected, isPresent }) {
  return Boolean(detected && !isPresent);
}
