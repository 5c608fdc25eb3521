// What a view says where the history does not reach, and the way to where it does.

import { h } from "../lib/dom.js";
import { format, parse } from "../lib/route.js";
import { instant, second } from "../lib/times.js";

// Parameters of the address that name a time.
const TIMES = ["as_of", "from", "since", "to", "until"];

/**
 * Whether a call failed because the history does not reach.
 *
 * @param {import("../lib/api.js").ApiError} error
 */
export function isBeyondHistory(error) {
  return error.reason === "HISTORY_UNAVAILABLE";
}

/**
 * Links out of an address that asks beyond the history.
 *
 * @param {import("../lib/api.js").ApiError} error
 * @returns {HTMLElement} to the oldest time there is, if there is any, and to now
 */
export function waysOut({ metadata }) {
  const { view, name, params } = parse();
  const oldest = metadata.oldest_time;
  const none = "There is no history yet: the server keeps it from now on, unless it is told not to.";
  const now = { ...params, ...Object.fromEntries(TIMES.map((each) => [each, ""])) };
  return h(
    "p",
    { class: "row" },
    oldest
      ? h(
          "a",
          { class: "button", href: format(view, name, moved(params, oldest)) },
          `Go to the oldest time: ${second(oldest)}`,
        )
      : h("span", {}, none),
    ["diff", "changes"].includes(view) ? "" : h("a", { href: format(view, name, now) }, "Back to now"),
  );
}

// Each time that is before the oldest becomes the oldest.
function moved(params, oldest) {
  const old = TIMES.filter((each) => params[each] && isBefore(each, params[each], oldest));
  return { ...params, ...Object.fromEntries(old.map((each) => [each, oldest])) };
}

function isBefore(name, text, oldest) {
  try {
    return Date.parse(instant(name, text)) < Date.parse(oldest);
  } catch {
    // A revision is no time.
    return false;
  }
}
