// Fields of a question, each with its label.

import { h } from "../lib/dom.js";
import { largestTeams } from "../lib/search.js";

/**
 * @param {{label: string, value?: string, options: Array<[string, string]>,
 *   onchange: (value: string) => void}} field `options` are values with their words
 * @returns {HTMLElement}
 */
export function selectField({ label, value = "", options, onchange }) {
  const list = h(
    "select",
    { onchange: () => onchange(list.value) },
    options.map(([key, text]) => h("option", { value: key }, text)),
  );
  list.value = value;
  return h("label", { class: "field" }, label, list);
}

/**
 * A field for the name of a team; the largest ones are suggested.
 *
 * @param {{value?: string, signal: AbortSignal, onchange: (value: string) => void}} options
 * @returns {HTMLElement}
 */
export function teamField({ value = "", signal, onchange }) {
  const known = h("datalist", { id: "teams" });
  const suggest = async () => {
    try {
      const teams = await largestTeams(signal);
      known.replaceChildren(...teams.map(({ name }) => h("option", { value: name })));
    } catch {
      // A name can be written without suggestions, too.
    }
  };
  const input = h("input", {
    type: "text",
    list: "teams",
    dir: "auto",
    placeholder: "any team",
    maxlength: 255,
    onfocus: () => known.children.length || suggest(),
    onchange: () => onchange(input.value),
  });
  input.value = value;
  return h("label", { class: "field" }, "Team", input, known);
}

/**
 * A field for a number, empty where any will do.
 *
 * @param {{label: string, value?: string, min?: number, max?: number, placeholder?: string,
 *   onchange: (value: string) => void}} options `onchange` gets a number in range, or ""
 * @returns {HTMLElement}
 */
export function numberField({ label, value = "", min = 1, max = 1_000_000, placeholder = "any", onchange }) {
  const input = h("input", { type: "number", value, min, max, step: 1, placeholder, inputmode: "numeric" });
  input.addEventListener("change", () => input.reportValidity() && onchange(input.value));
  return h("label", { class: "field number-field" }, label, input);
}

/**
 * @param {{label: string, checked: boolean, onchange: (checked: boolean) => void}} options
 * @returns {HTMLElement}
 */
export function checkField({ label, checked, onchange }) {
  const box = h("input", { type: "checkbox", onchange: () => onchange(box.checked) });
  box.checked = checked;
  return h("label", { class: "check" }, box, label);
}
