// What differs, as lists: services, dependencies, aliases, cycles, blast radii.

import { h } from "../../lib/dom.js";
import { count, words } from "../../lib/words.js";
import { changeMark, changeWord, details, subject } from "../../parts/changes.js";
import { cycleText, nameText, pathText, serviceLink } from "../../parts/names.js";
import { table } from "../../parts/table.js";

const STEP = 50;
const MOST_NAMES = 5;
const GOOD = ["shrunk", "split", "broken"];

/** Sections beside the picture (what changed) and below it (what that means). */
export class DiffLists {
  constructor() {
    this.services = section("Services", changeColumns());
    this.dependencies = section("Dependencies", changeColumns());
    this.aliases = section("Aliases", changeColumns());
    this.cycles = section("Cycles", cycleColumns());
    this.impacts = section("Blast radii", impactColumns());
    this.rest = h("p", { class: "soft" });
    this.impacts.element.append(this.rest);
    this.element = h(
      "div",
      { class: "diff-lists" },
      [this.dependencies, this.services, this.aliases].map((each) => each.element),
    );
    this.below = h("div", { class: "diff-below" }, this.cycles.element, this.impacts.element);
  }

  show({ services, dependencies, aliases, cycleChanges, impactChanges, impactChangeCount }) {
    this.dependencies.show(dependencies.map((each) => ({ kind: each.kind, dependency: each })));
    this.services.show(services.map((each) => ({ kind: each.kind, service: each })));
    this.aliases.show(aliases.map((each) => ({ kind: each.kind, alias: each })));
    this.cycles.show(cycleChanges);
    this.impacts.show(impactChanges);
    const left = impactChangeCount - impactChanges.length;
    this.rest.hidden = left <= 0;
    this.rest.textContent = `${count(left)} more are not listed; depgraph diff --json has up to 1,000.`;
  }
}

function section(title, columns) {
  const heading = h("h2", {}, title);
  const rows = table({ caption: title, isCaptionUnseen: true, columns, rows: [], step: STEP });
  const element = h("section", { "aria-label": title }, heading, rows);
  return {
    element,
    show(found) {
      element.hidden = !found.length;
      heading.textContent = `${title} (${count(found.length)})`;
      rows.update(found);
    },
  };
}

function changeColumns() {
  const kind = ({ kind: given }) => changeWord(given);
  return [
    { key: "kind", title: "Change", render: (row) => changeMark(kind(row)), sort: kind },
    {
      key: "what",
      title: "What",
      render: (row) => subject(row, nameOf),
      sort: (row) => subject(row).textContent,
    },
    { key: "details", title: "Before → after", render: details },
  ];
}

function nameOf(name) {
  return serviceLink(name, { view: "changes" });
}

function cycleColumns() {
  const sizes = (cycles = []) => cycles.map(({ size = 0 }) => count(size)).join(" + ") || "–";
  return [
    {
      key: "kind",
      title: "Change",
      render: ({ kind }) => cycleMark(words.cycleChange(kind)),
      sort: ({ kind }) => words.cycleChange(kind),
    },
    { key: "before", title: "Services before", align: "right", render: ({ before }) => sizes(before) },
    { key: "after", title: "After", align: "right", render: ({ after }) => sizes(after) },
    {
      key: "path",
      title: "A shortest cycle",
      render: ({ before = [], after = [] }) => cycleText([...after, ...before][0]?.cyclePath || [], nameOf),
    },
    { key: "closing", title: "Closed by", render: ({ closingPairs = [] }) => closing(closingPairs) },
  ];
}

function cycleMark(word) {
  return h("span", { class: `change change-${GOOD.includes(word) ? "better" : "worse"}` }, word);
}

function closing(pairs) {
  const items = pairs.map(({ sourceServiceId, targetServiceId }) =>
    h("li", {}, pathText([sourceServiceId, targetServiceId])),
  );
  return h("ul", { class: "plain" }, items);
}

function impactColumns() {
  const before = (row) => row.before || 0;
  const after = (row) => row.after || 0;
  return [
    {
      key: "serviceId",
      title: "Service that fails",
      render: ({ serviceId }) => serviceLink(serviceId, { view: "impact" }),
      sort: ({ serviceId }) => serviceId,
    },
    { key: "before", title: "Hit before", align: "right", render: before, sort: before },
    { key: "after", title: "After", align: "right", render: after, sort: after },
    {
      key: "added",
      title: "Hit too, now",
      render: ({ addedServiceIds = [], addedCount = 0 }) => namesText(addedServiceIds, addedCount),
    },
    {
      key: "removed",
      title: "Hit no more",
      render: ({ removedServiceIds = [], removedCount = 0 }) => namesText(removedServiceIds, removedCount),
    },
  ];
}

function namesText(names, total) {
  if (!names.length) return "–";
  const shown = names.slice(0, MOST_NAMES);
  const rest = total - shown.length;
  return h(
    "span",
    {},
    shown.flatMap((name, at) => [at ? ", " : "", nameText(name)]),
    rest > 0 && ` and ${count(rest)} more`,
  );
}
