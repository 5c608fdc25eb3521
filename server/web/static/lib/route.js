// The address of a view: #/VIEW/NAME?KEY=VALUE. Every state worth sharing is in it.

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
 * Write an address; parameters that are "", null, undefined or false are left out.
 *
 * @param {string} view
 * @param {string} [name]
 * @param {Object<string, any>} [params]
 * @returns {string} "#/focus/checkout?hops=2"
 */
export function format(view, name = "", params = {}) {
  const given = Object.entries(params).filter(([, value]) => value || value === 0);
  const query = new URLSearchParams(given.map(([key, value]) => [key, String(value)])).toString();
  return `#/${view}${name ? `/${encodeURIComponent(name)}` : ""}${query ? `?${query}` : ""}`;
}

function decoded(text) {
  try {
    return decodeURIComponent(text);
  } catch {
    return text;
  }
}
