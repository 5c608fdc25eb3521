// One kind of drift: its calls as a table, page after page.

import { call } from "../../lib/api.js";
import { h } from "../../lib/dom.js";
import { count, words } from "../../lib/words.js";
import { confidence, confidenceText, retriesText, timeoutText } from "../../parts/calls.js";
import { moment } from "../../parts/moment.js";
import { serviceLink, teamText } from "../../parts/names.js";
import { table } from "../../parts/table.js";

const PAGE = 1000;

/** The kinds of drift: what calls for action first. */
export const KINDS = [
  {
    key: "not-declared",
    kind: "DRIFT_KIND_NOT_DECLARED",
    title: "Observed, but not declared",
    about: "Traces or a mesh see these calls; no person, catalogue or manifest says that they should be.",
    empty: "Every call that is observed is declared.",
  },
  {
    key: "not-observed",
    kind: "DRIFT_KIND_NOT_OBSERVED",
    title: "Declared, but not observed",
    about: "These calls are declared; neither traces nor a mesh have seen them.",
    empty: "Every call that is declared is observed.",
  },
  {
    key: "contradicted",
    kind: "DRIFT_KIND_CONTRADICTED",
    title: "Contradicted",
    about: "Several sources know these calls, and name different modes or criticalities.",
    empty: "No two sources contradict each other about a mode or a criticality.",
  },
];

/**
 * Write the question.
 *
 * @param {Object<string, string>} params of the address
 * @param {string} kind of the contract
 */
export function requestOf(params, kind) {
  return {
    kind,
    ...(params.service && { serviceId: params.service }),
    ...(params.team && { team: params.team }),
    ...(params.source && { discoverySource: `DISCOVERY_SOURCE_${params.source.toUpperCase()}` }),
    ...(params.stale === "ignored" && { ignoreStale: true }),
  };
}

export class DriftSection {
  /**
   * @param {typeof KINDS[0]} kind
   * @param {() => Promise<void>} again asks all sections anew
   */
  constructor(kind, again) {
    this.kind = kind;
    this.again = again;
    this.total = 0;
    this.restart();
    this.heading = h("h2", { tabindex: -1 }, kind.title);
    this.rows = table({
      caption: kind.title,
      isCaptionUnseen: true,
      columns: columns(kind.kind),
      rows: [],
      empty: kind.empty,
    });
    this.rest = h("p", { class: "soft" });
    this.root = h(
      "section",
      { "aria-label": kind.title },
      this.heading,
      h("p", { class: "soft" }, kind.about),
      this.rows,
      this.rest,
    );
  }

  /** Read one page again, as another question is asked. */
  restart() {
    this.pages = 1;
  }

  go() {
    this.heading.scrollIntoView({ block: "start" });
    this.heading.focus({ preventScroll: true });
  }

  /** @returns {Promise<any>} the pages as one answer; null = this kind is not asked for */
  async ask(params, signal) {
    if (params.kind && params.kind !== this.kind.key) return null;
    const whole = { drifts: [], nextPageToken: "" };
    for (let page = 0; page < this.pages; page++) {
      const request = {
        ...requestOf(params, this.kind.kind),
        pageSize: PAGE,
        pageToken: whole.nextPageToken,
      };
      const answer = await call("AnalysisService/ListDrift", request, signal);
      const drifts = [...whole.drifts, ...(answer.drifts || [])];
      Object.assign(whole, answer, { drifts, nextPageToken: answer.nextPageToken || "" });
      if (!whole.nextPageToken) break;
    }
    return whole;
  }

  show(found) {
    this.root.hidden = !found;
    if (!found) return;
    this.total = Number(found.totalCount || 0);
    this.heading.textContent = `${this.kind.title} (${count(this.total)})`;
    this.rows.update(found.drifts);
    this.rest.hidden = !found.nextPageToken;
    const read = count(found.drifts.length);
    const left = count(this.total - found.drifts.length);
    this.rest.replaceChildren(`The first ${read} by name are read, ${left} are not. `, this.moreButton());
  }

  moreButton() {
    const onclick = () => {
      this.pages += 1;
      return this.again();
    };
    return h("button", { type: "button", class: "small", onclick }, `Read ${count(PAGE)} more`);
  }
}

function columns(kind) {
  const service = (key, title) => ({
    key,
    title,
    render: (row) => serviceLink(row[key]),
    sort: (row) => row[key],
  });
  return [
    service("sourceServiceId", "Caller"),
    service("targetServiceId", "Callee"),
    {
      key: "team",
      title: "Teams",
      render: teams,
      sort: (row) => `${row.sourceTeam || ""} ${row.targetTeam || ""}`,
    },
    { key: "dependencies", title: "Reported as", render: (row) => knownAs(row.dependencies) },
    {
      key: "sinceTime",
      title: kind === "DRIFT_KIND_CONTRADICTED" ? "Changed" : "Since",
      render: (row) => moment(row.sinceTime),
      sort: (row) => Date.parse(row.sinceTime),
    },
  ];
}

function teams({ sourceTeam, targetTeam }) {
  if (sourceTeam === targetTeam) return h("span", {}, teamText(sourceTeam));
  return h("span", {}, teamText(sourceTeam), " → ", teamText(targetTeam));
}

function knownAs(dependencies) {
  const differing = {
    mode: differs(dependencies, modeOf),
    criticality: differs(dependencies, criticalityOf),
  };
  const source = ({ discoverySource }) => h("b", {}, words.source(discoverySource));
  return h(
    "ul",
    { class: "plain" },
    dependencies.map((each) => h("li", {}, source(each), ": ", ...facts(each, differing))),
  );
}

// Unknown contradicts nothing.
function differs(dependencies, value) {
  return new Set(dependencies.map(value).filter((word) => word !== "unknown")).size > 1;
}

function modeOf(dependency) {
  return words.mode(dependency.communicationMode);
}

function criticalityOf(dependency) {
  return words.dependencyCriticality(dependency.criticality);
}

/** What a source says, what it contradicts others in marked. */
function facts(dependency, differing) {
  const fact = (name, word) => {
    if (word === "unknown") return `${name} unknown`;
    return differing[name] ? h("mark", {}, word) : word;
  };
  const said = [
    fact("mode", modeOf(dependency)),
    fact("criticality", criticalityOf(dependency)),
    dependency.protocol,
    dependency.timeoutMs !== undefined && `timeout ${timeoutText(dependency)}`,
    dependency.retryConfig && `retries ${retriesText(dependency)}`,
    confidence(dependency) < 1 && `confidence ${confidenceText(dependency)}`,
    dependency.isStale && "stale",
  ].filter(Boolean);
  return said.flatMap((each, position) => (position ? [", ", each] : [each]));
}
