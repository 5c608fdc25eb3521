// A field for a number of the question, empty where any will do.

import { h } from "../lib/dom.js";

/**
 * @param {{label: string, value?: string, min?: number, max?: number, placeholder?: string,
 *   onchange: (value: string) => void}} options `onchange` gets a number in range, or ""
 * @returns {HTMLElement}
 */
export function numberField({ label, value = "", min = 1, max = 1_000_000, placeholder = "any", onchange }) {
  const input = h("input", { type: "number", value, min, max, step: 1, placeholder, inputmode: "numeric" });
  input.addEventListener("change", () => input.reportValidity() && onchange(input.value));
  return h("label", { class: "field number-field" }, label, input);
}
