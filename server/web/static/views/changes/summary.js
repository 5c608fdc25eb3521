// What stands above the list of changes.

import { h } from "../../lib/dom.js";
import { format } from "../../lib/route.js";
import { second } from "../../lib/times.js";
import { counted } from "../../lib/words.js";
import { approximately } from "../../parts/then.js";

/**
 * @param {any} answer of all pages that were read, `isCut` = there are more
 * @param {{name: string, params: Object<string, string>}} asked
 * @returns {Node[]}
 */
export function summary({ changes, isCut, freshness, resolvedAliases = [] }, { name, params }) {
  const { since, until = {} } = freshness;
  const from = since?.asOfTime;
  const number = counted(changes.length, "change");
  const order = name ? "nearest first, then newest" : "newest first";
  const aliases = resolvedAliases.map(({ alias }) => ` ${alias} is an alias.`).join("");
  const ends = from ? ` Between the states of ${second(from)} and ${second(until.asOfTime) || "now"}.` : "";
  // Without a time that it begins with, a difference would begin an hour before now.
  const difference = { from: params.since || (params.until && from), to: params.until };
  const guess = since?.approximate || until.approximate;
  return [
    h(
      "p",
      {},
      h("strong", {}, isCut ? `The first ${number}` : number),
      changes.length ? `, ${order}.` : ".",
      h("span", { class: "soft" }, ends, aliases),
      " ",
      h("a", { href: format("diff", "", difference) }, "Draw the difference"),
    ),
    guess && approximately(),
  ].filter(Boolean);
}
