// All that is known about a service, beside its picture.

import { call } from "../lib/api.js";
import { h } from "../lib/dom.js";
import { format } from "../lib/route.js";
import { second } from "../lib/times.js";
import { count, counted, words } from "../lib/words.js";
import { asking } from "./asking.js";
import { chip } from "./chip.js";
import { dependencyItem } from "./dependency.js";
import { failure } from "./failure.js";
import { moment } from "./moment.js";
import { nameText } from "./names.js";

const MOST_DEPENDENCIES = 25;
const MOST_WRITES = 10;

/**
 * Make the panel of a service, which is filled as soon as the server has answered.
 *
 * @param {Object} options
 * @param {string} options.serviceId
 * @param {string} options.inFocus the service whose view this is
 * @param {{consistency?: object}} [options.past] as of when; empty = now
 * @param {AbortSignal} options.signal
 * @returns {{root: HTMLElement, changed: () => void}} `changed` looks again, and keeps what is open
 */
export function panel({ serviceId, inFocus, past = {}, signal }) {
  const root = h("div", { class: "panel" }, h("p", { class: "soft" }, "…"));
  // What a reader has opened stays open.
  const opened = new Set();
  const look = asking({
    place: root,
    signal,
    ask: (own) => (past.consistency ? gatheredOfThen(serviceId, past, own) : gathered(serviceId, own)),
    show: (found) => root.replaceChildren(...sections(found, { opened, signal, inFocus, past })),
    fail: (error) => failure(error),
  });
  void look.look();
  return { root, changed: look.changed };
}

async function gathered(serviceId, signal) {
  const near = { serviceId, maxDepth: 1, includeStale: true, maxServices: MOST_DEPENDENCIES };
  const around = (direction) => call("GraphService/GetNeighbourhood", { ...near, direction }, signal);
  const [own, callers, callees, aliases, component, alerts] = await Promise.all([
    call("CatalogService/GetService", { serviceId }, signal),
    around("DIRECTION_UPSTREAM"),
    around("DIRECTION_DOWNSTREAM"),
    call("CatalogService/ListAliases", { serviceId }, signal),
    call("GraphService/GetComponent", { serviceId, pageSize: 1 }, signal),
    call("AlertService/ListAlerts", { serviceId }, signal),
  ]);
  const found = { service: own.service, callers, callees, aliases: aliases.aliases || [] };
  return { ...found, component: component.component, alerts: await alertsOf(component, alerts, signal) };
}

// Aliases, alerts and writes are kept as they are now alone.
async function gatheredOfThen(serviceId, past, signal) {
  const near = { serviceId, maxDepth: 1, includeStale: true, maxServices: MOST_DEPENDENCIES, ...past };
  const around = (direction) => call("GraphService/GetNeighbourhood", { ...near, direction }, signal);
  const [callers, callees, { component }] = await Promise.all([
    around("DIRECTION_UPSTREAM"),
    around("DIRECTION_DOWNSTREAM"),
    call("GraphService/GetComponent", { serviceId, pageSize: 1, ...past }, signal),
  ]);
  return { service: callers.center, callers, callees, component, aliases: [], alerts: null };
}

// Of a very large component an alert lists only the first members: they find it.
async function alertsOf({ component }, { alerts = [] }, signal) {
  if (alerts.length || !component.isCycle) return alerts;
  const first = component.members?.[0];
  if (!first) return [];
  return (await call("AlertService/ListAlerts", { serviceId: first }, signal)).alerts || [];
}

function sections(found, { opened, signal, inFocus, past }) {
  const { service, callers, callees, component, alerts } = found;
  const name = service.serviceId;
  const keep = (key) => ({
    open: opened.has(key),
    ontoggle: (event) => (event.target.open ? opened.add(key) : opened.delete(key)),
  });
  return [
    h("h2", {}, nameText(name)),
    h(
      "p",
      { class: "row panel-links" },
      inFocus !== name && h("a", { href: format("focus", name) }, "Focus"),
      h("a", { href: format("impact", name) }, "Impact"),
      h("a", { href: format("paths", name) }, "Paths from it"),
      h("a", { href: format("paths", "", { to: name }) }, "Paths to it"),
      h("a", { href: format("cycles") }, "Cycles"),
      h("a", { href: format("changes", name, { until: past.consistency?.asOf }) }, "What changed"),
    ),
    past.consistency && h("p", { class: "soft" }, `As of ${second(past.consistency.asOf)}.`),
    fields(found),
    alerts ? alertPart(component, alerts) : cyclePart(component),
    dependencies("Callers", "callers", callers, { keep, signal, past }),
    dependencies("Callees", "callees", callees, { keep, signal, past }),
    metadata(service.metadata, keep("metadata")),
    alerts && writes(keep("writes"), signal),
  ].filter(Boolean);
}

function fields({ service, aliases }) {
  const kind = words.kind(service.kind) || "service";
  const rows = [
    ["Criticality", chip(service.criticality)],
    ["Team", service.team ? h("bdi", {}, service.team) : h("span", { class: "soft" }, "unknown")],
    ["Kind", kind],
    [
      "Aliases",
      aliases.length ? aliases.flatMap(({ alias }, at) => [at ? ", " : "", h("bdi", {}, alias)]) : null,
    ],
    ["Made by", service.discovered ? "discovery" : "a person"],
    ["Created", moment(service.createTime)],
    [
      "Changed",
      !service.updateTime || service.updateTime === service.createTime ? null : moment(service.updateTime),
    ],
    ["ID", h("code", {}, service.id)],
  ];
  return h(
    "dl",
    { class: "dl" },
    rows
      .filter(([, value]) => value)
      .flatMap(([label, value]) => [h("dt", {}, label), h("dd", {}, ...[value].flat())]),
  );
}

function cyclePart(component) {
  return h("p", { class: component.isCycle ? "note" : "soft" }, cycleSentence(component));
}

function cycleSentence({ isCycle, size = 0 }) {
  return isCycle
    ? `On a cycle: one of ${counted(size, "service")} that all reach one another.`
    : "On no cycle.";
}

function alertPart(component, alerts) {
  const unresolved = alerts.filter((alert) => alert.status !== "ALERT_STATUS_RESOLVED");
  if (!component.isCycle && !unresolved.length) return cyclePart(component);
  const link = (alert) =>
    h(
      "li",
      {},
      h("a", { href: format("cycles", alert.id) }, `Alert, ${words.alertStatus(alert.status)}`),
      alert.acknowledgedBy ? [" by ", h("bdi", {}, alert.acknowledgedBy)] : "",
      ", found ",
      moment(alert.detectTime),
    );
  return h(
    "div",
    { class: "note panel-alert" },
    component.isCycle
      ? cycleSentence(component)
      : "Its cycle is gone, but an alert is not resolved yet.",
    unresolved.length ? h("ul", {}, unresolved.map(link)) : h("p", {}, "No alert is open for it."),
  );
}

function dependencies(title, key, answer, { keep, signal, past }) {
  const upstream = key === "callers";
  const all = (upstream ? answer.upstreamCount : answer.downstreamCount) || 0;
  const shown = answer.dependencies || [];
  const other = (each) => (upstream ? each.sourceServiceId : each.targetServiceId);
  // In the order of the neighbours: the most critical first.
  const places = new Map((answer.neighbours || []).map(({ service }, at) => [service.serviceId, at]));
  const own = shown.filter((each) => places.has(other(each)) && touches(each, answer.center.serviceId));
  own.sort((a, b) => places.get(other(a)) - places.get(other(b)));
  return h(
    "section",
    { "aria-label": title },
    h("h3", {}, `${title} (${count(all)})`),
    all === 0 && h("p", { class: "soft" }, "None."),
    // A stale one that is listed says so itself.
    all > own.length && h("p", { class: "soft" }, "Stale ones included."),
    own.map((each) =>
      dependencyItem(each, other(each), { attributes: keep(`${key} ${other(each)}`), signal, past }),
    ),
    all > own.length && h("p", { class: "soft" }, `The ${count(own.length)} most critical of ${count(all)}.`),
  );
}

function touches(dependency, name) {
  return dependency.sourceServiceId === name || dependency.targetServiceId === name;
}

function metadata(values, attributes) {
  const entries = Object.entries(values || {});
  if (!entries.length) return h("p", { class: "soft" }, "No metadata.");
  const text = (value) => (typeof value === "string" ? value : JSON.stringify(value));
  const rows = entries.flatMap(([key, value]) => [
    h("dt", {}, h("bdi", {}, key)),
    h("dd", {}, h("bdi", {}, text(value))),
  ]);
  const summary = h("summary", {}, `Metadata (${count(entries.length)})`);
  return h(
    "details",
    { ...attributes, open: entries.length <= 6 || attributes.open },
    summary,
    h("dl", { class: "dl" }, rows),
  );
}

// Looked up when somebody asks: the server keeps no list of writes for each service.
function writes({ open, ontoggle }, signal) {
  const body = h("div", {});
  async function fill() {
    try {
      const { writes: last = [] } = await call("AccessService/ListWrites", { pageSize: MOST_WRITES }, signal);
      body.replaceChildren(
        h("p", { class: "soft" }, "Of all services: the server does not keep which service a call wrote."),
        last.length ? h("ul", {}, last.map(write)) : h("p", {}, "None are kept."),
      );
    } catch (error) {
      if (error.name !== "AbortError") body.replaceChildren(h("p", { class: "warning" }, error.message));
    }
  }
  const toggled = (event) => {
    ontoggle(event);
    if (event.target.open) fill();
  };
  return h(
    "details",
    { open, ontoggle: toggled },
    h("summary", {}, "Recent writes through the server"),
    body,
  );
}

function write({ writeTime, principal, method, counts = {} }) {
  const changes = Object.entries(counts)
    .filter(([, number]) => Number(number) > 0)
    .map(
      ([name, number]) =>
        `${count(number)} ${name.replace(/[A-Z]/g, (letter) => ` ${letter.toLowerCase()}`)}`,
    );
  return h(
    "li",
    {},
    moment(writeTime),
    ": ",
    method.split("/").at(-1),
    principal ? [" by ", h("bdi", {}, principal)] : " by a caller without identity",
    changes.length ? `, ${changes.join(", ")}` : ", nothing changed",
  );
}
