// The picture of the map as tables.

import { h } from "../../lib/dom.js";
import { format } from "../../lib/route.js";
import { count, criticalityRank, words } from "../../lib/words.js";
import { chip } from "../../parts/chip.js";
import { nameText, serviceLink } from "../../parts/names.js";
import { table } from "../../parts/table.js";
import { inside } from "./question.js";

const COUNTS = {
  pairCount: "Calls",
  syncCount: "Sync",
  asyncCount: "Async",
  unknownCount: "Unknown mode",
  staleCount: "Stale",
};

/**
 * @param {import("./question.js").Question} asked
 * @returns {{root: HTMLElement, update: (picture: import("../../graph/layout.js").Picture) => void}}
 */
export function tables(asked) {
  const nodes = table({ caption: "Nodes", columns: nodeColumns(asked), rows: [] });
  const calls = table({
    caption: "Calls from one node to another",
    columns: callColumns(asked),
    rows: [],
    empty: "No node calls another.",
  });
  return {
    root: h("details", { class: "map-tables" }, h("summary", {}, "The same as tables"), nodes, calls),
    update(picture) {
      const byId = new Map(picture.nodes.map((node) => [node.id, node]));
      nodes.update(picture.nodes);
      calls.update(
        picture.edges.map(({ source, target, counts }) => ({
          source: byId.get(source),
          target: byId.get(target),
          ...counts,
        })),
      );
    },
  };
}

function nodeColumns(asked) {
  return [
    { key: "label", title: "Name", render: (row) => nodeLink(row, asked), sort: (row) => row.label },
    { key: "kind", title: "What", render: whatOf, sort: whatOf },
    { key: "services", title: "Services", align: "right" },
    { key: "inner", title: "Calls inside", align: "right" },
    {
      key: "criticality",
      title: "Highest criticality",
      render: (row) => chip(row.criticality),
      sort: (row) => criticalityRank(row.criticality),
    },
  ];
}

function callColumns(asked) {
  const end = (key, title) => ({
    key,
    title,
    render: (row) => nodeLink(row[key], asked),
    sort: (row) => row[key].label,
  });
  const number = ([key, title]) => ({
    key,
    title,
    align: "right",
    render: (row) => count(row[key]),
    sort: (row) => row[key] || 0,
  });
  return [end("source", "From"), end("target", "To"), ...Object.entries(COUNTS).map(number)];
}

function whatOf(node) {
  return node.kind === "service" ? words.kind(node.serviceKind) : node.kind;
}

function nodeLink(node, asked) {
  if (node.kind === "others") return nameText(node.label);
  const href = node.kind === "service" ? format("focus", node.label) : inside(asked, node.group);
  return serviceLink(node.label, { href });
}
