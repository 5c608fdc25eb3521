// What stands around the picture of the map: where one is, how services are grouped, which calls count.

import { h } from "../../lib/dom.js";
import { format } from "../../lib/route.js";
import { count, counted } from "../../lib/words.js";
import { filters } from "../../parts/filters.js";
import { nameText } from "../../parts/names.js";
import { MOST_NODES, groupName, otherwise, whole } from "./question.js";

const STEPS = [1, 2, 3, 5, 10, 20, 50, 100, 200, 500, 1000, 5000];

/** The way to here. @param {import("./question.js").Question} asked @returns {HTMLElement} */
export function crumbs(asked) {
  const all = asked.by ? `All by ${asked.by}` : "All teams";
  const here = (text) => h("li", { "aria-current": "page" }, nameText(text));
  const up = () => h("li", {}, h("a", { href: whole(asked), class: "name", dir: "auto" }, all));
  const steps = asked.isInside ? [up(), here(groupName(asked, asked.name))] : [here(all)];
  return h("nav", { class: "crumbs", "aria-label": "Where in the map" }, h("ol", {}, steps));
}

/** How to group, and which calls count. @param {import("./question.js").Question} asked */
export function controls(asked) {
  const by = h("input", { type: "text", list: "map-keys", placeholder: "team", maxlength: 255, dir: "auto" });
  by.value = asked.by;
  const group = (event) => {
    event.preventDefault();
    location.hash = whole(asked, { by: by.value.trim() });
  };
  return h(
    "div",
    { class: "overview-filters" },
    h(
      "form",
      { class: "map-by", onsubmit: group },
      h("label", {}, "By team, or by this key of the metadata ", by),
      h("datalist", { id: "map-keys" }, h("option", { value: "namespace" })),
      h("button", {}, "Group"),
    ),
    filters({
      params: asked.params,
      fields: ["modes", "criticalities", "confidence", "stale"],
      onchange: (params) => (location.hash = format("map", asked.name, params)),
    }),
  );
}

/**
 * A field that finds nodes in the picture.
 *
 * @param {(text: string) => string} onfind highlights, and says how many there are
 * @param {(text: string) => void} onenter
 */
export function finder(onfind, onenter) {
  const note = h("span", { class: "soft", role: "status" });
  const find = () => (note.textContent = onfind(input.value));
  const input = h("input", {
    type: "search",
    placeholder: "in this picture",
    dir: "auto",
    oninput: find,
    onkeydown: (event) => event.key === "Enter" && onenter(input.value),
  });
  return { root: h("span", { class: "map-find" }, h("label", {}, "Find ", input), note), find };
}

/**
 * How many calls an arrow must stand for to be shown.
 *
 * @param {import("../../graph/layout.js").Edge[]} edges
 * @param {number} least
 * @param {(least: number) => void} onpick
 * @returns {(Node|string)[]}
 */
export function thresholds(edges, least, onpick) {
  const most = Math.max(1, ...edges.map((edge) => edge.count));
  const shown = edges.filter((edge) => edge.count >= least).length;
  const all = counted(edges.length, "arrow");
  const note = h("span", { class: "soft" }, shown < edges.length ? `${count(shown)} of ${all}` : all);
  if (most < 2) return [note];
  const steps = [...new Set([...STEPS.filter((each) => each <= most), least])].sort((a, b) => a - b);
  const list = h(
    "select",
    { "data-key": "least", onchange: () => onpick(Number(list.value)) },
    steps.map((each) => h("option", { value: each }, `${counted(each, "call")} or more`)),
  );
  list.value = String(least);
  return [h("label", {}, "Arrows of ", list), note];
}

/**
 * Say in words what the map shows.
 *
 * @param {any} answer
 * @param {import("./question.js").Question} asked
 * @returns {(Node|string)[]}
 */
export function inWords({ nodes = [], calls = [], groupCount = 0, serviceCount = 0 }, asked) {
  const sum = (counts) => counts.reduce((total, each) => total + (each?.pairCount || 0), 0);
  const between = sum(calls.map((each) => each.calls));
  const within = sum(nodes.map((each) => each.innerCalls));
  const by = asked.by && ` by ${asked.by}`;
  const [thing, things] = by ? [`group${by}`, `groups${by}`] : ["team", "teams"];
  const services = counted(serviceCount, "service");
  const text = asked.isInside
    ? `${services} of ${groupName(asked, asked.name)}, and the ${things} that call them or are called. `
    : `${counted(groupCount, thing, things)} with ${services}: ` +
      `${counted(between, "call")} between them, ${count(within)} inside one of them. `;
  if (!asked.isInside && groupCount === 1)
    return [text, "Group by a key that tells services apart, or open it."];
  const others = nodes.find((each) => each.others !== undefined);
  if (!others) return [text];
  const more = h("a", { href: otherwise(asked, { nodes: MOST_NODES }) }, "Show more");
  const hidden = counted(others.serviceCount, "service");
  const rest = `${counted(others.others, "node")} with ${hidden} stand in one. `;
  return [text, rest, asked.most < MOST_NODES ? more : ""];
}
