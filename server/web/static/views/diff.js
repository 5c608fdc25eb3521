// The view Difference: what differs between two times, drawn and listed.

import { stream } from "../lib/api.js";
import { h } from "../lib/dom.js";
import { format } from "../lib/route.js";
import { commandLine } from "../lib/shell.js";
import { instant } from "../lib/times.js";
import { answered } from "../parts/answered.js";
import { filterOptions } from "../parts/calls.js";
import { copyBar } from "../parts/copy.js";
import { filterOf, filters } from "../parts/filters.js";
import { isBeyondHistory } from "../parts/no_history.js";
import { SINCE, timeSpan } from "../parts/time_span.js";
import { DiffPicture } from "./diff/picture.js";
import { DiffLists } from "./diff/lists.js";
import { summary } from "./diff/summary.js";

const METHOD = "HistoryService/DiffGraph";
const FILTERS = ["modes", "criticalities", "stale", "confidence"];
const PARTS = ["services", "dependencies", "aliases", "cycleChanges", "impactChanges"];

/** @type {import("../app.js").View} */
export const view = {
  id: "diff",
  title: "Difference",
  async show({ root, route, signal }) {
    const params = { ...route.params };
    const request = requestOf(params);
    const head = h("div", { class: "diff-summary" });
    const picture = new DiffPicture(open);
    const lists = new DiffLists();
    const body = h(
      "div",
      {},
      head,
      h("div", { class: "diff-columns" }, picture.element, lists.element),
      lists.below,
    );
    const question = answered({
      body,
      text: "Comparing the two times",
      signal,
      ask: (own) => answerOf(params, own),
      show: (answer) => {
        head.replaceChildren(...summary(answer));
        lists.show(answer);
        picture.show(answer);
      },
    });
    root.append(
      h(
        "div",
        { class: "analysis" },
        h("h1", {}, "Difference between two times"),
        controls(params),
        copyBar({ command: commandOf(params, request), method: METHOD, request }),
        question.place,
      ),
    );
    await question.look();
    return { changed: () => request.to || question.changed() };
  },
};

function open(name, state) {
  location.hash = format("focus", name, { as_of: state?.asOfTime });
}

function controls(params) {
  const go = (changed) => (location.hash = format("diff", "", { ...params, ...changed }));
  const change = ({ since = params.from, until = params.to }) =>
    go({ from: since, to: until, to_revision: "" });
  return h(
    "div",
    { class: "asked" },
    timeSpan({
      since: params.from || SINCE,
      until: params.to,
      isUntilElse: Boolean(params.to_revision),
      onchange: change,
    }),
    filters({ params, fields: FILTERS, onchange: go }),
  );
}

function requestOf(params) {
  const { from = SINCE, to, to_revision: revision } = params;
  const { filter, includeStale } = filterOf({ ...params, hops: "", direction: "" });
  return {
    from: { time: instant("from", from) },
    ...(revision ? { to: { revision } } : to ? { to: { time: instant("to", to) } } : {}),
    filter,
    includeStale,
  };
}

function commandOf({ from = SINCE, to, to_revision: revision }, { filter, includeStale }) {
  const later = revision || to;
  const options = filterOptions(filter, includeStale);
  return commandLine(["depgraph", "diff", ...options], later ? [from, later] : [from]);
}

/** Ask; where the history is younger than what is asked for by default, for all of it. */
async function answerOf(params, signal) {
  const request = requestOf(params);
  try {
    return await difference(request, signal);
  } catch (error) {
    if (params.from || !isBeyondHistory(error) || !error.metadata.oldest_time) throw error;
    return difference({ ...request, from: { time: error.metadata.oldest_time } }, signal);
  }
}

/** Read all parts of the answer. */
async function difference(request, signal) {
  const whole = { freshness: {}, impactChangeCount: 0 };
  for (const each of PARTS) whole[each] = [];
  for await (const part of stream(METHOD, request, signal)) {
    for (const each of PARTS) whole[each].push(...(part[each] || []));
    whole.impactChangeCount = part.impactChangeCount || whole.impactChangeCount;
    whole.impactsTruncated = part.impactsTruncated || whole.impactsTruncated;
    // Where an answer is quietly asked for again, another state without another difference is no news.
    if (part.from) whole.freshness = { from: part.from, to: part.to };
  }
  return whole;
}
