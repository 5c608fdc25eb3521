// The parts of the view Focus around its picture.

import { exportButtons } from "../../graph/export.js";
import { h } from "../../lib/dom.js";
import { count, counted } from "../../lib/words.js";
import { copyBar } from "../../parts/copy.js";
import { filters } from "../../parts/filters.js";
import { thenNote } from "../../parts/then.js";
import { timeBar } from "../../parts/time_bar.js";
import { groupName } from "../../parts/neighbourhood.js";
import { commandOf, MOST, openedOf } from "./address.js";

const FIELDS = ["hops", "direction", "modes", "criticalities", "stale", "confidence"];
const STEPS = ["25", "50", String(MOST), "200", "250"];
// Who hides the side panel does not want it back at the next service.
let isSideHidden = false;

/**
 * @typedef {Object} Frame
 * @property {HTMLElement} whole
 * @property {HTMLElement} head
 * @property {ReturnType<import("../../parts/then.js").thenNote>} then
 * @property {HTMLElement} opened
 * @property {HTMLElement} trouble
 * @property {HTMLElement} room of the picture
 * @property {HTMLElement} side
 * @property {HTMLElement} legend
 * @property {HTMLElement} tools
 * @property {HTMLElement} list
 * @property {(asOf?: string) => void} showTime
 */

/**
 * @param {Object<string, string>} params of the address
 * @param {string} hops in force
 * @param {Object} act
 * @param {(changed: Object<string, string>) => void} act.onchange gets those params that a control has
 * @param {(asOf: string) => void} act.ontime
 * @param {(since: string, span: string) => void} act.onback
 * @param {() => void} act.onlist
 * @returns {Frame}
 */
export function frame(params, hops, { onchange, ontime, onback, onlist }) {
  const parts = {
    then: thenNote({ view: "focus", name: "", params }),
    head: h("div", { class: "focus-head" }),
    tools: h("div", { class: "row focus-tools" }),
    opened: h("div", { class: "row focus-opened" }),
    trouble: h("p", { class: "warning", role: "alert", hidden: true }),
    room: h("div", { class: "focus-room" }),
    legend: h("div", {}),
    side: h("aside", { class: "focus-side", "aria-label": "Details of a service", hidden: isSideHidden }),
    list: h("details", { class: "focus-list", ontoggle: onlist }, h("summary", {}, "As a list")),
  };
  const pick = (all) => onchange(Object.fromEntries(FIELDS.map((name) => [name, all[name] || ""])));
  const controls = h(
    "div",
    { class: "row focus-controls" },
    filters({ params, fields: FIELDS, hops, onchange: pick }),
    most(params.most || String(MOST), (value) => onchange({ most: value })),
    parts.tools,
  );
  const time = timeBar({ asOf: params.as_of, onchange: ontime, onback });
  const picture = h("div", { class: "focus-picture" }, parts.room, parts.legend);
  const stage = h("div", { class: "focus-stage" }, picture, parts.side);
  const whole = h(
    "div",
    { class: "focus" },
    parts.head,
    controls,
    time.element,
    parts.then.element,
    parts.opened,
    parts.trouble,
    stage,
    parts.list,
  );
  return { ...parts, whole, showTime: time.show };
}

function most(chosen, onpick) {
  const steps = STEPS.includes(chosen) ? STEPS : [...STEPS, chosen];
  const options = steps.map((each) =>
    h("option", { value: each, selected: each === chosen }, `${count(each)} services`),
  );
  const select = h("select", { name: "most", onchange: (event) => onpick(event.target.value) }, options);
  return h("label", { class: "labelled" }, "Up to", select);
}

/**
 * Make the buttons beside the controls.
 *
 * @param {import("../../lib/route.js").Route} route
 * @param {SVGElement} svg
 * @param {HTMLElement} side
 * @returns {HTMLElement[]}
 */
export function tools(route, svg, side) {
  const details = h(
    "button",
    { type: "button", class: "small", "aria-pressed": String(!isSideHidden) },
    "Details",
  );
  details.addEventListener("click", () => {
    isSideHidden = !isSideHidden;
    side.hidden = isSideHidden;
    details.setAttribute("aria-pressed", String(!isSideHidden));
  });
  return [details, exportButtons(svg, route.name), copyBar(commandOf(route))];
}

/**
 * Make a button for each open group, which closes it.
 *
 * @param {Object<string, string>} params
 * @param {(selector: any) => void} onclose
 * @returns {HTMLElement[]} none when no group is open
 */
export function openGroups(params, onclose) {
  const buttons = openedOf(params).map((selector) => {
    const side = selector.direction === "DIRECTION_UPSTREAM" ? "callers" : "callees";
    const text = `${groupName(selector)}, ${side} at ${counted(selector.depth, "hop")}`;
    const attributes = { type: "button", class: "small", "aria-label": `Close the group ${text}` };
    return h("button", { ...attributes, onclick: () => onclose(selector) }, h("bdi", {}, text), " ×");
  });
  return buttons.length ? [h("span", { class: "soft" }, "Opened groups:"), ...buttons] : [];
}
