// The view Drift: what is observed and not declared, the reverse, and what sources contradict each
// other about.

import { h } from "../lib/dom.js";
import { format } from "../lib/route.js";
import { commandLine } from "../lib/shell.js";
import { count, counted, words } from "../lib/words.js";
import { answered } from "../parts/answered.js";
import { copyBar } from "../parts/copy.js";
import { checkField, selectField, teamField } from "../parts/fields.js";
import { serviceLink } from "../parts/names.js";
import { picker } from "../parts/picker.js";
import { DriftSection, KINDS, requestOf } from "./drift/section.js";

const SOURCES = ["manual", "catalog", "kubernetes", "service_mesh", "otel_service_graph"];

/** @type {import("../app.js").View} */
export const view = {
  id: "drift",
  title: "Drift",
  async show({ root, route, signal }) {
    const params = { ...route.params, service: route.name };
    const copies = h("div", {});
    const tiles = h("ul", { class: "tiles" });
    const remark = h("p", { class: "soft" });
    const sections = KINDS.map((kind) => new DriftSection(kind, () => answer.look()));
    const answer = answered({
      body: h("div", {}, tiles, remark, ...sections.map((each) => each.root)),
      text: "Comparing what is declared with what is observed",
      signal,
      ask: (own) => Promise.all(sections.map((each) => each.ask(params, own))),
      show(found) {
        sections.forEach((each, place) => each.show(found[place]));
        tiles.replaceChildren(...sections.filter((each) => !each.root.hidden).map(tile));
        remark.replaceChildren(...inWords(found.find(Boolean)));
      },
      names: () => (params.service ? [params.service] : []),
      link: (name) => serviceLink(name, { view: "drift" }),
    });
    const change = async () => {
      const { service, ...rest } = params;
      // Not by location.hash: that would draw the view anew, and lose the focus.
      history.replaceState(history.state, "", format("drift", service, rest));
      sections.forEach((each) => each.restart());
      copies.replaceChildren(copyBar(copied(params)));
      await answer.look();
    };
    copies.append(copyBar(copied(params)));
    root.append(
      h("div", { class: "overview-head" }, h("h1", {}, "Drift"), copies),
      fields(params, signal, change),
      answer.place,
    );
    await answer.look();
    return { changed: answer.changed };
  },
};

function fields(params, signal, onchange) {
  const set = (key) => (value) => {
    params[key] = value;
    return onchange();
  };
  return h(
    "form",
    { class: "overview-filters", "aria-label": "Which drift", onsubmit: (event) => event.preventDefault() },
    selectField({
      label: "Kind",
      value: params.kind,
      options: [["", "all kinds"], ...KINDS.map((each) => [each.key, each.title])],
      onchange: set("kind"),
    }),
    picker({
      label: "Service",
      value: params.service,
      placeholder: "any service",
      signal,
      onpick: set("service"),
    }),
    teamField({ value: params.team, signal, onchange: set("team") }),
    selectField({
      label: "Reported by",
      value: params.source,
      options: [["", "any source"], ...SOURCES.map((each) => [each, words.source(each)])],
      onchange: set("source"),
    }),
    checkField({
      label: "stale dependencies do not count",
      checked: params.stale === "ignored",
      onchange: (isOn) => set("stale")(isOn ? "ignored" : ""),
    }),
    h("a", { class: "button small", href: format("drift") }, "Clear filters"),
  );
}

function tile(section) {
  return h(
    "li",
    {},
    h(
      "button",
      { type: "button", "data-key": section.kind.key, onclick: () => section.go() },
      h("strong", {}, count(section.total)),
      " ",
      section.kind.title.toLowerCase(),
    ),
  );
}

function inWords({
  declaredCount = 0,
  observedCount = 0,
  unknownModeCount = 0,
  unknownCriticalityCount = 0,
}) {
  const missing = [
    !Number(declaredCount) && "nothing is declared",
    !Number(observedCount) && "nothing is observed",
  ].filter(Boolean);
  const unknown = [
    Number(unknownModeCount) > 0 && `the mode of ${counted(unknownModeCount, "call")}`,
    Number(unknownCriticalityCount) > 0 && `the criticality of ${counted(unknownCriticalityCount, "call")}`,
  ].filter(Boolean);
  return [
    missing.length > 0 &&
      h("strong", {}, `There is nothing to compare with, for ${missing.join(", and ")}. `),
    `The whole graph: ${counted(declaredCount, "declared dependency", "declared dependencies")}, `,
    `${counted(observedCount, "observed one")}. `,
    unknown.length > 0 && `No source knows ${unknown.join(", or ")}.`,
  ].filter(Boolean);
}

function copied(params) {
  const kind = KINDS.find((each) => each.key === params.kind);
  const options = [
    ...(kind ? ["--kind", kind.key] : []),
    ...(params.team ? ["--team", params.team] : []),
    ...(params.source ? ["--source", params.source] : []),
    ...(params.stale === "ignored" ? ["--ignore-stale"] : []),
  ];
  return {
    command: commandLine(["depgraph", "drift", ...options], params.service ? [params.service] : []),
    method: "AnalysisService/ListDrift",
    request: requestOf(params, kind ? kind.kind : "DRIFT_KIND_UNSPECIFIED"),
  };
}
