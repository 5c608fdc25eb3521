// The console: what stands around a view, and the choice of the view by the address.
//
// How the pieces fit. The address (lib/route.js) is all the state that is worth keeping: `show` reads it and
// lets the view it names draw into an empty root. A view is left by its AbortSignal, which it passes to
// every call (lib/api.js). `parts/` is what views share: a question that is kept in step with the graph
// (asking.js, answered.js), tables, fields, names, what a failure looks like. `graph/` draws a picture
// {nodes, edges} and knows neither the server nor the address. `frame/` is header, footer, sign-in, and the
// pages in place of a view. lib/live.js follows the graph by one Watch for all tabs (watcher.js, feed.js)
// and says when it has changed; then `changed` of the view looks again, quietly.
//
// Elements are made by `h` and `s` of lib/dom.js alone: no name can become markup, and the policy of the page
// forbids inline styles and scripts. No file is built: what stands here is what the browser runs.

import { ApiError, call, hasToken, observe, useToken } from "./lib/api.js";
import { h } from "./lib/dom.js";
import { live } from "./lib/live.js";
import { place } from "./lib/place.js";
import { format, parse } from "./lib/route.js";
import { say } from "./lib/say.js";
import { forgetSession, session } from "./lib/session.js";
import { instant, pastOf } from "./lib/times.js";
import { footer } from "./frame/footer.js";
import { header } from "./frame/header.js";
import { openHelp } from "./frame/help.js";
import { failed, firstDay, isAway, unknownView } from "./frame/pages.js";
import { signIn } from "./frame/sign_in.js";
import { view as focus } from "./views/focus.js";
import { view as impact } from "./views/impact.js";
import { view as paths } from "./views/paths.js";
import { view as changes } from "./views/changes.js";
import { view as diff } from "./views/diff.js";
import { view as cycles } from "./views/cycles.js";
import { view as drift } from "./views/drift.js";
import { view as sources } from "./views/sources.js";
import { view as map } from "./views/map.js";
import { view as status } from "./views/status.js";

/**
 * @typedef {Object} Session
 * @property {string} principal "" = the server asks nobody who they are
 * @property {string[]} roles "ROLE_READER", …
 * @property {boolean} mayOperate may acknowledge and resolve alerts
 * @property {boolean} mayEdit may write services and dependencies
 * @property {boolean} maySignOut signed in with a token
 */
/**
 * What a view gets.
 *
 * @typedef {Object} Context
 * @property {HTMLElement} root empty; the view fills it
 * @property {import("./lib/route.js").Route} route
 * @property {AbortSignal} signal aborted when the view is left; pass it to every call
 * @property {Session} session
 * @property {(text: string) => void} say tell what happened, for screen readers too
 * @property {() => void} moved tell that the view has changed the address by itself
 */
/**
 * @typedef {{changed?: () => void|Promise<void>}} Shown
 */
/**
 * A view: `show` draws it, and may return what to do when the graph has changed.
 *
 * @typedef {Object} View
 * @property {string} id first part of the address
 * @property {string} title
 * @property {(context: Context) => Promise<Shown|void>} show
 */

/** @type {View[]} */
const VIEWS = [focus, impact, paths, cycles, changes, diff, drift, sources, map, status];
const AGAIN_MS = 1_000;
const LONGEST_AGAIN_MS = 10_000;
const main = document.getElementById("main");
const top = header(document.getElementById("top"), VIEWS, signOut);
let leave = new AbortController();
/** @type {Session|null} */
let me = null;
/** @type {{changed?: Function}|null} null = the view is being drawn */
let shown = null;
// The graph has changed while the view was being drawn.
let missed = false;
/** @type {import("./lib/route.js").Route|null} */
let route = null;
let tries = 0;

/** Show what the address says. */
async function show() {
  leave.abort();
  leave = new AbortController();
  const { signal } = leave;
  const before = place.leaving(route, parse());
  route = parse();
  shown = null;
  // What an earlier view still draws goes into a root that is no longer on the page.
  const root = h("div", { class: "view" });
  main.replaceChildren(root);
  main.setAttribute("aria-busy", "true");
  const drawn = await attempt(root, signal);
  if (signal.aborted) return;
  shown = drawn;
  title(root);
  place.arrived(root, before);
  settle();
  if (missed) void change();
}

async function attempt(root, signal) {
  try {
    await enter();
    // Another address meanwhile: that one is being shown.
    signal.throwIfAborted();
    const drawn = await draw(root, signal);
    tries = 0;
    return drawn || {};
  } catch (error) {
    if (!signal.aborted) fail(root, error, signal);
    return {};
  }
}

/** Say which address is shown: tests and tools wait for it. */
function settle() {
  main.dataset.address = location.hash;
  main.setAttribute("aria-busy", "false");
}

/** Be known to the server before anything else is asked. */
async function enter() {
  if (me) return;
  me = await session();
  top.session(me);
  live.start(hasToken() ? token : "");
}

async function draw(root, signal) {
  if (route.view === "" || (route.view === "focus" && !route.name)) return start(root, signal);
  top.at(route);
  const view = VIEWS.find(({ id }) => id === route.view);
  if (!view) return void root.append(...unknownView(route.view, VIEWS));
  const { as_of: asOf } = route.params;
  // "2h" ago is one time for all that a view asks while it stands.
  const params = asOf ? { ...route.params, as_of: instant("as_of", asOf) } : route.params;
  return view.show({ root, route: { ...route, params }, signal, session: me, say, moved });
}

// A view has changed its address by itself, and shows what it says.
function moved() {
  route = parse();
  top.at(route);
}

async function mostCritical(signal) {
  const request = { maxServices: 1, ...pastOf(route.params) };
  try {
    return (await call("GraphService/GetNeighbourhood", request, signal)).center;
  } catch (error) {
    // The server knows no service at all.
    if (error.code === "not_found") return null;
    throw error;
  }
}

/** Begin with the most critical service; its address can be shared. */
async function start(root, signal) {
  const center = await mostCritical(signal);
  signal.throwIfAborted();
  if (center === null) {
    top.at(route);
    root.append(...firstDay());
    return { changed: show };
  }
  history.replaceState(history.state, "", format("focus", center.serviceId, route.params));
  route = parse();
  return draw(root, signal);
}

function fail(root, error, signal) {
  if (error.code === "unauthenticated") void askForToken(error.message);
  else if (!(error instanceof ApiError)) console.error(error);
  root.replaceChildren(...failed(error, route, me, () => show()));
  if (isAway(error)) again(signal);
}

/**
 * Try once more in a while: the server starts, or comes back. The page stays until the server can answer.
 */
function again(signal) {
  tries += 1;
  const pause = Math.min(LONGEST_AGAIN_MS, AGAIN_MS * 2 ** (tries - 1)) * (0.5 + Math.random() / 2);
  const timer = setTimeout(async () => {
    const isReady = await call("GraphService/GetStatus", {}, signal).then(
      ({ feedState }) => feedState !== "FEED_STATE_WARMING",
      (error) => !isAway(error),
    );
    if (signal.aborted) return;
    if (isReady) void show();
    else again(signal);
  }, pause);
  signal.addEventListener("abort", () => clearTimeout(timer), { once: true });
}

function title(root) {
  const heading = root.querySelector("h1")?.textContent || "";
  const view = VIEWS.find(({ id }) => id === route.view);
  document.title = [route.name || heading, view?.title, "depgraph"].filter(Boolean).join(" · ");
}

// The token is in this module and in lib/api.js, and nowhere else.
let token = "";

function askForToken(why) {
  return signIn(why, async (given) => {
    useToken(given);
    forgetSession();
    try {
      me = await session();
    } catch (error) {
      useToken(token);
      throw error;
    }
    token = given;
    top.session(me);
    live.start(token);
    say(`Signed in as ${me.principal}`);
  }).then((isDone) => isDone && show());
}

function signOut() {
  token = "";
  useToken("");
  forgetSession();
  me = null;
  top.session(null);
  live.stop();
  void show();
}

/** A session that ended in the middle: ask again, and stay where we are. */
function ended(error) {
  if (!me) return;
  me = null;
  forgetSession();
  void askForToken(error.message);
}

async function change() {
  missed = !shown;
  if (!shown) return;
  const { signal } = leave;
  try {
    await shown.changed?.();
  } catch (error) {
    if (signal.aborted || isAway(error) || error.code === "unauthenticated") return;
    console.error(error);
    say(`The view could not be brought up to date: ${error.message}`);
  }
}

function press(event) {
  if (event.ctrlKey || event.metaKey || event.altKey || event.isComposing) return;
  if (event.target.closest?.("input, textarea, select, [contenteditable]")) return;
  if (document.querySelector("dialog[open]")) return;
  const handled = { "/": () => top.focusSearch(), "?": openHelp }[event.key];
  if (!handled) return;
  event.preventDefault();
  handled();
}

footer(document.getElementById("bottom"), document.getElementById("banner"));
observe((_, error) => error?.code === "unauthenticated" && ended(error));
live.addEventListener("refused", ({ detail }) => detail.code === "unauthenticated" && ended(detail));
live.addEventListener("changes", change);
// The address belongs to the views: a jump inside the page must not change it.
document.getElementById("skip").addEventListener("click", (event) => {
  event.preventDefault();
  main.focus();
});
// Calls of a view that was left end in this.
addEventListener("unhandledrejection", (event) => {
  if (event.reason?.name === "AbortError") event.preventDefault();
});
addEventListener("hashchange", show);
addEventListener("keydown", press);
void show();
