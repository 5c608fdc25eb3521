// The console: what stands around a view, and the choice of the view by the address.

import { ApiError, call } from "./lib/api.js";
import { h } from "./lib/dom.js";
import { format, parse } from "./lib/route.js";
import { view as focus } from "./views/focus.js";
import { view as impact } from "./views/impact.js";
import { view as paths } from "./views/paths.js";
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
 */
/**
 * A view: `show` draws it, and may return what to do when the graph has changed.
 *
 * @typedef {Object} View
 * @property {string} id first part of the address
 * @property {string} title
 * @property {(context: Context) => Promise<{changed?: (batch: any) => void} | void>} show
 */

/** @type {View[]} */
const VIEWS = [focus, impact, paths, cycles, drift, sources, map, status];
const root = document.getElementById("main");
let leave = new AbortController();

async function show() {
  leave.abort();
  const current = (leave = new AbortController());
  const route = parse();
  const view = VIEWS.find((each) => each.id === route.view) || focus;
  root.replaceChildren();
  root.dataset.address = location.hash;
  root.setAttribute("aria-busy", "true");
  document.title = `${view.title} ${route.name} · depgraph`;
  try {
    await view.show({ root, route, signal: current.signal, session: await session(), say });
  } catch (error) {
    if (error instanceof ApiError) root.replaceChildren(h("p", { class: "failed", role: "alert" }, error.message));
    else if (error.name !== "AbortError") throw error;
  } finally {
    if (leave === current) root.setAttribute("aria-busy", "false");
  }
}

async function session() {
  const me = await call("AccessService/WhoAmI");
  const has = (...roles) => roles.some((role) => (me.roles || []).includes(role));
  return {
    principal: me.principal || "",
    roles: me.roles || [],
    mayOperate: has("ROLE_OPERATOR", "ROLE_ADMIN"),
    mayEdit: has("ROLE_EDITOR", "ROLE_ADMIN"),
  };
}

function say(text) {
  document.getElementById("said").textContent = text;
}

document
  .getElementById("top")
  .append(h("nav", { "aria-label": "Views" }, VIEWS.map((each) => h("a", { href: format(each.id) }, each.title))));
addEventListener("hashchange", show);
show();
