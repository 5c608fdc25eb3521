// The choice of a time: a slider over the last hour, day or week, and a field.

import { h } from "../lib/dom.js";
import { instant, iso, second } from "../lib/times.js";
import { age } from "../lib/words.js";
import { timeField } from "./time_field.js";

// Seconds that a slider spans, and that a step of it takes.
const SPANS = {
  hour: { text: "last hour", length: 3_600, step: 10 },
  day: { text: "last day", length: 86_400, step: 300 },
  week: { text: "last week", length: 604_800, step: 1_800 },
};
// Who moves the slider gets the picture of where it rests.
const REST_MS = 250;

/**
 * @param {{asOf?: string, onchange: (asOf: string) => void,
 *   onback: (since: string, span: string) => void}} options onchange gets RFC 3339; "" = now. onback: to
 *   before the last change, if there was one since then; span says in words how long that is
 * @returns {{element: HTMLElement, show: (asOf?: string) => void}}
 */
export function timeBar({ asOf = "", onchange, onback }) {
  let current = "";
  // The right end of the slider, in milliseconds.
  let end = 0;
  let timer = 0;
  const spans = h(
    "select",
    { "aria-label": "The slider spans the", onchange: scale },
    Object.entries(SPANS).map(([key, { text }]) => h("option", { value: key }, text)),
  );
  // Time went on while nobody touched it: it ends at now again. Not while a move is under way: a browser may
  // move it before it gives it the focus.
  const slider = h("input", {
    type: "range",
    "aria-label": "Time of the picture",
    oninput: slide,
    onfocus: () => timer || scale(),
    onpointerdown: scale,
  });
  const said = h("span", { class: "time-said" });
  const field = timeField({ label: "UTC", onchange: choose });
  const now = h("button", { type: "button", class: "small" }, "Now");
  now.addEventListener("click", () => {
    choose("");
    // A disabled button would lose the focus.
    slider.focus();
  });
  const back = h("button", { type: "button", class: "small" }, "Before the last change");
  back.addEventListener("click", () => {
    // Of the span, which ends at the time in sight.
    const until = current ? Date.parse(current) : Date.now();
    onback(iso(until - SPANS[spans.value].length * 1_000), SPANS[spans.value].text);
  });
  const element = h(
    "fieldset",
    { class: "time-bar" },
    h("legend", {}, "Time"),
    spans,
    back,
    slider,
    said,
    field.element,
    now,
  );

  function slide() {
    const seconds = Number(slider.value);
    const at = seconds === 0 ? "" : iso(end + seconds * 1_000);
    write(at);
    clearTimeout(timer);
    timer = setTimeout(() => choose(at), REST_MS);
  }

  function choose(wanted) {
    clearTimeout(timer);
    timer = 0;
    // Who has left the view meanwhile is not taken back.
    if (wanted === current || !element.isConnected) return;
    show(wanted);
    onchange(wanted);
  }

  function scale() {
    const { length, step } = SPANS[spans.value];
    end = Math.floor(Date.now() / 1_000) * 1_000;
    Object.assign(slider, { min: String(-length), max: "0", step: String(step) });
    slider.value = String(current ? Math.min(0, (Date.parse(current) - end) / 1_000) : 0);
    write(current);
  }

  function write(at) {
    const isBefore = at && Date.parse(at) < end + Number(slider.min) * 1_000;
    const text = at ? `${second(at)}, ${age(at)}` : "now, live";
    said.textContent = text;
    slider.setAttribute("aria-valuetext", isBefore ? `${text}, before the slider begins` : text);
  }

  function show(given = "") {
    current = given && iso(Date.parse(instant("as_of", given)));
    now.disabled = !current;
    element.classList.toggle("past", Boolean(current));
    field.show(current);
    // The slider keeps its scale while somebody moves along it.
    if (document.activeElement === slider) return write(current);
    const ago = current ? (Date.now() - Date.parse(current)) / 1_000 : 0;
    if (ago > SPANS[spans.value].length) {
      spans.value = Object.keys(SPANS).find((key) => SPANS[key].length >= ago) || "week";
    }
    scale();
  }

  show(asOf);
  return { element, show };
}
