// The picture of a focus as a table: for screen readers, phones, and who would rather read.

import { h } from "../../lib/dom.js";
import { count, counted, criticalityRank, words } from "../../lib/words.js";
import { chip } from "../../parts/chip.js";
import { nameText } from "../../parts/names.js";
import { columnOf, groupName } from "../../parts/neighbourhood.js";
import { table } from "../../parts/table.js";

const MOST_CALLS = 3;

/**
 * @param {any} answer GetNeighbourhoodResponse
 * @param {{linkTo: (name: string) => string, onopen: (selector: any) => void}} act
 * @returns {HTMLElement & {show: (answer: any) => void}}
 */
export function list(answer, { linkTo, onopen }) {
  const columns = [
    {
      key: "name",
      title: "Service or group",
      render: (row) => nameCell(row, linkTo, onopen),
      sort: (row) => row.name,
    },
    { key: "where", title: "Where", render: (row) => row.where, sort: (row) => row.column },
    {
      key: "criticality",
      title: "Criticality",
      render: (row) => chip(row.criticality),
      sort: (row) => criticalityRank(row.criticality),
    },
    {
      key: "team",
      title: "Team",
      render: (row) => (row.team ? nameText(row.team) : "–"),
      sort: (row) => row.team || "",
    },
    { key: "calls", title: "Calls", render: (row) => callsCell(row) },
  ];
  const caption = "Services around it, and groups of those that the picture does not show one by one";
  const element = table({
    caption,
    columns,
    rows: rowsOf(answer),
    empty: "It has no callers and no callees.",
  });
  element.show = (next) => element.update(rowsOf(next));
  return element;
}

function rowsOf(answer) {
  const calls = callsOf(answer);
  const services = (answer.neighbours || []).map(({ service, direction, depth, otherDepth }) => ({
    name: service.serviceId,
    isService: true,
    criticality: service.criticality,
    team: service.team,
    column: columnOf(direction, depth),
    where:
      place(direction, depth) + (otherDepth ? ` (also ${counted(otherDepth, "hop")} on the other side)` : ""),
    calls: calls.get(service.serviceId) || [],
  }));
  const groups = (answer.groups || []).map(({ selector, serviceCount, highestCriticality, teamCount }) => ({
    name: `${groupName(selector, teamCount)}: ${counted(serviceCount, "service")}`,
    selector,
    criticality: highestCriticality,
    team: selector.team,
    column: columnOf(selector.direction, selector.depth),
    where: place(selector.direction, selector.depth),
    calls: [],
  }));
  return [...services, ...groups];
}

function place(direction, depth) {
  return `${direction === "DIRECTION_UPSTREAM" ? "caller" : "callee"}, ${counted(depth, "hop")}`;
}

// The calls of each service, those to and from the middle first.
function callsOf(answer) {
  const middle = answer.center.serviceId;
  const found = new Map();
  const add = (name, other, verb, dependency) => {
    if (!found.has(name)) found.set(name, []);
    found.get(name)[other === middle ? "unshift" : "push"]({ other, verb, dependency });
  };
  for (const each of answer.dependencies || []) {
    add(each.sourceServiceId, each.targetServiceId, "calls", each);
    add(each.targetServiceId, each.sourceServiceId, "called by", each);
  }
  return found;
}

function nameCell(row, linkTo, onopen) {
  if (row.isService) return h("a", { href: linkTo(row.name) }, nameText(row.name));
  return h(
    "button",
    { type: "button", class: "link", onclick: () => onopen(row.selector) },
    "Open ",
    h("bdi", {}, row.name),
  );
}

function callsCell({ calls, isService }) {
  if (!isService) return "–";
  const more = calls.length - MOST_CALLS;
  return h(
    "ul",
    { class: "focus-calls" },
    calls
      .slice(0, MOST_CALLS)
      .map(({ other, verb, dependency }) =>
        h("li", {}, `${verb} `, h("bdi", {}, other), ` ${facts(dependency)}`),
      ),
    more > 0 && h("li", {}, `and ${count(more)} more`),
  );
}

function facts({ communicationMode, criticality, isStale, confidenceScore = 0 }) {
  return [
    words.mode(communicationMode) === "unknown" ? "mode unknown" : words.mode(communicationMode),
    words.dependencyCriticality(criticality) === "unknown" ? "" : words.dependencyCriticality(criticality),
    isStale ? "stale" : "",
    confidenceScore < 1 ? `confidence ${Number(confidenceScore.toFixed(2))}` : "",
  ]
    .filter(Boolean)
    .join(", ");
}
