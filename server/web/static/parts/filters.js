// What a view shows: hops, direction, which dependencies count. All of it stands in the address.

import { ApiError } from "../lib/api.js";
import { h } from "../lib/dom.js";

const FIRST = ["hops", "direction"];
const HOPS = ["1", "2", "3", "4"];
const DIRECTIONS = { "": "both", upstream: "callers", downstream: "callees" };
const MODES = ["sync", "async", "unknown"];
const CRITICALITIES = ["hard", "soft", "degraded", "unknown"];

/**
 * Make the controls of a view.
 *
 * @param {Object} options
 * @param {Object<string, string>} options.params of the address
 * @param {Array<"hops"|"direction"|"modes"|"criticalities"|"stale"|"confidence">} options.fields
 * @param {(params: Object<string, string>) => void} options.onchange gets all params, changed
 * @param {string} [options.hops] those that stand where the address names none
 * @returns {HTMLElement}
 */
export function filters({ params, fields, onchange, hops = "1" }) {
  const now = { ...params };
  const set = (name, value) => {
    now[name] = value;
    folded.title(now);
    onchange({ ...now });
  };
  const steps = HOPS.map((each) => [each, each]);
  const parts = {
    hops: () => choice("Hops", "hops", steps, params.hops || hops, set),
    direction: () => choice("Show", "direction", Object.entries(DIRECTIONS), params.direction || "", set),
    modes: () => several("Mode", "modes", MODES, params.modes, set),
    criticalities: () => several("Dependency", "criticalities", CRITICALITIES, params.criticalities, set),
    stale: () => stale(params.stale, set),
    confidence: () => confidence(params.confidence, set),
  };
  const made = (names) => names.map((each) => parts[each]());
  const more = fields.filter((each) => !FIRST.includes(each));
  const folded = foldedPart(more, params, made(more));
  const first = made(fields.filter((each) => FIRST.includes(each)));
  const form = h("form", { class: "filters", onsubmit: (event) => event.preventDefault() }, first);
  if (more.length) form.append(folded.element);
  return form;
}

/**
 * Translate params of the address into fields of a request.
 *
 * @param {Object<string, string>} params
 * @returns {{filter?: object, includeStale?: true, maxDepth?: number, direction?: string}} what is not
 *   in the address is not in it either
 * @throws {ApiError} a param has a value that it can't have
 */
export function filterOf(params) {
  const filter = {
    communicationModes: listed("modes", params.modes, MODES, "COMMUNICATION_MODE_"),
    criticalities: listed("criticalities", params.criticalities, CRITICALITIES, "DEPENDENCY_CRITICALITY_"),
    minConfidence: number("confidence", params.confidence, 0, 1),
  };
  const given = Object.fromEntries(Object.entries(filter).filter(([, value]) => value !== undefined));
  const direction = params.direction || "";
  if (!(direction in DIRECTIONS)) refuse("direction", direction, "upstream or downstream");
  const hops = number("hops", params.hops, 1, 10);
  if (hops !== undefined && !Number.isInteger(hops)) refuse("hops", params.hops, "a whole number");
  return {
    ...(Object.keys(given).length ? { filter: given } : {}),
    ...(params.stale ? { includeStale: true } : {}),
    ...(hops === undefined ? {} : { maxDepth: hops }),
    ...(direction ? { direction: `DIRECTION_${direction.toUpperCase()}` } : {}),
  };
}

// What is asked for less often is folded away; the button counts what is in force.
function foldedPart(names, params, controls) {
  const button = h("button", { type: "button", class: "small" });
  const title = (now) => {
    const active = names.filter((name) => now[name]).length;
    button.textContent = active ? `Filters (${active})` : "Filters";
    button.classList.toggle("active", active > 0);
  };
  title(params);
  const popup = h(
    "div",
    { popover: "auto", class: "filters-popup", ontoggle: () => below(popup, button) },
    controls,
  );
  button.popoverTargetElement = popup;
  return { element: h("span", {}, button, popup), title };
}

// Popups stand in the browser's top layer: nothing says where but this.
function below(popup, button) {
  const { left, bottom } = button.getBoundingClientRect();
  popup.style.left = `${Math.max(8, Math.min(left, innerWidth - popup.offsetWidth - 8))}px`;
  popup.style.top = `${bottom + 4}px`;
}

function listed(name, text, known, prefix) {
  if (!text) return undefined;
  return text.split(",").map((each) => {
    if (!known.includes(each)) refuse(name, each, `of ${known.join(", ")}`);
    return prefix + each.toUpperCase();
  });
}

function number(name, text, least, most) {
  if (!text) return undefined;
  const value = Number(text);
  if (!(value >= least && value <= most)) refuse(name, text, `between ${least} and ${most}`);
  return value;
}

function refuse(name, value, wanted) {
  throw new ApiError({
    code: "invalid_argument",
    message: `"${name}" in the address is "${value}"; it must be ${wanted}.`,
  });
}

// Radio buttons that look like one bar.
function choice(label, name, options, chosen, set) {
  return h(
    "fieldset",
    { class: "bar" },
    h("legend", {}, label),
    options.map(([value, text]) => {
      const onchange = () => set(name, value);
      const button = h("input", { type: "radio", name, value, checked: value === chosen, onchange });
      return h("label", {}, button, h("span", {}, text));
    }),
  );
}

// All are on where the address names none.
function several(label, name, options, text, set) {
  const on = new Set(text ? text.split(",") : options);
  const change = (option, checked) => {
    if (checked) on.add(option);
    else on.delete(option);
    const chosen = options.filter((each) => on.has(each));
    // None at all would be an empty picture: the last one that goes brings all back.
    if (!chosen.length) {
      options.forEach((each) => on.add(each));
      boxes.forEach((box) => (box.checked = true));
    }
    set(name, chosen.length % options.length ? chosen.join(",") : "");
  };
  const boxes = options.map((option) => checkbox(on.has(option), (checked) => change(option, checked)));
  const labels = boxes.map((box, at) => h("label", {}, box, h("span", {}, options[at])));
  return h("fieldset", { class: "bar" }, h("legend", {}, label), labels);
}

function checkbox(checked, onpick) {
  return h("input", { type: "checkbox", checked, onchange: (event) => onpick(event.target.checked) });
}

function stale(text, set) {
  const box = checkbox(Boolean(text), (checked) => set("stale", checked ? "1" : ""));
  return h("label", { class: "check" }, box, "stale too");
}

function confidence(text, set) {
  const steps = ["", "0.25", "0.5", "0.75", "0.9"];
  const options = steps.includes(text || "") ? steps : [...steps, text];
  const select = h(
    "select",
    { onchange: (event) => set("confidence", event.target.value) },
    options.map((each) => {
      const selected = each === (text || "");
      return h("option", { value: each, selected }, each ? `at least ${each}` : "any");
    }),
  );
  return h("label", { class: "labelled" }, "Confidence", select);
}
