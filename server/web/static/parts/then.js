// A view that shows the graph of a time says so, and leads back to now.

import { h } from "../lib/dom.js";
import { format } from "../lib/route.js";
import { instant, second } from "../lib/times.js";
import { moment } from "./moment.js";

/**
 * @param {import("../lib/route.js").Route} route
 * @returns {{element: HTMLElement, found: (freshness: any) => void, at: (route: any) => void}} the element is
 *   hidden where the address has no time; `found` names the state that stands for the time; `at` is for
 *   views that change the address by themselves
 */
export function thenNote(route) {
  const state = h("span", { class: "soft" });
  const element = h("div", { class: "note then", role: "note", "aria-label": "As of" });

  function at({ view, name, params }) {
    element.hidden = !params.as_of;
    state.replaceChildren();
    if (element.hidden) return;
    const asOf = instant("as_of", params.as_of);
    element.replaceChildren(
      h("strong", {}, `As of ${second(asOf)}`),
      h("span", {}, moment(asOf)),
      state,
      h("span", {}, "Live updates are paused."),
      h(
        "span",
        { class: "row" },
        h("a", { class: "button small", href: format(view, name, { ...params, as_of: "" }) }, "Back to now"),
        name && h("a", { href: format("changes", name, { since: asOf }) }, "What changed since"),
        h("a", { href: format("diff", "", { from: asOf }) }, "Difference to now"),
      ),
    );
  }

  at(route);
  return { element, at, found: (freshness) => state.replaceChildren(stateText(freshness)) };
}

/**
 * Name the state of the graph that an answer comes from.
 *
 * @param {any} freshness
 * @returns {string} "(state of 2026-11-30 03:12:07 UTC)"; "" for now
 */
export function stateText(freshness = {}) {
  if (!freshness.asOfTime) return "";
  const how = freshness.approximate ? ", approximately: a dump was restored since" : "";
  return `(state of ${second(freshness.asOfTime)}${how})`;
}

/** Says that an answer about the past was not read exactly. @returns {HTMLElement} */
export function approximately() {
  const why = "Approximately: a dump was restored since, so that times decide what is in it.";
  return h("p", { class: "warning" }, why);
}
