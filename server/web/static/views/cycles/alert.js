// Cycles: one alert, its cycle, its members, what happened to it, and how it can end.

import { call } from "../../lib/api.js";
import { h } from "../../lib/dom.js";
import { format } from "../../lib/route.js";
import { commandLine } from "../../lib/shell.js";
import { count, counted, time } from "../../lib/words.js";
import { asking, refill } from "../../parts/asking.js";
import { copyBar } from "../../parts/copy.js";
import { failure, waiting } from "../../parts/failure.js";
import { moment } from "../../parts/moment.js";
import { cycleText, nameText, serviceLink } from "../../parts/names.js";
import { actions } from "./actions.js";
import { Cuts } from "./cuts.js";
import { history } from "./history.js";
import { AGAIN_MS, isGone, statusMark } from "./parts.js";
import { Ring } from "./ring.js";

const FIRST_MEMBERS = 50;
const PAGE = 1000;

/**
 * Show one alert.
 *
 * @param {import("../../app.js").Context} context
 */
export async function oneAlert({ root, route, signal, session, say }) {
  const id = route.name;
  const place = h("div", { class: "answer" }, waiting("Looking for the alert …"));
  root.append(
    h(
      "div",
      { class: "analysis" },
      h("p", { class: "back" }, h("a", { href: format("cycles") }, "All alerts")),
      h("h1", {}, "Cycle"),
      place,
    ),
  );
  let page = null;
  const look = asking({
    place,
    signal,
    every: AGAIN_MS,
    ask: (own) => answerOf(id, own),
    show: (answer) => {
      page ||= new AlertPage({
        place,
        params: { ...route.params },
        id,
        signal,
        session,
        say,
        onwritten: () => look.look(),
      });
      page.update(answer);
    },
    fail: (error) => {
      page = null;
      return failure(error);
    },
  });
  await look.look();
  return {
    changed() {
      look.changed();
      page?.changed();
    },
  };
}

async function answerOf(id, signal) {
  const [{ alert }, events] = await Promise.all([
    call("AlertService/GetAlert", { id }, signal),
    eventsOf(id, signal),
  ]);
  return { alert, events };
}

async function eventsOf(id, signal) {
  const events = [];
  let pageToken = "";
  do {
    const answer = await call("AlertService/ListAlertEvents", { id, pageSize: PAGE, pageToken }, signal);
    events.push(...(answer.events || []));
    pageToken = answer.nextPageToken || "";
  } while (pageToken);
  return events;
}

class AlertPage {
  constructor({ place, params, id, signal, session, say, onwritten }) {
    this.id = id;
    this.params = params;
    this.areAllShown = false;
    this.facts = h("div", { class: "alert-facts" });
    this.actions = actions({ id, session, signal, say, onwritten });
    this.members = h("section", { class: "members" });
    this.events = h("section", { class: "events" });
    this.ring = new Ring(signal);
    this.cuts = new Cuts({ id, params, signal, onfound: (cuts) => this.ring.cut(cuts) });
    const command = commandLine(["depgraph", "alerts", "show", id]);
    place.replaceChildren(
      copyBar({ command, method: "AlertService/GetAlert", request: { id } }),
      h("div", { class: "alert-columns" }, this.ring.element, h("div", {}, this.facts, this.actions.element)),
      this.cuts.element,
      this.members,
      this.events,
    );
  }

  update({ alert, events }) {
    refill(this.facts, ...facts(alert));
    this.actions.update(alert);
    this.ring.update(alert);
    this.cuts.update(alert);
    this.alert = alert;
    this.fillMembers();
    refill(this.events, history(events));
  }

  changed() {
    this.ring.changed();
    this.cuts.changed();
  }

  fillMembers() {
    const { members = [], cyclePath, size } = this.alert;
    const names = members.length ? members : cyclePath;
    const shown = this.areAllShown ? names : names.slice(0, FIRST_MEMBERS);
    const left = names.length - shown.length;
    const unkept = (size || names.length) - names.length;
    const all = () => {
      this.areAllShown = true;
      this.fillMembers();
    };
    refill(
      this.members,
      h("h2", {}, "Members ", h("span", { class: "soft" }, count(size || names.length))),
      h(
        "ul",
        { class: "names" },
        shown.map((name) => h("li", {}, serviceLink(name))),
      ),
      left
        ? h("button", { type: "button", "data-key": "members", onclick: all }, `Show ${count(left)} more`)
        : "",
      unkept > 0
        ? h("p", { class: "soft" }, `${counted(unkept, "further member")} not kept with the alert.`)
        : "",
    );
  }
}

function facts(alert) {
  const { status, cyclePath, acknowledgedBy, resolutionNotes, detectTime, updateTime } = alert;
  return [
    h(
      "p",
      { class: "cycle" },
      cycleText(cyclePath, (name) => serviceLink(name)),
    ),
    h(
      "dl",
      { class: "dl" },
      ...fact("Status", statusMark(status)),
      ...(acknowledgedBy ? fact("Looked after by", nameText(acknowledgedBy)) : []),
      ...(resolutionNotes ? fact("Notes", h("span", { class: "notes", dir: "auto" }, resolutionNotes)) : []),
      ...fact("Still there", presence(alert)),
      ...fact("Found", [moment(detectTime), `, ${time(detectTime)}`]),
      ...fact("Changed", [moment(updateTime), `, ${time(updateTime)}`]),
    ),
  ];
}

function fact(title, value) {
  return [h("dt", {}, title), h("dd", {}, value)];
}

function presence(alert) {
  const { detected, size } = alert;
  if (!detected) return "unknown: a person created the alert, detection has not found this cycle";
  const component = `a component of ${counted(size, "service")}`;
  return isGone(alert) ? `no longer; it was ${component}` : `yes, ${component}`;
}
