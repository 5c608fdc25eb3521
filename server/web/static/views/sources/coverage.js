// How much of the graph each discovery source covers, and how much they agree on.

import { call } from "../../lib/api.js";
import { h } from "../../lib/dom.js";
import { format } from "../../lib/route.js";
import { count, counted, words } from "../../lib/words.js";
import { answered } from "../../parts/answered.js";
import { table } from "../../parts/table.js";

const DISCOVERY_SOURCES = [
  ["MANUAL", "declares: what people write"],
  ["CATALOG", "declares: a catalogue, such as Backstage"],
  ["KUBERNETES", "declares: manifests"],
  ["SERVICE_MESH", "observes: proxies of a mesh"],
  ["OTEL_SERVICE_GRAPH", "observes: traces"],
];
// Two nodes are enough to count with: the largest group, and all others.
const COUNTING = { maxNodes: 2 };

const number = (key, title) => ({
  key,
  title,
  align: "right",
  render: (row) => count(row[key]),
  sort: (row) => row[key],
});
const COLUMNS = [
  {
    key: "source",
    title: "Discovery source",
    render: (row) => words.source(row.source),
    sort: (row) => words.source(row.source),
  },
  { key: "about", title: "What it knows" },
  number("fresh", "Fresh"),
  number("stale", "Stale"),
  { key: "share", title: "Share of all calls", render: share, sort: (row) => row.share },
];

/**
 * The part of the page that shows it.
 *
 * @param {AbortSignal} signal
 */
export function coveragePart(signal) {
  const summary = h("p", {});
  const rows = table({ caption: "Dependencies by discovery source", columns: COLUMNS, rows: [] });
  return answered({
    body: h("section", { "aria-label": "Coverage" }, h("h2", {}, "Coverage"), summary, rows),
    text: "Counting what each source covers",
    signal,
    ask: coverage,
    show(found) {
      summary.replaceChildren(...inWords(found));
      rows.update(found.sources);
      rows.hidden = !found.pairs;
    },
  });
}

/**
 * Count by questions about two groups and about one pair: the graph itself stays where it is.
 *
 * One source has one dependency for a pair, so its pairs are its dependencies.
 */
async function coverage(signal) {
  const counts = (filter) =>
    call("GraphService/GetMap", { ...COUNTING, includeStale: true, ...filter }, signal);
  const drifting = (request) => call("AnalysisService/ListDrift", { pageSize: 1, ...request }, signal);
  // One after the other: together they would keep the graph from following the database.
  const whole = await counts({});
  const drift = await drifting({});
  const contradicted = await drifting({ kind: "DRIFT_KIND_CONTRADICTED" });
  const answers = [];
  for (const [word] of DISCOVERY_SOURCES) {
    answers.push(await counts({ filter: { discoverySources: [`DISCOVERY_SOURCE_${word}`] } }));
  }
  const pairs = pairsIn(whole).all;
  return {
    pairs,
    drifting: Number(drift.totalCount || 0),
    contradicted: Number(contradicted.totalCount || 0),
    sources: DISCOVERY_SOURCES.map(([word, about], place) => {
      const { all, stale } = pairsIn(answers[place]);
      return {
        source: `DISCOVERY_SOURCE_${word}`,
        about,
        fresh: all - stale,
        stale,
        share: pairs ? all / pairs : 0,
      };
    }),
  };
}

function pairsIn({ nodes = [], calls = [] }) {
  const counts = [...nodes.map((each) => each.innerCalls), ...calls.map((each) => each.calls)].filter(
    Boolean,
  );
  const sum = (key) => counts.reduce((total, each) => total + (each[key] || 0), 0);
  return { all: sum("pairCount"), stale: sum("staleCount") };
}

function inWords({ pairs, drifting, contradicted }) {
  if (!pairs) return ["The graph has no dependencies yet."];
  const agreed = pairs - drifting;
  return [
    `The sources report ${counted(pairs, "call")}, from one service to another; stale ones count. `,
    `${count(agreed)} of them (${percent(agreed / pairs)}) are both declared and observed, `,
    `${count(drifting)} are known to one side only. `,
    `Sources contradict each other about ${contradicted ? count(contradicted) : "none"} of them. `,
    h("a", { href: format("drift") }, "See the drift"),
    ".",
  ];
}

function share(row) {
  const bar = h("span", {});
  bar.style.width = `${(row.share * 100).toFixed(1)}%`;
  return h(
    "span",
    { class: "share" },
    h("span", { class: "share-bar", "aria-hidden": "true" }, bar),
    percent(row.share),
  );
}

function percent(part) {
  return `${(part * 100).toFixed(part > 0 && part < 0.1 ? 1 : 0)} %`;
}
