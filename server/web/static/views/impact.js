// The view Impact: who is hit when a service fails, how badly, and on which path.

import { stream } from "../lib/api.js";
import { h } from "../lib/dom.js";
import { format } from "../lib/route.js";
import { pastOf } from "../lib/times.js";
import { asking } from "../parts/asking.js";
import { beginnings, failure, waiting } from "../parts/failure.js";
import { numberField } from "../parts/fields.js";
import { filterOf, filters } from "../parts/filters.js";
import { serviceLink } from "../parts/names.js";
import { picker } from "../parts/picker.js";
import { thenNote } from "../parts/then.js";
import { ImpactAnswer } from "./impact/answer.js";

const FILTERS = ["modes", "criticalities", "stale", "confidence"];
// Of the question; what else the address holds says how the answer is looked at.
const ASKED = [...FILTERS, "hops"];
// So many services are read, nearest first, until all are asked for.
const FIRST = 5_000;
// All paths together can be far larger than the graph: reading ends after so many names.
const MAX_NAMES = 2_000_000;

/** @type {import("../app.js").View} */
export const view = {
  id: "impact",
  title: "Impact",
  async show({ root, route, signal }) {
    const pick = picker({
      label: "Service that fails",
      value: route.name,
      onpick: (name) => (location.hash = format("impact", name, questionOf(route.params))),
      signal,
    });
    const asked = h("div", { class: "asked" }, pick);
    const page = h("div", { class: "analysis" }, h("h1", {}, "Impact"), asked);
    root.append(page);
    if (route.name) return impact(route, signal, page, asked);
    page.append(
      h("p", {}, "Who is hit when a service fails: its callers, their callers, and so on. Pick the service."),
      await beginnings((name) => serviceLink(name, { view: "impact" }), signal),
    );
    return {};
  },
};

async function impact({ name, params: given }, signal, page, asked) {
  const params = { ...given };
  const place = h("div", { class: "answer" });
  const then = thenNote({ view: "impact", name, params });
  let shown = null;
  let last = null;
  let most = FIRST;
  const look = asking({ place, signal, ask, show, fail });
  asked.append(
    numberField({
      label: "Hops at most",
      value: params.hops,
      onchange: (hops) => change({ ...params, hops }),
    }),
    filters({ params, fields: FILTERS, onchange: (changed) => change({ ...changed, hops: params.hops }) }),
  );
  page.append(then.element, place);

  async function ask(own, isQuiet) {
    const request = requestOf(name, params);
    const summary = await summaryOf(request, own);
    // All services of a large answer are read again only if their counts have changed.
    if (isQuiet && most > FIRST && JSON.stringify(summary) === JSON.stringify(last.summary)) return last;
    // A quiet look shows the whole answer at once: rows must not come and go.
    const showPart = isQuiet ? () => {} : show;
    if (!shown) showPart({ summary, services: [] });
    return answerOf(request, summary, most, own, showPart);
  }

  function show(answer) {
    last = answer;
    if (answer.freshness) then.found(answer.freshness);
    shown ||= new ImpactAnswer({ place, params, question: requestOf(name, params), signal, onall: readAll });
    shown.update(answer);
  }

  function readAll() {
    most = Infinity;
    void look.look();
  }

  function fail(error) {
    forget();
    const link = (_, found) => serviceLink(found, { view: "impact", params: questionOf(params) });
    return failure(error, { names: [name], link, signal });
  }

  function change(changed) {
    for (const key of ASKED) params[key] = changed[key];
    history.replaceState(history.state, "", format("impact", name, params));
    then.at({ view: "impact", name, params });
    forget();
    return look.look();
  }

  function forget() {
    shown?.end();
    shown = null;
    most = FIRST;
    place.replaceChildren(waiting("Asking who is hit …"));
  }

  forget();
  await look.look();
  // The past stays as it was.
  if (params.as_of) return {};
  return {
    changed() {
      look.changed();
      shown?.changed();
    },
  };
}

function questionOf(params) {
  return Object.fromEntries(ASKED.map((key) => [key, params[key]]));
}

function requestOf(serviceId, params) {
  // Hops of a whole analysis are bounded otherwise than those of a picture.
  const { filter, includeStale } = filterOf({ ...params, hops: "" });
  return { serviceId, maxHops: Number(params.hops) || 0, includeStale, filter, ...pastOf(params) };
}

async function summaryOf(request, signal) {
  for await (const part of stream(
    "AnalysisService/AnalyzeImpact",
    { ...request, summaryOnly: true },
    signal,
  )) {
    return part.summary || {};
  }
  return {};
}

/** Read the services; `onpart` shows what has come so far. */
async function answerOf(request, counted, most, signal, onpart) {
  const answer = { summary: counted, services: [] };
  let names = 0;
  let shown = 0;
  for await (const part of stream("AnalysisService/AnalyzeImpact", request, signal)) {
    // Of the snapshot that the services come from.
    if (part.summary) answer.summary = part.summary;
    if (part.freshness) answer.freshness = part.freshness;
    for (const service of part.services || []) {
      if (answer.services.length >= most || names > MAX_NAMES) {
        // Who leaves the stream spares the server the rest.
        return { ...answer, isCut: true, isAtLimit: names > MAX_NAMES };
      }
      answer.services.push(service);
      names += service.path.length;
    }
    // The first part at once; then seldom, as each showing costs as much as the list is long.
    const isWhole = answer.services.length >= (answer.summary.serviceCount || 0);
    if (!isWhole && most > FIRST && answer.services.length > 4 * shown) {
      shown = answer.services.length;
      onpart({ ...answer });
    }
  }
  return { ...answer, isWhole: true };
}
