// Impact: how the failure reaches one service, drawn at the foot of the view.

import { call } from "../../lib/api.js";
import { h } from "../../lib/dom.js";
import { format } from "../../lib/route.js";
import { counted } from "../../lib/words.js";
import { draw } from "../../graph/draw.js";
import { asking } from "../../parts/asking.js";
import { atLeast, dependencyText, strengthMark, strengthRank } from "../../parts/calls.js";
import { failure, waiting } from "../../parts/failure.js";
import { nameText, pathText } from "../../parts/names.js";
import { dependenciesOf, pathsPicture } from "../../parts/paths_picture.js";

/**
 * Show the paths by which a failure reaches a service: a strongest one, and a shortest one if that is
 * another.
 *
 * @param {Object} options
 * @param {any} options.found ImpactedService
 * @param {any} options.question request of AnalyzeImpact
 * @param {() => Map<string, any>} options.known services by name
 * @param {AbortSignal} options.signal aborted when the drawer closes
 * @param {() => void} options.onclose
 * @param {(name: string) => void} options.onopen a service of the picture was opened
 * @returns {HTMLElement & {changed: () => void, refresh: () => void}} `refresh`: more services are known
 */
export function chosenService({ found, question, known, signal, onclose, onopen }) {
  const place = h("div", { class: "chosen-paths" }, waiting("Looking for the path …"));
  const name = found.serviceId;
  let answer = null;
  const refresh = () => answer && place.replaceChildren(...pathsShown(answer, found, known(), onopen));
  const look = asking({
    place,
    signal,
    ask: (own) => pathsOf(found, question, own),
    show: (latest) => {
      answer = latest;
      refresh();
    },
    fail: (error) => failure(error),
  });
  look.look();
  const drawer = h(
    "section",
    { class: "chosen", "aria-labelledby": "chosen-title", tabindex: "0" },
    h(
      "header",
      {},
      h("h2", { id: "chosen-title" }, "How it reaches ", nameText(name)),
      h(
        "nav",
        { "aria-label": "This service" },
        h("a", { href: format("focus", name) }, "Focus"),
        h("a", { href: format("impact", name) }, "Its own impact"),
        h("a", { href: format("paths", name, { to: question.serviceId, paths: 5 }) }, "All paths"),
      ),
      h("button", { type: "button", onclick: onclose }, "Close"),
    ),
    place,
  );
  drawer.addEventListener("keydown", (event) => event.key === "Escape" && onclose());
  return Object.assign(drawer, { changed: look.changed, refresh });
}

async function pathsOf(found, question, signal) {
  const request = {
    sourceServiceId: found.serviceId,
    targetServiceId: question.serviceId,
    maxHops: question.maxHops,
    includeStale: question.includeStale,
    effective: question.effective,
    filter: question.filter,
    consistency: question.consistency,
  };
  const strong = { ...request, filter: { ...question.filter, criticalities: strongEnough(found, question) } };
  const answers = await Promise.all(
    [strong, request].map((each) => call("AnalysisService/FindPaths", each, signal)),
  );
  const [strongest, shortest] = answers.map(({ paths = [] }) => paths[0]);
  const isOne = strongest && shortest && strongest.serviceIds.join("\0") === shortest.serviceIds.join("\0");
  return { paths: [strongest, isOne ? null : shortest].filter(Boolean), isOne };
}

// Without weaker dependencies than the weakest of the best path, only best paths are left.
function strongEnough({ weakestCriticality }, { filter }) {
  const asked = filter?.criticalities || [];
  const strong = atLeast(weakestCriticality);
  return asked.length ? strong.filter((each) => asked.includes(each)) : strong;
}

function pathsShown({ paths, isOne }, found, known, onopen) {
  if (!paths.length) return [h("p", { class: "empty" }, "It is not reached any more.")];
  const canvas = h("div", { class: "canvas canvas-low" });
  const { picture } = pathsPicture(paths, 0, known);
  const label = `Paths from ${found.serviceId} to ${paths[0].serviceIds.at(-1)}`;
  draw(canvas, picture, { label, onopen: (node) => node.kind === "service" && onopen(node.id) });
  const [strongest, shortest] = paths;
  return [
    canvas,
    h(
      "dl",
      { class: "dl" },
      h("dt", {}, isOne ? "Strongest and shortest path" : "Strongest path"),
      h("dd", {}, pathText(strongest.serviceIds), ` ${counted(strongest.hops.length, "hop")}`),
      h("dt", {}, "Weakest link"),
      h("dd", {}, weakestLink(strongest, found.weakestCriticality)),
      shortest && h("dt", {}, "Shortest path"),
      shortest && h("dd", {}, pathText(shortest.serviceIds), ` ${counted(shortest.hops.length, "hop")}`),
    ),
  ];
}

function weakestLink({ serviceIds, hops }, weakest) {
  const strongest = (hop) => Math.min(...dependenciesOf(hop).map((each) => strengthRank(each.criticality)));
  const place = hops.findIndex((hop) => strongest(hop) === strengthRank(weakest));
  if (place < 0) return strengthMark(weakest);
  return h(
    "span",
    {},
    strengthMark(weakest),
    " ",
    pathText(serviceIds.slice(place, place + 2)),
    h("span", { class: "soft" }, ` ${dependenciesOf(hops[place]).map(dependencyText).join(" + ")}`),
  );
}
