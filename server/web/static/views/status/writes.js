// The account of writes: who wrote what through the server.

import { call } from "../../lib/api.js";
import { h } from "../../lib/dom.js";
import { count, counted } from "../../lib/words.js";
import { answered } from "../../parts/answered.js";
import { copyBar } from "../../parts/copy.js";
import { moment } from "../../parts/moment.js";
import { nameText } from "../../parts/names.js";
import { table } from "../../parts/table.js";

const PAGE = 100;
const COUNTS = [
  ["services", "service"],
  ["dependencies", "dependency"],
  ["alerts", "alert"],
];
const COLUMNS = [
  {
    key: "writeTime",
    title: "When",
    render: (row) => moment(row.writeTime),
    sort: (row) => Date.parse(row.writeTime),
  },
  { key: "principal", title: "Who", render: who, sort: (row) => row.principal || "" },
  { key: "method", title: "Method", render: method, sort: method },
  { key: "counts", title: "What changed", render: (row) => changes(row.counts) },
];

/**
 * The part of the page that shows it.
 *
 * @param {AbortSignal} signal
 */
export function writesPart(signal) {
  let pages = 1;
  const rows = table({
    caption: "Calls that wrote through the server, newest first",
    columns: COLUMNS,
    rows: [],
    empty: "Nobody has written through the server yet.",
  });
  const rest = h("p", { class: "soft" });
  const older = () => {
    pages += 1;
    return part.look();
  };
  const more = h("button", { type: "button", class: "small", onclick: older }, "Read older ones");
  const part = answered({
    body: h(
      "section",
      { "aria-label": "Account of writes" },
      h(
        "div",
        { class: "overview-head" },
        h("h2", {}, "Who wrote"),
        copyBar({ command: "depgraph writes", method: "AccessService/ListWrites", request: {} }),
      ),
      rows,
      rest,
      h("p", { class: "soft" }, "Changes by plain SQL, and what the server writes by itself, are not here."),
    ),
    text: "Reading the account of writes",
    every: 10_000,
    signal,
    ask: (own) => readWrites(pages, own),
    show({ writes, nextPageToken }) {
      rows.update(writes);
      rest.hidden = !nextPageToken;
      rest.replaceChildren(`The last ${count(writes.length)} are read. `, more);
    },
  });
  return part;
}

async function readWrites(pages, signal) {
  const whole = { writes: [], nextPageToken: "" };
  for (let page = 0; page < pages; page++) {
    const request = { pageSize: PAGE, pageToken: whole.nextPageToken };
    const answer = await call("AccessService/ListWrites", request, signal);
    whole.writes.push(...(answer.writes || []));
    whole.nextPageToken = answer.nextPageToken || "";
    if (!whole.nextPageToken) break;
  }
  return whole;
}

function who({ principal }) {
  return principal ? nameText(principal) : h("span", { class: "soft" }, "no identity");
}

function method(write) {
  return write.method.replace(/^depgraph\.v1\./, "");
}

function changes(counts = {}) {
  const parts = COUNTS.flatMap(([key, word]) =>
    ["Created", "Updated", "Deleted"].flatMap((what) => {
      const number = Number(counts[`${key}${what}`] || 0);
      return number ? [`${counted(number, word)} ${what.toLowerCase()}`] : [];
    }),
  );
  return parts.join(", ") || "nothing";
}
