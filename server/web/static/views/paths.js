// The view Paths: how one service calls another, and what is wrong with timeouts and retries on the way.

import { call } from "../lib/api.js";
import { h } from "../lib/dom.js";
import { format } from "../lib/route.js";
import { pastOf } from "../lib/times.js";
import { asking } from "../parts/asking.js";
import { beginnings, failure, waiting } from "../parts/failure.js";
import { checkField, numberField } from "../parts/fields.js";
import { filterOf, filters } from "../parts/filters.js";
import { serviceLink } from "../parts/names.js";
import { picker } from "../parts/picker.js";
import { thenNote } from "../parts/then.js";
import { PathsAnswer } from "./paths/answer.js";
import { auditSection } from "./paths/audit.js";

const FILTERS = ["modes", "criticalities", "stale", "confidence"];
const ASKED = [...FILTERS, "paths", "hops", "sources"];
const DEFAULT_PATHS = 5;
const MAX_PATHS = 100;

/** @type {import("../app.js").View} */
export const view = {
  id: "paths",
  title: "Paths",
  async show({ root, route, signal }) {
    const { name: from, params } = route;
    const go = (source, target) =>
      (location.hash = format("paths", source, { ...params, to: target, path: "" }));
    const asked = h(
      "div",
      { class: "asked" },
      picker({ label: "From: the first caller", value: from, onpick: (name) => go(name, params.to), signal }),
      picker({
        label: "To: the last callee",
        value: params.to || "",
        onpick: (name) => go(from, name),
        signal,
      }),
    );
    const page = h("div", { class: "analysis" }, h("h1", {}, "Paths"), asked);
    root.append(page);
    if (!from || !params.to) await begin(page, from, params, signal);
    const found = from && params.to ? await paths(route, signal, page, asked) : null;
    const audit = from ? auditSection({ serviceId: from, past: pastOf(params), signal }) : null;
    if (audit) page.append(audit.element);
    // The past stays as it was.
    if (params.as_of) return {};
    return {
      changed() {
        found?.changed();
        audit?.changed();
      },
    };
  },
};

async function begin(page, from, params, signal) {
  const next = (name) => {
    const [source, target] = from ? [from, name] : [name, params.to];
    return serviceLink(name, {
      view: "paths",
      params: { ...params, to: target },
      href: format("paths", source, { ...params, to: target }),
    });
  };
  page.append(
    h(
      "p",
      {},
      from ? "Pick the service that is called in the end." : "How does one service call another? Pick both.",
    ),
    await beginnings(next, signal, from),
  );
}

async function paths({ name: from, params: given }, signal, page, asked) {
  const params = { ...given };
  const place = h("div", { class: "answer" });
  const then = thenNote({ view: "paths", name: from, params });
  let shown = null;
  const look = asking({ place, signal, ask, show, fail });
  asked.append(
    numberField({
      label: "Paths at most",
      value: params.paths || String(DEFAULT_PATHS),
      max: MAX_PATHS,
      onchange: (count) => change({ ...params, paths: count }),
    }),
    numberField({
      label: "Hops at most",
      value: params.hops,
      onchange: (hops) => change({ ...params, hops }),
    }),
    checkField({
      label: "What each source says",
      checked: params.sources === "each",
      onchange: (isOn) => change({ ...params, sources: isOn ? "each" : "" }),
    }),
    filters({
      params,
      fields: FILTERS,
      onchange: (changed) => change({ ...params, ...filtersOf(changed) }),
    }),
  );
  page.append(then.element, place);

  function ask(own) {
    return answerOf(requestOf(from, params), own);
  }

  function show(answer) {
    then.found(answer.freshness);
    shown ||= new PathsAnswer({ place, params, question: requestOf(from, params), signal });
    shown.update(answer);
  }

  function fail(error) {
    forget();
    const link = (missing, found) => {
      const [source, target] = missing === from ? [found, params.to] : [from, found];
      return serviceLink(found, { href: format("paths", source, { ...params, to: target }) });
    };
    return failure(error, { names: [...new Set([from, params.to])], link, signal });
  }

  function change(changed) {
    for (const key of ASKED) params[key] = changed[key];
    params.path = "";
    history.replaceState(history.state, "", format("paths", from, params));
    then.at({ view: "paths", name: from, params });
    forget();
    return look.look();
  }

  function forget() {
    shown?.end();
    shown = null;
    place.replaceChildren(waiting("Looking for paths …"));
  }

  forget();
  await look.look();
  return look;
}

// The filters know the other parameters as they were at first.
function filtersOf(changed) {
  return Object.fromEntries(FILTERS.map((key) => [key, changed[key]]));
}

function requestOf(sourceServiceId, params) {
  // Hops of a whole analysis are bounded otherwise than those of a picture.
  const { filter, includeStale } = filterOf({ ...params, hops: "" });
  const maxPaths = Math.min(Number(params.paths) || DEFAULT_PATHS, MAX_PATHS);
  return {
    sourceServiceId,
    targetServiceId: params.to,
    maxPaths,
    maxHops: Number(params.hops) || 0,
    includeStale,
    effective: params.sources !== "each",
    filter,
    ...pastOf(params),
  };
}

/** Ask; where there is no path, ask for the other direction too, to say whether that has one. */
async function answerOf(request, signal) {
  const answer = await call("AnalysisService/FindPaths", request, signal);
  const { paths: found = [], truncated, freshness } = answer;
  if (found.length) return { paths: found, truncated, freshness };
  const { sourceServiceId, targetServiceId } = request;
  const back = {
    ...request,
    sourceServiceId: targetServiceId,
    targetServiceId: sourceServiceId,
    maxPaths: 1,
  };
  const reverse = await call("AnalysisService/FindPaths", back, signal);
  return { paths: [], truncated, freshness, reverse: reverse.paths?.[0] || null };
}
