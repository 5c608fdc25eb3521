// One effective dependency: what holds, which source says so, and what each source reported.

import { call } from "../lib/api.js";
import { h } from "../lib/dom.js";
import { counted, words } from "../lib/words.js";
import { format } from "../lib/route.js";
import { confidence, confidenceText, retriesText, timeoutText } from "./calls.js";
import { moment } from "./moment.js";
import { nameText } from "./names.js";

const FIELDS = {
  communication_mode: ["Mode", (d) => modeOf(d)],
  criticality: ["Criticality", (d) => words.dependencyCriticality(d.criticality) || "unknown"],
  protocol: ["Protocol", (d) => d.protocol],
  timeout_ms: ["Timeout", timeoutText],
  retry_config: ["Retries", retriesText],
  confidence_score: ["Confidence", confidenceText],
  last_observed_time: ["Last observed", (d) => moment(d.lastObservedTime)],
};

/**
 * @param {any} dependency EffectiveDependency
 * @param {string} other the service at its other end
 * @param {{attributes: object, signal: AbortSignal, past?: {consistency?: object}}} options attributes of
 *   the <details>; past: as of when, if not now
 * @returns {HTMLElement}
 */
export function dependencyItem(dependency, other, { attributes, signal, past = {} }) {
  const reports = h("div", { class: "panel-reports" });
  const toggled = (event) => {
    attributes.ontoggle?.(event);
    // What each source reports is read from the database, which has it as it is now.
    if (past.consistency) return;
    if (event.target.open && !reports.firstChild) fillReports(reports, dependency, signal);
  };
  return h(
    "details",
    { ...attributes, class: "panel-dependency", ontoggle: toggled },
    h("summary", {}, nameText(other), " ", h("span", { class: "soft" }, brief(dependency))),
    provenance(dependency),
    reports,
    h("p", {}, h("a", { href: format("focus", other) }, "Focus on ", h("bdi", {}, other))),
  );
}

function brief(dependency) {
  const sources = (dependency.discoverySources || []).length;
  return [
    modeOf(dependency),
    words.dependencyCriticality(dependency.criticality),
    dependency.protocol,
    dependency.timeoutMs && timeoutText(dependency),
    confidence(dependency) < 1 && `confidence ${confidenceText(dependency)}`,
    dependency.isStale && "stale",
    sources > 1 && counted(sources, "source"),
  ]
    .filter((each) => each && each !== "unknown")
    .join(", ");
}

function provenance(dependency) {
  const fields = dependency.provenance || [];
  // Answers about the past have no times of observation.
  const known = fields.filter(({ field }) => field !== "last_observed_time" || dependency.lastObservedTime);
  const rows = known.map(({ field, discoverySource }) => {
    const [label, read] = FIELDS[field] || [field, () => ""];
    return h(
      "tr",
      {},
      h("th", { scope: "row" }, label),
      h("td", {}, read(dependency) || "–"),
      h("td", {}, words.source(discoverySource)),
    );
  });
  const caption = dependency.isStale ? "What holds (stale: not observed for too long)" : "What holds";
  const heads = ["Field", "Value", "Says"].map((each) => h("th", { scope: "col" }, each));
  return h("table", {}, h("caption", {}, caption), h("thead", {}, h("tr", {}, heads)), h("tbody", {}, rows));
}

// Each source's own report; from the database, so only when somebody opens it.
async function fillReports(body, { sourceServiceId, targetServiceId }, signal) {
  const request = { sourceServiceId, targetServiceId, includeStale: true };
  try {
    const { dependencies = [] } = await call("DependencyService/ListDependencies", request, signal);
    body.replaceChildren(h("h4", {}, "What each source reports"), h("ul", {}, dependencies.map(report)));
  } catch (error) {
    if (error.name !== "AbortError") body.replaceChildren(h("p", { class: "warning" }, error.message));
  }
}

function report(dependency) {
  const facts = [
    modeOf(dependency),
    words.dependencyCriticality(dependency.criticality),
    dependency.protocol,
    dependency.timeoutMs && timeoutText(dependency),
    dependency.retryConfig && `retries ${retriesText(dependency)}`,
    `confidence ${confidenceText(dependency)}`,
  ];
  const seen = dependency.lastObservedTime;
  return h(
    "li",
    {},
    h("b", {}, words.source(dependency.discoverySource)),
    `: ${facts.filter((each) => each && each !== "unknown").join(", ")}, `,
    "seen ",
    moment(seen),
    dependency.isStale && h("b", {}, ", stale"),
  );
}

function modeOf({ communicationMode }) {
  return words.mode(communicationMode) || "unknown";
}
