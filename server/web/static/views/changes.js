// The view Changes: what changed near a service or everywhere, when, and by whom.

import { h } from "../lib/dom.js";
import { format } from "../lib/route.js";
import { commandLine } from "../lib/shell.js";
import { instant } from "../lib/times.js";
import { answered } from "../parts/answered.js";
import { copyBar } from "../parts/copy.js";
import { numberField } from "../parts/fields.js";
import { listed, METHOD } from "../parts/listed_changes.js";
import { serviceLink } from "../parts/names.js";
import { picker } from "../parts/picker.js";
import { SINCE, timeSpan } from "../parts/time_span.js";
import { ChangesTable } from "./changes/rows.js";
import { summary } from "./changes/summary.js";

const HOPS = "2";
const PAGE = 100;

/** @type {import("../app.js").View} */
export const view = {
  id: "changes",
  title: "Changes",
  async show({ root, route, signal }) {
    const { name } = route;
    const params = { ...route.params };
    const request = requestOf(name, params);
    let most = PAGE;
    const body = h("div", {});
    const head = h("div", { class: "changes-summary" });
    const rows = new ChangesTable({ name, signal, onmore: () => void more() });
    body.append(head, rows.element);
    const question = answered({
      body,
      text: "Asking what changed",
      signal,
      ask: (own) => listed(requestOf(name, params), most, own),
      show: (answer) => {
        head.replaceChildren(...summary(answer, { name, params }));
        rows.show(answer);
      },
      names: () => (name ? [name] : []),
      link: (found) => serviceLink(found, { view: "changes", params }),
    });
    root.append(
      h(
        "div",
        { class: "analysis" },
        h("h1", {}, "Changes", name && [" near ", h("bdi", {}, name)]),
        controls(name, params, signal),
        copyBar({ command: commandOf(name, params), method: METHOD, request }),
        question.place,
      ),
    );
    async function more() {
      most += PAGE;
      await question.look();
    }
    await question.look();
    return { changed: () => params.until || question.changed() };
  },
};

function controls(name, params, signal) {
  const go = (changed, other = name) =>
    (location.hash = format("changes", other, { ...params, ...changed }));
  return h(
    "div",
    { class: "asked" },
    picker({ label: "Near the service; empty = all", value: name, onpick: (other) => go({}, other), signal }),
    name && h("a", { class: "button", href: format("changes", "", params) }, "All services"),
    timeSpan({ since: params.since || (params.until ? "" : SINCE), until: params.until, onchange: go }),
    name &&
      numberField({
        label: "Hops at most",
        value: params.hops || HOPS,
        min: 0,
        max: 10,
        onchange: (hops) => go({ hops }),
      }),
  );
}

function requestOf(serviceId, { since, until, hops }) {
  return {
    ...(serviceId ? { serviceId, maxHops: Number(hops || HOPS) } : {}),
    // Without one it is the last hour, or what there is of it.
    ...(since ? { since: instant("since", since) } : {}),
    ...(until ? { until: instant("until", until) } : {}),
    pageSize: PAGE,
  };
}

function commandOf(name, { since, until, hops }) {
  const given = [...(since ? ["--since", since] : []), ...(until ? ["--until", until] : [])];
  if (name) given.push("--hops", hops || HOPS);
  return commandLine(["depgraph", "changes", ...given], name ? [name] : []);
}
