// The bottom of the page: how fresh what you see is. And the banner, when something is wrong.

import { call } from "../lib/api.js";
import { h } from "../lib/dom.js";
import { live } from "../lib/live.js";
import { count, counted, duration, time } from "../lib/words.js";
import { keepAsking } from "./upkeep.js";

// Idle, a replica confirms every second that it is caught up.
const BEHIND_SECONDS = 5;
// Heartbeats come every five.
const QUIET_SECONDS = 8;
const REVISION_TAIL = 8;

/** @param {HTMLElement} place @param {HTMLElement} banner */
export function footer(place, banner) {
  const state = h("span", { class: "state" });
  const revision = h("span", { class: "revision" });
  const size = h("span", { class: "size" });
  const version = h("span", { class: "version" });
  place.append(state, revision, size, version);
  const view = { state, revision, size, version, banner, versions: new Set(), shown: "" };
  live.addEventListener("state", () => show(view));
  // "12 s ago" grows.
  setInterval(() => show(view), 1_000);
  keepAsking(() => askStatus(view));
}

/** What the page knows, in words. @param {import("../lib/live.js").Liveness} now */
function stateInWords({ state, lag, answered }) {
  if (state === "live" && lag > BEHIND_SECONDS) return `behind the database by ${count(Math.round(lag))} s`;
  const seconds = Math.round((Date.now() - answered) / 1000);
  const last = answered ? `, last answer ${count(seconds)} s ago` : "";
  if (state === "live") return seconds > QUIET_SECONDS ? `live${last}` : "live";
  if (state === "off") return "not signed in";
  if (state === "warming") return "the server is getting ready";
  if (state === "refused") return "not allowed to look";
  if (state === "connecting") return `connecting${last}`;
  return state === "down" ? `the server does not answer${last}` : `reconnecting${last}`;
}

function show(view) {
  const { now } = live;
  const isBehind = now.state === "live" && now.lag > BEHIND_SECONDS;
  view.state.className = `state ${isBehind ? "behind" : now.state}`;
  view.state.textContent = stateInWords(now);
  view.revision.hidden = !now.revision;
  view.revision.title = `Revision ${now.revision}`;
  const lag = now.state === "live" ? `lag ${duration(`${now.lag}s`)}` : "lag unknown";
  view.revision.textContent = `revision …${now.revision.slice(-REVISION_TAIL)} · ${lag}`;
  showBanner(view, isBehind);
}

/** Only what changes is written: screen readers read it out each time. */
function showBanner(view, isBehind) {
  const { state, answered } = live.now;
  const updated = view.versions.size > 1;
  const kind =
    state === "down" || state === "warming" ? state : isBehind ? "behind" : updated ? "updated" : "";
  if (kind === view.shown) return;
  view.shown = kind;
  view.banner.hidden = kind === "";
  const since = answered ? time(new Date(answered).toISOString()) : "";
  const button = (text, onclick) => h("button", { type: "button", class: "small", onclick }, text);
  const shown = {
    down: () => [
      `The server does not answer. ${since && `What you see is from ${since}. `}`,
      "This page tries again by itself.",
      button("Try now", () => live.hurry()),
    ],
    warming: () => ["The server is getting ready: it reads the graph into memory."],
    behind: () => [
      "Memory is behind the database: answers come from the last snapshot. Lag and revision are below.",
    ],
    updated: () => ["The server has been updated.", button("Reload the console", () => location.reload())],
  };
  view.banner.replaceChildren(...(kind ? shown[kind]() : []));
  view.banner.className = kind === "updated" ? "note" : "warning";
}

async function askStatus(view) {
  try {
    showStatus(view, await call("GraphService/GetStatus"));
  } catch {
    // The state says that the server does not answer; the counts are the last known.
  }
}

function showStatus(view, status) {
  const stale = Number(status.staleDependencyCount || 0);
  view.size.textContent =
    `${counted(status.serviceCount, "service")} · ${counted(status.dependencyCount, "dependency")}` +
    (stale ? ` (${count(stale)} stale)` : "");
  view.version.textContent = `depgraph ${status.serverVersion}`;
  view.versions.add(status.serverVersion);
  showBanner(view, live.now.state === "live" && live.now.lag > BEHIND_SECONDS);
}
