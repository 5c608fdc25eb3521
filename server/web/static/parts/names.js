// Names of services as they stand in text: links, paths and cycles.

import { h } from "../lib/dom.js";
import { format } from "../lib/route.js";
import { count } from "../lib/words.js";

const MAX_PATH = 8;
const FIRST = 4;
const LAST = 2;

/**
 * Link a service's name to a view of it. CSS cuts a long name; the title has all of it.
 *
 * @param {string} name
 * @param {{view?: string, params?: Object<string, any>, href?: string,
 *   onclick?: (event: MouseEvent) => void}} [to]
 * @returns {HTMLElement}
 */
export function serviceLink(
  name,
  { view = "focus", params = {}, href = format(view, name, params), onclick } = {},
) {
  return h("a", { class: "name", dir: "auto", title: name, href, onclick }, name);
}

/**
 * Write a name that leads nowhere.
 *
 * @param {string} name
 * @returns {HTMLElement}
 */
export function nameText(name) {
  return h("bdi", { class: "name", title: name }, name);
}

/**
 * Write names in call order, a long path without its middle.
 *
 * @param {string[]} names
 * @param {(name: string) => HTMLElement} [write]
 * @returns {HTMLElement} "a → b → … → z (25 hops)"; the title has all of them
 */
export function pathText(names, write = nameText) {
  const isLong = names.length > MAX_PATH;
  const shown = isLong ? [...names.slice(0, FIRST), null, ...names.slice(-LAST)] : names;
  return h(
    "span",
    { class: "path", title: names.join(" → ") },
    shown
      .map((name, position) => [
        position > 0 && h("span", { class: "arrow" }, " → "),
        name === null ? "…" : write(name),
      ])
      .flat(),
    isLong && ` (${count(names.length - 1)} hops)`,
  );
}

/**
 * Write a cycle: its path, and the first service again.
 *
 * @param {string[]} names
 * @param {(name: string) => HTMLElement} [write]
 * @returns {HTMLElement}
 */
export function cycleText(names, write = nameText) {
  return pathText([...names, ...names.slice(0, 1)], write);
}

/**
 * Name a team; services without one are "no team".
 *
 * @param {string|undefined} team
 * @returns {HTMLElement|string}
 */
export function teamText(team) {
  return team === undefined ? h("span", { class: "missing" }, "no team") : nameText(team);
}
