// Paths: those that were found, drawn together, and the calls of the chosen one.

import { ApiError, call } from "../../lib/api.js";
import { h } from "../../lib/dom.js";
import { format } from "../../lib/route.js";
import { commandLine } from "../../lib/shell.js";
import { asOfOption } from "../../lib/times.js";
import { counted, words } from "../../lib/words.js";
import { draw } from "../../graph/draw.js";
import { exportButtons } from "../../graph/export.js";
import { legend, usesOf } from "../../graph/legend.js";
import { refill } from "../../parts/asking.js";
import { callees } from "../../parts/callees.js";
import {
  confidence,
  confidenceText,
  filterOptions,
  retriesText,
  sourcesText,
  strengthMark,
  timeoutText,
} from "../../parts/calls.js";
import { copyBar } from "../../parts/copy.js";
import { moment } from "../../parts/moment.js";
import { nameText, pathText, serviceLink } from "../../parts/names.js";
import { dependenciesOf, pathsPicture } from "../../parts/paths_picture.js";
import { table } from "../../parts/table.js";

/** What is on the page of one question. */
export class PathsAnswer {
  /**
   * @param {Object} options
   * @param {HTMLElement} options.place is filled
   * @param {Object<string, string>} options.params of the address; `path` is kept up to date: the
   *   number of the chosen path, from 1
   * @param {any} options.question request of FindPaths
   * @param {AbortSignal} options.signal
   */
  constructor({ place, params, question, signal }) {
    this.params = params;
    this.question = question;
    this.ending = new AbortController();
    this.signal = AbortSignal.any([signal, this.ending.signal]);
    this.paths = [];
    this.known = new Map();
    this.drawing = null;
    this.head = h("div", { class: "paths-head" });
    this.canvas = h("div", { class: "canvas" });
    this.under = h("div", { class: "row" });
    this.list = h("div", { class: "paths-list" });
    this.hops = table({ caption: "Calls of this path", columns: hopColumns(), rows: [] });
    this.found = h(
      "div",
      {},
      this.canvas,
      this.under,
      h("div", { class: "paths-columns" }, this.list, this.hops),
    );
    const copying = { command: commandOf(question), method: "AnalysisService/FindPaths", request: question };
    place.replaceChildren(copyBar(copying), this.head, this.found);
  }

  update({ paths, truncated, reverse }) {
    this.paths = paths;
    this.found.hidden = !paths.length;
    const { sourceServiceId, targetServiceId } = this.question;
    const between = [nameText(sourceServiceId), " → ", nameText(targetServiceId)];
    if (!paths.length) return refill(this.head, ...this.noPath(reverse, truncated));
    refill(
      this.head,
      h(
        "p",
        { class: "headline" },
        h("strong", {}, this.number()),
        " ",
        ...between,
        h("span", { class: "soft" }, ` ${this.lengths()}`),
      ),
      truncated
        ? h("p", { class: "warning" }, "The search took too long and stopped: there may be more paths.")
        : "",
    );
    void this.look();
  }

  end() {
    this.ending.abort();
  }

  // As many as were asked for: there may be more.
  number() {
    const number = counted(this.paths.length, "path");
    return this.paths.length === this.question.maxPaths ? `First ${number}` : number;
  }

  lengths() {
    const lengths = this.paths.map((path) => path.hops.length);
    const [shortest, longest] = [lengths[0], lengths.at(-1)];
    return shortest === longest
      ? `of ${counted(shortest, "hop")}`
      : `of ${shortest} to ${counted(longest, "hop")}`;
  }

  chosen() {
    return Math.min(Math.max((Number(this.params.path) || 1) - 1, 0), this.paths.length - 1);
  }

  fill() {
    const chosen = this.chosen();
    const { picture, drawn } = pathsPicture(this.paths, chosen, this.known);
    const { sourceServiceId, targetServiceId } = this.question;
    const label = `Paths from ${sourceServiceId} to ${targetServiceId}`;
    const onopen = (node) => node.kind === "service" && (location.hash = format("focus", node.id));
    if (this.drawing) this.drawing.update(picture);
    else this.drawing = draw(this.canvas, picture, { label, onopen });
    const file = `paths from ${sourceServiceId} to ${targetServiceId}`;
    const left = this.paths.length - drawn;
    refill(
      this.under,
      legend(usesOf(picture), "the chosen path"),
      exportButtons(this.drawing.svg, file),
      left ? h("p", { class: "soft" }, `${counted(left, "path")} more than fit the picture.`) : "",
    );
    refill(
      this.list,
      h("h2", {}, "Paths"),
      h(
        "ol",
        { class: "chosen-from" },
        this.paths.map((path, at) => this.choice(path, at, chosen)),
      ),
    );
    this.hops.update(hopRows(this.paths[chosen]));
  }

  choice(path, at, chosen) {
    const attributes = {
      type: "button",
      "data-key": `path ${at}`,
      "aria-pressed": String(at === chosen),
      onclick: () => this.choose(at),
    };
    const hops = h("span", { class: "soft" }, counted(path.hops.length, "hop"));
    return h("li", {}, h("button", attributes, hops, pathText(path.serviceIds)));
  }

  choose(at) {
    this.params.path = at ? String(at + 1) : "";
    history.replaceState(history.state, "", format("paths", this.question.sourceServiceId, this.params));
    this.fill();
  }

  /** Draw, once it is known what the picture shows of the services: nothing in it jumps then. */
  async look() {
    const { picture } = pathsPicture(this.paths, this.chosen(), this.known);
    const drawn = picture.nodes.filter((each) => each.kind === "service").map((each) => each.id);
    const missing = new Set(drawn.filter((name) => !this.known.has(name)));
    for (const service of missing.size ? await this.services(missing) : []) {
      if (missing.has(service.serviceId)) this.known.set(service.serviceId, service);
    }
    if (!this.signal.aborted && this.paths.length) this.fill();
  }

  /** Each but the first is a callee of the one before it. @param {Set<string>} names */
  async services(names) {
    const first = this.paths[0].serviceIds[0];
    const callers = new Map();
    for (const { serviceIds } of this.paths) {
      serviceIds.slice(1).forEach((name, at) => names.has(name) && callers.set(name, serviceIds[at]));
    }
    const { consistency } = this.question;
    const alone = { serviceId: first, maxServices: 1, consistency };
    try {
      const [{ center }, found] = await Promise.all([
        call("GraphService/GetNeighbourhood", alone, this.signal),
        callees(callers.values(), this.signal, consistency),
      ]);
      return [center, ...found.services];
    } catch (error) {
      // The picture is drawn without: the analysis itself has answered.
      if (error instanceof ApiError) return [];
      throw error;
    }
  }

  noPath(reverse, truncated) {
    const { sourceServiceId, targetServiceId, filter, maxHops, includeStale } = this.question;
    const isFiltered =
      maxHops || Object.values(filter || {}).some((each) => (Array.isArray(each) ? each.length : each));
    const back = format("paths", targetServiceId, { ...this.params, to: sourceServiceId, path: "" });
    const wide = format("paths", sourceServiceId, {
      to: targetServiceId,
      paths: this.params.paths,
      stale: this.params.stale,
    });
    const stale = format("paths", sourceServiceId, { ...this.params, stale: "1" });
    const other = reverse
      ? `The other way there is one, of ${counted(reverse.hops.length, "hop")}: `
      : "The other way there is none either. ";
    return [
      h(
        "div",
        { class: "empty" },
        h(
          "p",
          {},
          h("strong", {}, nameText(sourceServiceId), " does not reach ", nameText(targetServiceId), "."),
        ),
        h("p", {}, other, h("a", { href: back }, reverse ? "show it" : "Ask it")),
        isFiltered ? h("p", {}, "Filters are set: ", h("a", { href: wide }, "ask without them")) : "",
        includeStale ? "" : h("p", {}, "Stale calls are left out: ", h("a", { href: stale }, "include them")),
        truncated ? h("p", {}, "The search took too long and stopped.") : "",
      ),
    ];
  }
}

function hopRows({ serviceIds, hops }) {
  return hops.flatMap((hop, at) =>
    dependenciesOf(hop).map((dependency) => ({
      number: at + 1,
      source: serviceIds[at],
      target: serviceIds[at + 1],
      dependency,
    })),
  );
}

function hopColumns() {
  const of =
    (write) =>
    ({ dependency }) =>
      write(dependency);
  const mode = of((each) => words.mode(each.communicationMode));
  return [
    { key: "number", title: "Hop", align: "right" },
    { key: "source", title: "Caller", render: ({ source }) => serviceLink(source) },
    { key: "target", title: "Callee", render: ({ target }) => serviceLink(target) },
    { key: "mode", title: "Mode", render: mode, sort: mode },
    { key: "criticality", title: "Criticality", render: of((each) => strengthMark(each.criticality)) },
    { key: "protocol", title: "Protocol", render: of((each) => each.protocol || "–") },
    {
      key: "timeout",
      title: "Timeout",
      align: "right",
      render: of(timeoutText),
      sort: of((each) => each.timeoutMs || 0),
    },
    { key: "retries", title: "Retries", render: of(retriesText) },
    { key: "sources", title: "Source", render: of(sourcesText) },
    {
      key: "confidence",
      title: "Confidence",
      align: "right",
      render: of(confidenceText),
      sort: of(confidence),
    },
    { key: "seen", title: "Last seen", render: of(seen) },
  ];
}

function seen({ lastObservedTime, isStale }) {
  return h("span", {}, moment(lastObservedTime), isStale && " (stale)");
}

function commandOf(question) {
  const { sourceServiceId, targetServiceId, maxPaths, maxHops, filter, includeStale, effective } = question;
  const options = [
    "--max-paths",
    maxPaths,
    ...(maxHops ? ["--max-hops", maxHops] : []),
    ...filterOptions(filter, includeStale),
    ...(effective ? ["--effective"] : []),
    ...asOfOption(question),
  ];
  return commandLine(["depgraph", "paths", ...options], [sourceServiceId, targetServiceId]);
}
