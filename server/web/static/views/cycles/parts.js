// What the list of alerts and a single one have in common.

import { h } from "../../lib/dom.js";
import { words } from "../../lib/words.js";

// Detection writes alerts a moment after the graph has changed, and people acknowledge them without any
// change of the graph: nobody announces either.
const AGAIN_MS = 3000;

/** The status of an alert: word, colour and shape. @param {string} status @returns {HTMLElement} */
export function statusMark(status) {
  const word = words.alertStatus(status);
  return h("span", { class: `alert-status alert-${word}` }, word);
}

/** Whether the cycle of an alert is not in the graph any more. @param {any} alert @returns {boolean} */
export function isGone({ detected, isPresent }) {
  return Boolean(detected && !isPresent);
}

/**
 * Look again every few seconds while the page is in sight.
 *
 * @param {() => void} look
 * @param {AbortSignal} signal
 */
export function often(look, signal) {
  const timer = setInterval(() => document.hidden || look(), AGAIN_MS);
  signal.addEventListener("abort", () => clearInterval(timer));
}
