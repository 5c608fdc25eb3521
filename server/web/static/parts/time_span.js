// The fields of a question about what happened between two times.

import { h } from "../lib/dom.js";
import { isAgo } from "../lib/times.js";
import { selectField } from "./fields.js";
import { timeField } from "./time_field.js";

export const SINCE = "1h";
const SPANS = { "15m": "15 minutes", "1h": "hour", "6h": "6 hours", "1d": "day", "1w": "week" };

/**
 * @param {{since: string, until?: string, isUntilElse?: boolean, onchange: (times: {since?: string,
 *   until?: string}) => void}} options times of the address, until "" = now; isUntilElse: something else than
 *   `until` says until when
 * @returns {HTMLElement[]} the fields; onchange gets what was changed
 */
export function timeSpan({ since, until = "", isUntilElse = false, onchange }) {
  const isSpan = isAgo(since) && !until && !isUntilElse;
  const known = isSpan && !(since in SPANS) ? { ...SPANS, [since]: since } : SPANS;
  const spans = Object.entries(known).map(([key, text]) => [key, `the last ${text}`]);
  const chosen = selectField({
    label: "When",
    value: isSpan ? since : "",
    options: [...spans, ["", "between two times"]],
    onchange: (span) => span && onchange({ since: span, until: "" }),
  });
  const from = timeField({
    label: "From (UTC)",
    value: since,
    onchange: (time) => onchange({ since: time }),
  });
  if (isUntilElse) {
    const onclick = () => onchange({ until: "" });
    const toNow = h("button", { type: "button", class: "small", onclick }, "To now");
    return [chosen, from.element, h("p", { class: "field" }, "To just after one change ", toNow)];
  }
  const label = "Until (UTC); empty = now";
  const to = timeField({ label, value: until, onchange: (time) => onchange({ until: time }) });
  return [chosen, from.element, to.element];
}
