// What a difference comes to, in a sentence.

import { h } from "../../lib/dom.js";
import { second } from "../../lib/times.js";
import { count, counted, words } from "../../lib/words.js";
import { changeMark, changeWord } from "../../parts/changes.js";
import { approximately } from "../../parts/then.js";

const KINDS = ["added", "removed", "changed"];

/** @param {any} answer of all parts @returns {Node[]} */
export function summary(answer) {
  const { services, dependencies, aliases, cycleChanges, impactChangeCount, impactsTruncated } = answer;
  const { from = {}, to = {} } = answer.freshness;
  const [first, last] = [from, to].map((each) => second(each.asOfTime) || "now");
  const isNone = ![services, dependencies, aliases].some((each) => each.length);
  const guess = from.approximate || to.approximate;
  const least = impactsTruncated ? "at least " : "";
  const radii = `${least}${counted(impactChangeCount, "blast radius", "blast radii")}`;
  return [
    isNone
      ? h("p", {}, h("strong", {}, "No difference."), " What changed and changed back does not count.")
      : h(
          "ul",
          { class: "tiles diff-tiles" },
          tile("service", services),
          tile("dependency", dependencies),
          aliases.length ? tile("alias", aliases) : "",
          h("li", { class: "card" }, h("strong", {}, cyclesText(cycleChanges))),
          h("li", { class: "card" }, h("strong", {}, `${radii} changed`)),
        ),
    h("p", { class: "soft" }, `From the state of ${first} to that of ${last}.`),
    guess && approximately(),
  ].filter(Boolean);
}

function tile(thing, changes) {
  const kinds = Map.groupBy(changes, ({ kind }) => changeWord(kind));
  const used = KINDS.filter((kind) => kinds.has(kind));
  const parts = used.map((kind) => changeMark(kind, count(kinds.get(kind).length)));
  return h("li", { class: "card" }, h("strong", {}, counted(changes.length, thing)), " ", parts);
}

function cyclesText(changes) {
  if (!changes.length) return "no cycle changed";
  const kinds = Map.groupBy(changes, ({ kind }) => words.cycleChange(kind));
  return [...kinds].map(([kind, own]) => `${counted(own.length, "cycle")} ${kind}`).join(", ");
}
