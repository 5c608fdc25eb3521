// What stands above the picture of a focus.

import { h } from "../../lib/dom.js";
import { count, counted, words } from "../../lib/words.js";
import { chip } from "../../parts/chip.js";

/** @param {any} service @returns {HTMLElement} */
export function title(service) {
  const kind = words.kind(service.kind);
  return h(
    "div",
    { class: "row focus-title" },
    h("h1", {}, h("bdi", {}, service.serviceId)),
    chip(service.criticality),
    service.team && h("span", { class: "soft" }, "team ", h("bdi", {}, service.team)),
    kind && kind !== "service" && h("span", { class: "soft" }, kind),
  );
}

/**
 * Say how much is there, and how much of it is in the picture.
 *
 * @param {any} answer GetNeighbourhoodResponse
 * @param {any} request
 * @returns {HTMLElement}
 */
export function summary(answer, request) {
  const { neighbours = [], groups = [] } = answer;
  const sides = ["UPSTREAM", "DOWNSTREAM"]
    .filter((side) => !request.direction || request.direction === `DIRECTION_${side}`)
    .map((side) => sideOf(side, answer, neighbours));
  const whole = groups.length === 0;
  const within = `within ${counted(request.maxDepth, "hop")}`;
  const rest = `the rest in ${counted(groups.length, "group")}`;
  const text = whole
    ? `${sides.map((side) => counted(side.all, side.word)).join(" and ")} ${within}, all shown.`
    : `Showing ${sides.map(shownOf).join(" and ")} ${within}; ${rest}.`;
  const also = neighbours.filter((each) => each.otherDepth).length;
  const both = also ? ` ${counted(also, "service")} ${also === 1 ? "is" : "are"} on both sides.` : "";
  const aliases = (answer.resolvedAliases || []).map(({ alias }) => ` Asked for by its alias ${alias}.`);
  return h("p", { class: "focus-summary" }, text + both + aliases.join(""));
}

// A service on both sides counts on both, and is drawn once.
function sideOf(side, answer, neighbours) {
  const shown = neighbours.filter((each) => each.direction === `DIRECTION_${side}` || each.otherDepth).length;
  return side === "UPSTREAM"
    ? { word: "caller", all: answer.upstreamCount || 0, shown }
    : { word: "callee", all: answer.downstreamCount || 0, shown };
}

function shownOf({ word, all, shown }) {
  if (shown >= all) return all > 1 ? `all ${counted(all, word)}` : all ? `the only ${word}` : `no ${word}s`;
  return `${count(shown)} of ${counted(all, word)}`;
}
