// Pages in place of a view: nothing is there yet, nothing of that name, the server does not answer.

import { ApiError } from "../lib/api.js";
import { h } from "../lib/dom.js";
import { format } from "../lib/route.js";
import { search } from "../lib/search.js";
import { instant, second } from "../lib/times.js";
import { words } from "../lib/words.js";
import { chip } from "../parts/chip.js";
import { copyButton } from "../parts/copy.js";
import { nameText } from "../parts/names.js";
import { isBeyondHistory, waysOut } from "../parts/no_history.js";

const FIRST_COMMANDS = [
  ["A file of Jaeger, Kiali, Backstage, Kubernetes, OpenTelemetry or depgraph", "depgraph import FILE"],
  ["What Prometheus, Jaeger, Kiali or Backstage answer, once or for ever", "depgraph sync sources.yaml"],
  ["One by one", "depgraph dependency set checkout payments --mode sync"],
];
const COLLECTOR = `connectors:
  servicegraph:
    dimensions: [peer.service, db.system, messaging.system, messaging.destination.name]
    metrics_flush_interval: 15s
exporters:
  otlp/depgraph:
    endpoint: HOST:50051
service:
  pipelines:
    traces:
      receivers: [otlp]
      exporters: [servicegraph]
    metrics/servicegraph:
      receivers: [servicegraph]
      exporters: [otlp/depgraph]`;

/** The page of a graph without services. @returns {HTMLElement[]} */
export function firstDay() {
  const row = ([what, command]) => [
    h("dt", {}, what),
    h(
      "dd",
      { class: "row" },
      h("code", {}, command),
      copyButton("Copy", () => command, `Copy: ${command}`),
    ),
  ];
  return [
    h("h1", {}, "The graph is empty"),
    h("p", {}, "Bring services in, and this page shows the most critical one at once, without a reload."),
    h(
      "section",
      { class: "card" },
      h("h2", {}, "From what you have"),
      h("dl", {}, FIRST_COMMANDS.flatMap(row)),
    ),
    h(
      "section",
      { class: "card" },
      h("h2", {}, "From traces, as they happen"),
      h("p", {}, "Add this to the configuration of your OpenTelemetry Collector; HOST is this server."),
      h("pre", { tabindex: 0 }, COLLECTOR),
      copyButton("Copy configuration", () => COLLECTOR),
    ),
  ];
}

/** The page of an address that leads nowhere. @param {string} id @param {any[]} views */
export function unknownView(id, views) {
  return [
    h("h1", {}, "There is no such page"),
    h("p", {}, "No view is called ", h("code", {}, h("bdi", {}, id.slice(0, 100))), ". These are there:"),
    h(
      "ul",
      {},
      views.map((view) => h("li", {}, h("a", { href: format(view.id) }, view.title))),
    ),
  ];
}

/**
 * The page of a view that failed.
 *
 * @param {Error} error
 * @param {import("../lib/route.js").Route} route
 * @param {import("../app.js").Session|null} session
 * @param {() => void} again
 * @returns {HTMLElement[]}
 */
export function failed(error, route, session, again) {
  if (!(error instanceof ApiError)) return defect(error, again);
  if (error.code === "not_found") return notFound(error, route);
  if (error.code === "permission_denied") return denied(error, session);
  if (error.code === "unauthenticated") return signedOut(again);
  if (isAway(error)) return away(error, again);
  if (isBeyondHistory(error)) return beyondHistory(error);
  const fields = error.fields.map(({ field, description }) =>
    h("li", {}, h("code", {}, field), ` ${description}`),
  );
  return [
    h("h1", {}, "The server could not answer that"),
    h("p", { class: "failed", role: "alert" }, error.message),
    fields.length > 1 && h("ul", {}, fields),
    h("p", {}, againButton(again), " ", h("a", { href: "#/" }, "Go to the start")),
  ].filter(Boolean);
}

/** Whether the same call may succeed in a moment. @param {Error} error */
export function isAway(error) {
  return error instanceof ApiError && ["unreachable", "unavailable"].includes(error.code);
}

function away(error, again) {
  const isWarming = error.reason === "NOT_READY";
  return [
    h("h1", {}, isWarming ? "The server is getting ready" : "The server does not answer"),
    h("p", { class: "warning", role: "status" }, error.message),
    h("p", {}, isWarming ? "It reads the graph into memory. " : "", "This page comes back by itself."),
    h("p", {}, againButton(again)),
  ];
}

function beyondHistory(error) {
  return [
    h("h1", {}, "The history does not reach back to then"),
    h("p", { class: "failed", role: "alert" }, error.message),
    waysOut(error),
  ];
}

function denied(error, session) {
  const roles = (session?.roles || []).map(words.role).join(", ") || "none";
  const role = error.metadata.role;
  return [
    h("h1", {}, "You may not see this"),
    h("p", { class: "failed", role: "alert" }, error.message),
    h("p", {}, `Your roles: ${roles}. `, role && `This needs the role ${words.role(role.toUpperCase())}.`),
  ];
}

function signedOut(again) {
  return [
    h("h1", {}, "You are not signed in"),
    h("p", {}, "This server answers only to people it knows."),
    h("p", {}, h("button", { type: "button", class: "primary", onclick: again }, "Sign in")),
  ];
}

function defect(error, again) {
  return [
    h("h1", {}, "This view has a defect"),
    h("p", {}, "The rest of the console works. Please report this:"),
    h("pre", { tabindex: 0, role: "alert" }, `${error?.stack || error}`),
    h("p", {}, againButton(again)),
  ];
}

function againButton(again) {
  return h("button", { type: "button", onclick: again }, "Try again");
}

function notFound(error, route) {
  const places = h("div", {});
  void fill(places, route);
  return [
    h("h1", {}, "Not found"),
    h("p", { class: "failed", role: "alert" }, error.message),
    route.params.as_of &&
      h(
        "p",
        {},
        `This is the graph as of ${second(instant("as_of", route.params.as_of))}. `,
        h("a", { href: format(route.view, route.name, { ...route.params, as_of: "" }) }, "Look at now"),
      ),
    places,
    h("p", {}, h("a", { href: "#/" }, "Go to the start")),
  ].filter(Boolean);
}

/** Names like those in the address, each a link to the same view. */
async function fill(place, { view, name, params }) {
  for (const [key, text] of [
    ["", name],
    ["to", params.to],
  ]) {
    if (!text) continue;
    try {
      const { matches, isSimilar } = await search({ query: text, team: "", kind: "" }, undefined);
      if (!isSimilar && matches.some(({ service }) => service.serviceId === text)) continue;
      if (!matches.length) continue;
      const href = (id) => format(view, key ? name : id, key ? { ...params, [key]: id } : params);
      place.append(
        h("p", {}, isSimilar ? "Did you mean:" : "These names hold it:"),
        h(
          "ul",
          { class: "names" },
          matches.slice(0, 10).map(({ service }) => similar(service, href)),
        ),
      );
    } catch {
      // Suggestions are an extra: the message stands without them.
    }
  }
}

function similar(service, href) {
  const link = h("a", { href: href(service.serviceId) }, nameText(service.serviceId));
  return h(
    "li",
    {},
    link,
    " ",
    chip(service.criticality),
    service.team ? h("span", { class: "soft" }, ` team ${service.team}`) : "",
  );
}
