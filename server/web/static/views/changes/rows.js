// The list of changes, with the ways to the graph just before and just after each.

import { ApiError, stream } from "../../lib/api.js";
import { h } from "../../lib/dom.js";
import { format } from "../../lib/route.js";
import { iso, justBefore, second } from "../../lib/times.js";
import { changeMark, changeWord, details, subject } from "../../parts/changes.js";
import { moment } from "../../parts/moment.js";
import { nameText, serviceLink } from "../../parts/names.js";
import { table } from "../../parts/table.js";

const MARKED_MS = 20_000;

export class ChangesTable {
  /**
   * @param {{name: string, signal: AbortSignal, onmore: () => void}} options name of the service that they
   *   are near to; "" = all
   */
  constructor({ name, signal, onmore }) {
    this.name = name;
    this.signal = signal;
    this.rows = table({
      caption: "Changes",
      isCaptionUnseen: true,
      columns: this.columns(),
      rows: [],
      empty: "Nothing changed in this time.",
    });
    this.more = h("button", { type: "button", hidden: true, onclick: onmore }, "Read more");
    this.element = h("div", { class: "changes" }, this.rows, this.more);
  }

  show({ changes, isCut }) {
    this.rows.update(changes);
    this.more.hidden = !isCut;
  }

  columns() {
    const hopsOf = (row) => row.hops || 0;
    const hops = { key: "hops", title: "Hops", align: "right", render: hopsOf, sort: hopsOf };
    const kindOf = (row) => changeWord((row.service || row.dependency || row.alias).kind);
    return [
      { key: "time", title: "When", render: when, sort: (row) => Date.parse(row.time) },
      {
        key: "who",
        title: "Who",
        render: (row) => (row.who ? nameText(row.who) : h("span", { class: "soft" }, "not known")),
        sort: (row) => row.who || "",
      },
      ...(this.name ? [hops] : []),
      { key: "change", title: "Change", render: (row) => changeMark(kindOf(row)), sort: kindOf },
      { key: "what", title: "What", render: (row) => subject(row, (name) => this.link(name)) },
      { key: "details", title: "Details", render: details },
      { key: "look", title: "Look at it", render: (row) => this.ways(row) },
    ];
  }

  link(name) {
    return serviceLink(name, { view: "changes" });
  }

  // The service in the middle of the picture: the one asked about, or the one that changed.
  ways(row) {
    const name = this.name || centerOf(row);
    const before = justBefore(row.time);
    const onclick = () => void this.after(row, name, after);
    const title = (when) => `${name} just ${when} this change`;
    const after = h("button", { type: "button", class: "link", title: title("after"), onclick }, "After");
    const difference = { from: before, to_revision: row.revision };
    return h(
      "span",
      { class: "row ways" },
      h("a", { href: format("focus", name, { as_of: before }), title: title("before") }, "Before"),
      after,
      row.revision && h("a", { href: format("diff", "", difference) }, "Difference"),
    );
  }

  /** Only the server knows which is the first state that holds the change. */
  async after(row, name, button) {
    let asOf = "";
    // It is there with the next mark, within ten seconds.
    Object.assign(button, { textContent: "Waiting …", disabled: true });
    try {
      asOf = await firstStateWith(row, this.signal);
    } catch (error) {
      if (!(error instanceof ApiError)) throw error;
      return button.replaceWith(h("span", { role: "alert" }, error.message));
    }
    location.hash = format("focus", name, { as_of: asOf });
  }
}

async function firstStateWith({ time, revision }, signal) {
  // Without a revision the next mark will have it: they are ten seconds apart.
  if (!revision) return iso(Math.min(Date.now(), Date.parse(time) + MARKED_MS));
  const request = { from: { time: justBefore(time) }, to: { revision }, maxImpacts: 1 };
  for await (const part of stream("HistoryService/DiffGraph", request, signal)) {
    if (part.to) return part.to.asOfTime || "";
  }
  return "";
}

function when(row) {
  const age = h("span", { class: "soft" }, moment(row.time));
  return h("span", { class: "when" }, second(row.time), h("br"), age);
}

function centerOf({ service, dependency, alias }) {
  if (dependency) return (dependency.after || dependency.before).sourceServiceId;
  if (alias) return alias.after || alias.before;
  return (service.after || service.before).serviceId;
}
