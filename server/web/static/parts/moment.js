// A moment as its age, which goes on while the page stands.

import { h } from "../lib/dom.js";
import { age, time } from "../lib/words.js";

const EVERY_MS = 5_000;

/**
 * @param {string|undefined} timestamp of protobuf's JSON
 * @param {string} [missing] said when it is unset
 * @returns {HTMLElement|string} "3 min ago"; the time itself is its title
 */
export function moment(timestamp, missing = "never") {
  if (!timestamp) return missing;
  return h("time", { class: "age", datetime: timestamp, title: time(timestamp) }, age(timestamp));
}

function renew() {
  for (const each of document.querySelectorAll("time.age")) {
    const text = age(each.dateTime);
    if (each.textContent !== text) each.textContent = text;
  }
}

setInterval(renew, EVERY_MS);
