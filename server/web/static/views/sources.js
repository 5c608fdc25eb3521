// The view Sources: who reports, how that goes, and how much of the graph each discovery source covers.

import { call } from "../lib/api.js";
import { h } from "../lib/dom.js";
import { count, counted, duration, seconds, words } from "../lib/words.js";
import { answered } from "../parts/answered.js";
import { copyBar } from "../parts/copy.js";
import { moment } from "../parts/moment.js";
import { nameText } from "../parts/names.js";
import { table } from "../parts/table.js";
import { coveragePart } from "./sources/coverage.js";
import { firstSteps } from "./sources/first_steps.js";

const STATES = {
  ok: { mark: "✓", word: "ok", rank: 2 },
  failing: { mark: "!", word: "failing", rank: 1 },
  silent: { mark: "✕", word: "silent", rank: 0 },
};

const number = (key, title, value) => ({
  key,
  title,
  align: "right",
  render: (row) => count(value(row)),
  sort: value,
});
const COLUMNS = [
  { key: "reporter", title: "Reporter", render: nameOf, sort: (row) => row.reporter || "" },
  {
    key: "discoverySource",
    title: "Discovery source",
    render: (row) => words.source(row.discoverySource),
    sort: (row) => words.source(row.discoverySource),
  },
  { key: "state", title: "State", render: stateOf, sort: (row) => STATES[state(row)].rank },
  {
    key: "lastSuccessTime",
    title: "Last success",
    render: (row) => moment(row.lastSuccessTime),
    sort: (row) => Date.parse(row.lastSuccessTime) || 0,
  },
  {
    key: "lastAttemptTime",
    title: "Last attempt",
    render: (row) => moment(row.lastAttemptTime),
    sort: (row) => Date.parse(row.lastAttemptTime) || 0,
  },
  {
    key: "interval",
    title: "Interval",
    render: (row) => duration(row.interval) || h("span", { class: "soft" }, "not said"),
    sort: (row) => seconds(row.interval),
  },
  {
    key: "elements",
    title: "Elements",
    align: "right",
    render: elements,
    sort: (row) => Number(row.elementCount || 0),
  },
  { key: "skipped", title: "Not used", align: "right", render: skipped, sort: skippedCount },
  number("created", "New services", (row) => Number(row.servicesCreated || 0)),
  {
    key: "dependencies",
    title: "Dependencies",
    align: "right",
    render: dependencies,
    sort: (row) => reported(row),
  },
];

/** @type {import("../app.js").View} */
export const view = {
  id: "sources",
  title: "Sources",
  async show({ root, signal }) {
    const reporters = reportersPart(signal);
    const coverage = coveragePart(signal);
    root.append(
      h(
        "div",
        { class: "overview-head" },
        h("h1", {}, "Sources"),
        copyBar({ command: "depgraph sources", method: "DependencyService/ListSources", request: {} }),
      ),
      reporters.place,
      coverage.place,
    );
    await Promise.all([reporters.look(), coverage.look()]);
    return {
      changed() {
        reporters.changed();
        coverage.changed();
      },
    };
  },
};

function reportersPart(signal) {
  const summary = h("p", {});
  const rows = table({ caption: "Reporters", columns: COLUMNS, rows: [], empty: "Nobody reports yet." });
  const help = firstSteps();
  return answered({
    body: h("section", { "aria-label": "Reporters" }, summary, rows, help),
    text: "Reading who reports",
    every: 10_000,
    signal,
    ask: async (own) => (await call("DependencyService/ListSources", {}, own)).sources || [],
    show(sources) {
      summary.replaceChildren(...reportersInWords(sources));
      rows.update(sources.toSorted((a, b) => STATES[state(a)].rank - STATES[state(b)].rank));
      rows.hidden = !sources.length;
      help.hidden = sources.length > 0;
    },
  });
}

function reportersInWords(sources) {
  if (!sources.length) return ["Nobody has reported a dependency to this server yet."];
  const having = (name) => sources.filter((each) => state(each) === name);
  const problems = ["silent", "failing"].flatMap((name) => {
    const found = having(name);
    return found.length
      ? [`${counted(found.length, "reporter")} ${found.length === 1 ? "is" : "are"} ${name}`]
      : [];
  });
  const total = `${counted(sources.length, "reporter")}. `;
  if (!problems.length)
    return [total, h("strong", { class: "report-state ok" }, "✓ All report as they should.")];
  return [total, h("strong", { class: "report-state silent" }, `✕ ${problems.join(", ")}.`)];
}

function state(source) {
  if (source.isSilent) return "silent";
  return source.lastError ? "failing" : "ok";
}

function stateOf(source) {
  const name = state(source);
  const { mark, word } = STATES[name];
  const why = [
    name === "silent" && `The last success is three intervals ago or longer, or never was.`,
    source.lastError && `Last error: ${source.lastError}`,
  ].filter(Boolean);
  return h(
    "div",
    {},
    h("strong", { class: `report-state ${name}` }, h("span", { "aria-hidden": "true" }, mark), ` ${word}`),
    why.map((text) => h("div", { class: "reason", dir: "auto" }, text)),
  );
}

function nameOf({ reporter }) {
  return reporter ? nameText(reporter) : h("span", { class: "soft" }, "without a name");
}

function reported({ edgesCreated = 0, edgesUpdated = 0, edgesUnchanged = 0 }) {
  return Number(edgesCreated) + Number(edgesUpdated) + Number(edgesUnchanged);
}

// Reports without details do not say of how many elements they were made.
function elements(row) {
  const isSaid = Number(row.elementCount || 0) > 0 || reported(row) === 0;
  return isSaid ? count(row.elementCount) : h("span", { class: "soft" }, "not said");
}

function dependencies(row) {
  const parts = [
    [row.edgesCreated, "new"],
    [row.edgesUpdated, "changed"],
    [row.edgesUnchanged, "as before"],
  ];
  const said = parts.filter(([each]) => Number(each) > 0).map(([each, word]) => `${count(each)} ${word}`);
  return h(
    "span",
    {},
    count(reported(row)),
    said.length > 0 && h("div", { class: "reason" }, said.join(", ")),
  );
}

function skippedCount({ skipped = {} }) {
  return Object.values(skipped).reduce((sum, each) => sum + Number(each), 0);
}

function skipped(source) {
  const total = skippedCount(source);
  if (!total) return "0";
  const reasons = Object.entries(source.skipped).sort(([, a], [, b]) => Number(b) - Number(a));
  return h(
    "details",
    {},
    h("summary", {}, counted(total, "element")),
    h(
      "ul",
      { class: "plain" },
      reasons.map(([reason, number]) => h("li", {}, `${count(number)}: `, h("bdi", {}, reason))),
    ),
  );
}
