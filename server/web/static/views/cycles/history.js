// Cycles: what happened to an alert.

import { h } from "../../lib/dom.js";
import { counted } from "../../lib/words.js";
import { moment } from "../../parts/moment.js";
import { nameText } from "../../parts/names.js";

/**
 * Write the history of an alert, latest first.
 *
 * @param {any[]} events AlertEvents, oldest first
 * @returns {HTMLElement}
 */
export function history(events) {
  return h(
    "div",
    {},
    h("h2", {}, "History"),
    h(
      "ol",
      { class: "history", reversed: true },
      [...events].reverse().map((each) => h("li", {}, entry(each))),
    ),
  );
}

function entry({ kind, eventTime, actor, note, size }) {
  const word = kind.replace("ALERT_EVENT_KIND_", "").toLowerCase().replaceAll("_", " ");
  return [
    h(
      "p",
      {},
      h("strong", {}, word),
      actor ? [" by ", nameText(actor)] : " by a caller without identity",
      " ",
      h("span", { class: "soft" }, moment(eventTime)),
      size ? h("span", { class: "soft" }, `, ${counted(size, "service")}`) : "",
    ),
    note ? h("p", { class: "notes", dir: "auto" }, note) : "",
  ];
}
