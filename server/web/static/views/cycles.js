// The view Cycles: alerts about services that call one another in a cycle, and one of them.

import { call } from "../lib/api.js";
import { h } from "../lib/dom.js";
import { format } from "../lib/route.js";
import { commandLine } from "../lib/shell.js";
import { count } from "../lib/words.js";
import { asking, refill } from "../parts/asking.js";
import { copyBar } from "../parts/copy.js";
import { failure, waiting } from "../parts/failure.js";
import { moment } from "../parts/moment.js";
import { cycleText, nameText } from "../parts/names.js";
import { picker } from "../parts/picker.js";
import { table } from "../parts/table.js";
import { oneAlert } from "./cycles/alert.js";
import { AGAIN_MS, isGone, statusMark } from "./cycles/parts.js";

const PAGE = 200;
const STATUSES = {
  live: ["OPEN", "ACKNOWLEDGED"],
  open: ["OPEN"],
  acknowledged: ["ACKNOWLEDGED"],
  resolved: ["RESOLVED"],
};
const EMPTY = {
  live: "No cycles: nothing calls itself round.",
  open: "No open alerts: every cycle there is has been acknowledged or resolved.",
  acknowledged: "No acknowledged alerts.",
  resolved: "No resolved alerts.",
};

/** @type {import("../app.js").View} */
export const view = {
  id: "cycles",
  title: "Cycles",
  show(context) {
    return context.route.name ? oneAlert(context) : alerts(context);
  },
};

async function alerts({ root, route, signal }) {
  const params = { ...route.params };
  const status = params.status in STATUSES ? params.status : "live";
  const service = params.service || "";
  const place = h("div", { class: "answer" }, waiting("Looking for alerts …"));
  const page = h("div", { class: "analysis" }, h("h1", {}, "Cycles"), tabs(status, service), place);
  root.append(page);
  const list = { pages: 1, shown: null };
  const look = asking({
    place,
    signal,
    every: AGAIN_MS,
    ask: (own) => answerOf(status, service, list.pages, own),
    show: (answer) => {
      list.shown ||= shownIn(place, status, service, () => {
        list.pages += 1;
        look.look();
      });
      list.shown(answer);
    },
    fail: (error) => {
      list.shown = null;
      return failure(error, { names: [service].filter(Boolean), signal });
    },
  });
  page.querySelector(".asked").append(
    picker({
      label: "With this service",
      value: service,
      onpick: (name) => (location.hash = format("cycles", "", { ...params, service: name })),
      signal,
    }),
  );
  await look.look();
  return look;
}

function tabs(status, service) {
  const link = (each) =>
    h(
      "a",
      {
        href: format("cycles", "", { status: each === "live" ? "" : each, service }),
        "aria-current": each === status ? "page" : null,
      },
      each === "live" ? "open and acknowledged" : each,
    );
  return h(
    "div",
    { class: "asked" },
    h("nav", { class: "tabs", "aria-label": "Status of alerts" }, Object.keys(STATUSES).map(link)),
  );
}

/** The first pages of each status; alerts change hands between two pages, so they are told apart by id. */
async function answerOf(status, service, pages, signal) {
  const found = new Map();
  let isAll = true;
  for (const each of STATUSES[status]) {
    let pageToken = "";
    for (let page = 0; page < pages; page += 1) {
      const request = { status: `ALERT_STATUS_${each}`, serviceId: service, pageSize: PAGE, pageToken };
      const answer = await call("AlertService/ListAlerts", request, signal);
      for (const alert of answer.alerts || []) found.set(alert.id, alert);
      pageToken = answer.nextPageToken || "";
      if (!pageToken) break;
    }
    isAll &&= !pageToken;
  }
  const alerts = [...found.values()].sort((a, b) => Date.parse(b.detectTime) - Date.parse(a.detectTime));
  return { alerts, isAll };
}

function shownIn(place, status, service, onmore) {
  const among = service
    ? h(
        "p",
        {},
        "Alerts with ",
        nameText(service),
        ". ",
        h("a", { href: format("cycles", "", { status }) }, "All alerts"),
      )
    : "";
  const list = table({
    caption: "Alerts, latest first",
    columns: columns(),
    rows: [],
    empty: empty(status, service),
  });
  const more = h("div", {});
  const request = {
    status: STATUSES[status].length === 1 ? `ALERT_STATUS_${STATUSES[status][0]}` : undefined,
    serviceId: service || undefined,
  };
  place.replaceChildren(
    copyBar({ command: commandOf(status, service), method: "AlertService/ListAlerts", request }),
    among,
    list,
    more,
  );
  return ({ alerts: rows, isAll }) => {
    list.update(rows);
    const button = h("button", { type: "button", "data-key": "more", onclick: onmore }, "Load more alerts");
    refill(more, isAll ? "" : h("p", {}, `${count(rows.length)} alerts are loaded. `, button));
  };
}

function empty(status, service) {
  return service ? `${EMPTY[status].split(":")[0].replace(/\.$/, "")} with this service.` : EMPTY[status];
}

function columns() {
  const open = ({ id, cyclePath }) =>
    h(
      "a",
      { href: format("cycles", id), "aria-label": `Alert ${id.slice(0, 8)}: ${cyclePath.join(", ")}` },
      cycleText(cyclePath),
    );
  return [
    { key: "cycle", title: "Cycle", render: open, sort: ({ cyclePath }) => cyclePath.join(" ") },
    {
      key: "status",
      title: "Status",
      render: (each) => h("span", {}, statusMark(each.status), isGone(each) ? " gone" : ""),
      sort: (each) => each.status,
    },
    {
      key: "size",
      title: "Services",
      align: "right",
      render: ({ size }) => (size ? count(size) : "–"),
      sort: ({ size }) => size || 0,
    },
    {
      key: "detectTime",
      title: "Since",
      render: ({ detectTime }) => moment(detectTime),
      sort: ({ detectTime }) => Date.parse(detectTime),
    },
    {
      key: "who",
      title: "Looked after by",
      render: ({ acknowledgedBy }) => (acknowledgedBy ? nameText(acknowledgedBy) : "–"),
      sort: ({ acknowledgedBy }) => acknowledgedBy || "",
    },
  ];
}

function commandOf(status, service) {
  const options = [
    ...(status === "live" ? [] : ["--status", status]),
    ...(service ? [`--service=${service}`] : []),
  ];
  return commandLine(["depgraph", "alerts", "list", ...options]);
}
