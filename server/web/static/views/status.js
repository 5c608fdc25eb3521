// The view Status: what is wrong first, then how large and how fresh the graph is, then who wrote.

import { call } from "../lib/api.js";
import { h } from "../lib/dom.js";
import { format } from "../lib/route.js";
import { count, counted, duration, words } from "../lib/words.js";
import { answered } from "../parts/answered.js";
import { refill } from "../parts/asking.js";
import { copyBar } from "../parts/copy.js";
import { moment } from "../parts/moment.js";
import { writesPart } from "./status/writes.js";

const FEED = {
  FEED_STATE_WARMING: "reads the whole graph",
  FEED_STATE_FOLLOWING: "follows the database",
  FEED_STATE_RECONNECTING: "the database is away; answers come from the last snapshot",
};
// What the contract bounds, whatever the server's settings are.
const LIMITS = [
  ["Services in one picture", "300; others stand in groups"],
  ["Rows of one page of an answer", "1,000"],
  ["Characters of a name", "255"],
  ["Metadata of a service", "64 KiB as JSON, 30 levels deep"],
  ["Paths that one question finds", "100"],
  ["Questions of one BatchTraverse", "1,000"],
];

/** @type {import("../app.js").View} */
export const view = {
  id: "status",
  title: "Status",
  async show({ root, signal }) {
    const state = statePart(signal);
    const writes = writesPart(signal);
    root.append(
      h(
        "div",
        { class: "overview-head" },
        h("h1", {}, "Status"),
        copyBar({ command: "depgraph status", method: "GraphService/GetStatus", request: {} }),
      ),
      state.place,
      writes.place,
      limits(),
    );
    await Promise.all([state.look(), writes.look()]);
    return {
      changed() {
        state.changed();
        writes.changed();
      },
    };
  },
};

function statePart(signal) {
  const alarm = h("div", {});
  const facts = h("div", { class: "grid" });
  let said = null;
  return answered({
    body: h("section", { "aria-label": "State of the server" }, alarm, facts),
    text: "Asking how the server is",
    every: 5_000,
    signal,
    // The lag is another at each look, and is shown.
    ask: async (own) => {
      const status = await call("GraphService/GetStatus", {}, own);
      return { ...status, lag: status.freshness?.lag };
    },
    show(status) {
      const text = JSON.stringify(status.problems || []);
      // Screen readers would read out an alert anew.
      if (text !== said) alarm.replaceChildren(problems(status));
      said = text;
      refill(facts, ...cards(status));
    },
  });
}

function problems({ problems: found = [] }) {
  if (!found.length) {
    return h(
      "p",
      { class: "note all-well" },
      h("strong", { class: "report-state ok" }, "✓ All is well."),
      " The server reports no problems.",
    );
  }
  return h(
    "div",
    { class: "failed", role: "alert" },
    h("h2", {}, `✕ ${counted(found.length, "problem")}`),
    h(
      "ul",
      {},
      found.map((text) => h("li", { dir: "auto" }, text)),
    ),
    h("p", {}, h("code", {}, "depgraph doctor"), " explains them, and repairs what it can."),
  );
}

function cards(status) {
  return [
    card("Graph", [
      ["Services", count(status.serviceCount)],
      ["Dependencies", count(status.dependencyCount)],
      ["of these stale", count(status.staleDependencyCount)],
      Number(status.waitingDependencyCount) > 0 && [
        "Dangling",
        `${count(status.waitingDependencyCount)}: a service is missing`,
      ],
      ["Cyclic components", cycles(status)],
    ]),
    card("Freshness", [
      ["Feed", FEED[status.feedState] || "not known"],
      ["Lag", duration(status.lag) || "0 ms"],
      ["Revision", revision(status.freshness?.revision)],
      ["Read in full", `${times(status.warmCount)}, last in ${duration(status.warmDuration) || "0 ms"}`],
      ["Checked", audit(status.lastAudit)],
      ["Change log", counted(status.changeLogRows, "row")],
    ]),
    card("Detection of cycles", [["Alerts", detection(status)], ...written(status)]),
    card("Server", [
      ["Version", status.serverVersion],
      ["Started", moment(status.startTime)],
      [
        "Worker",
        `${status.worker} of ${status.workerCount}${status.workerCount > 1 ? ", which answered" : ""}`,
      ],
      ["Transport", transport(status.transport)],
    ]),
    card(
      "Last reports",
      (status.lastIngestions || []).map((each) => [sourceName(each), moment(each.ingestTime)]),
      "Nobody has reported yet.",
    ),
  ];
}

function card(title, rows, empty = "") {
  const given = rows.filter(Boolean);
  const list = h(
    "dl",
    { class: "dl" },
    given.map(([name, value]) => [h("dt", {}, name), h("dd", {}, value ?? "")]).flat(),
  );
  return h(
    "section",
    { class: "card", "aria-label": title },
    h("h2", {}, title),
    given.length ? list : h("p", { class: "soft" }, empty),
  );
}

function sourceName({ discoverySource }) {
  return h("a", { href: format("sources"), "data-key": discoverySource }, words.source(discoverySource));
}

function cycles({ detection }) {
  if (detection?.role !== "DETECTION_ROLE_WRITER") return "kept by another process";
  return h("a", { href: format("cycles"), "data-key": "cycles" }, count(detection.cycleCount));
}

function detection({ detection: found, freshness }) {
  switch (found?.role) {
    case "DETECTION_ROLE_WRITER":
      if (!found.revision) return "being compared with the graph";
      return found.revision === freshness?.revision
        ? "caught up with the graph"
        : "catching up with the graph";
    case "DETECTION_ROLE_STANDBY":
      return "kept by another process; this one takes over when that ends";
    case "DETECTION_ROLE_OFF":
      return "not kept by this process (--no-detect)";
    default:
      return "not known";
  }
}

function written({ detection: found }) {
  if (found?.role !== "DETECTION_ROLE_WRITER") return [];
  return [["Last written", found.writeTime ? moment(found.writeTime) : "not yet"]];
}

function audit(found) {
  if (!found) return "not yet";
  const differing = Number(found.differingRows || 0);
  const said = differing ? `${counted(differing, "row")} differed; the graph was read anew` : "equal";
  return h("span", {}, moment(found.auditTime), `: ${said}, in ${duration(found.duration) || "0 ms"}`);
}

function revision(text) {
  return h("code", { class: "name revision", title: text }, text || "none");
}

function times(number) {
  return Number(number) === 1 ? "once" : `${count(number)} times`;
}

function transport(name) {
  if (!name) return "not known";
  return `${name}${name === "native" ? " (plaintext calls of gRPC); grpcio carries TLS" : ""}`;
}

function limits() {
  return h(
    "details",
    { class: "limits" },
    h("summary", {}, "Limits worth knowing"),
    h("dl", { class: "dl" }, LIMITS.map(([name, value]) => [h("dt", {}, name), h("dd", {}, value)]).flat()),
    h(
      "p",
      { class: "soft" },
      "A refused call says which limit, and which field. docs/operations.md has those that can be set.",
    ),
  );
}
