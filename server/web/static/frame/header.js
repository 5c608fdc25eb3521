// The top of the page: search, the views, who is signed in.

import { call, observe } from "../lib/api.js";
import { h } from "../lib/dom.js";
import { format } from "../lib/route.js";
import { count, words } from "../lib/words.js";
import { picker } from "../parts/picker.js";
import { openHelp } from "./help.js";
import { keepAsking } from "./upkeep.js";

// Views about one service: a tab of theirs takes it along.
const OF_A_SERVICE = ["focus", "impact", "paths", "changes"];
// More are "100+".
const MOST_ALERTS = 100;

/**
 * @param {HTMLElement} place
 * @param {import("../app.js").View[]} views
 * @param {() => void} signOut
 * @returns {{at: Function, session: Function, focusSearch: Function}} marks the tab of a route; shows who is
 *   signed in; goes to the search field
 */
export function header(place, views, signOut) {
  const search = picker({
    label: "Search services",
    placeholder: "Search: name, team:…, kind:…  ( / )",
    isLabelUnseen: true,
    isSearch: true,
    onpick: (name) => (location.hash = format("focus", name)),
  });
  const tabs = new Map(views.map((view) => [view.id, h("a", { href: format(view.id) }, view.title)]));
  const who = h("div", { class: "who" });
  place.append(
    h(
      "a",
      { class: "brand", href: "#/" },
      h("img", { src: "icon.svg", alt: "", width: 20, height: 20 }),
      "depgraph",
    ),
    h("div", { role: "search", class: "search" }, search),
    who,
    h(
      "button",
      { type: "button", class: "help", "aria-label": "Help", title: "Help (?)", onclick: openHelp },
      "?",
    ),
    h("nav", { "aria-label": "Views" }, ...tabs.values()),
  );
  countAlerts(tabs.get("cycles"));
  return {
    at: (route) => markTab(tabs, route),
    session: (session) => showWho(who, session, signOut),
    focusSearch: () => search.querySelector("input").select(),
  };
}

function markTab(tabs, route) {
  for (const [id, tab] of tabs) {
    if (id === route.view) tab.setAttribute("aria-current", "page");
    else tab.removeAttribute("aria-current");
  }
  tabs.get(route.view)?.scrollIntoView({ block: "nearest", inline: "nearest" });
  if (!OF_A_SERVICE.includes(route.view) || !route.name) return;
  for (const id of OF_A_SERVICE) tabs.get(id).setAttribute("href", format(id, route.name));
}

function showWho(place, session, signOut) {
  place.replaceChildren();
  if (!session?.principal) return;
  const roles = session.roles.map(words.role).join(", ") || "no role";
  place.append(
    h(
      "span",
      { class: "who-name", title: `${session.principal}: ${roles}` },
      h("bdi", {}, session.principal),
      h("span", { class: "soft" }, ` ${roles}`),
    ),
  );
  if (session.maySignOut)
    place.append(h("button", { type: "button", class: "small", onclick: signOut }, "Sign out"));
}

/** Keep the number of open alerts beside the tab. */
function countAlerts(tab) {
  const badge = h("span", { class: "badge", hidden: true });
  tab.append(" ", badge);
  const request = { status: "ALERT_STATUS_OPEN", pageSize: MOST_ALERTS };
  const again = keepAsking(async () => {
    try {
      const answer = await call("AlertService/ListAlerts", request);
      showCount(badge, (answer.alerts || []).length, Boolean(answer.nextPageToken));
    } catch {
      // The page says elsewhere that the server does not answer; the number would be old.
      badge.hidden = true;
    }
  });
  observe((method, error) => {
    if (/^AlertService\/(Acknowledge|Resolve|Create)/.test(method) && !error) again();
  });
}

function showCount(badge, number, isMore) {
  badge.hidden = number === 0;
  badge.replaceChildren(`${count(number)}${isMore ? "+" : ""}`, h("span", { class: "unseen" }, " open"));
  badge.title = `${count(number)}${isMore ? " or more" : ""} open`;
}
