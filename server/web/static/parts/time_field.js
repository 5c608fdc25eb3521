// A field for a time of the past, in UTC as all times of the console.

import { h } from "../lib/dom.js";
import { instant, iso } from "../lib/times.js";

// Digit by digit, a field passes through times that nobody means.
const TYPING_MS = 800;

/**
 * @param {{label: string, value?: string, onchange: (time: string) => void}} options value: of RFC 3339, or
 *   "2h"; "" = now. onchange gets RFC 3339, or "" when the field was emptied
 * @returns {{element: HTMLElement, show: (time?: string) => void}} `show` leaves a field alone in which
 *   somebody types
 */
export function timeField({ label, value = "", onchange }) {
  let timer = 0;
  let shown = "";
  const take = () => {
    clearTimeout(timer);
    const wanted = read();
    // Who has left the view meanwhile is not taken back.
    if (wanted === null || wanted === shown || !input.isConnected) return;
    if (wanted && Date.parse(wanted) > Date.now()) {
      input.setCustomValidity("This time is still to come.");
      input.reportValidity();
      return;
    }
    shown = wanted;
    onchange(wanted);
  };
  const later = () => {
    input.setCustomValidity("");
    clearTimeout(timer);
    timer = setTimeout(take, TYPING_MS);
  };
  const input = h("input", {
    type: "datetime-local",
    // The focus comes back to it by this when the view is drawn anew.
    name: label,
    step: 1,
    min: "2000-01-01T00:00",
    oninput: later,
    onblur: take,
    onkeydown: (event) => event.key === "Enter" && take(),
  });

  // null = what stands there is no time yet.
  function read() {
    if (!input.value) return input.validity.badInput ? null : "";
    return input.validity.rangeUnderflow ? null : iso(Date.parse(`${input.value}Z`));
  }

  function show(time = "") {
    shown = time && iso(Date.parse(instant("time", time)));
    if (document.activeElement !== input) input.value = shown.slice(0, 19);
  }

  show(value);
  return { element: h("label", { class: "field" }, label, input), show };
}
