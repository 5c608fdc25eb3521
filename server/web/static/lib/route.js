// The address of a view: #/VIEW/NAME?KEY=VALUE. Every state worth sharing is in it.

// Views that show the graph of a time: links between them keep it.
const TIMED = ["focus", "impact", "paths"];

/**
 * @typedef {{view: string, name: string, params: Object<string, string>}} Route
 */

/**
 * Read the address of this page.
 *
 * @param {string} [hash]
 * @returns {Route} view "" = the start
 */
export function parse(hash = location.hash) {
  const [path, query = ""] = hash.replace(/^#\/?/, "").split("?");
  const [view, ...rest] = path.split("/");
  return { view, name: decoded(rest.join("/")), params: Object.fromEntries(new URLSearchParams(query)) };
}

/**
 * Write an address; parameters that are "", null, undefined or false are left out. Between views of the
 * graph of a time it has the time of this address, unless `params` says another.
 *
 * @param {string} view
 * @param {string} [name]
 * @param {Object<string, any>} [params]
 * @returns {string} "#/focus/checkout?hops=2"
 */
export function format(view, name = "", params = {}) {
  const given = Object.entries({ ...kept(view), ...params }).filter(([, value]) => value || value === 0);
  const query = new URLSearchParams(given.map(([key, value]) => [key, String(value)])).toString();
  return `#/${view}${name ? `/${encodeURIComponent(name)}` : ""}${query ? `?${query}` : ""}`;
}

function kept(view) {
  if (!TIMED.includes(view) || !location.hash.includes("as_of=")) return {};
  const now = parse();
  return TIMED.includes(now.view) ? { as_of: now.params.as_of } : {};
}

function decoded(text) {
  try {
    return decodeURIComponent(text);
  } catch {
    return text;
  }
}
