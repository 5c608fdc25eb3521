// What the address of the map asks for, and the addresses that lead on from it.

import { format } from "../../lib/route.js";
import { filterOptions } from "../../parts/calls.js";
import { filterOf } from "../../parts/filters.js";

export const MOST_NODES = 300;
const NODES = 100;
// "" in an address can't be told from no name: the services of no group have a word of their own.
const NONE = "none";
const KEPT = ["by", "modes", "criticalities", "stale", "confidence"];

/**
 * @typedef {Object} Question
 * @property {string} name of the group, if `isInside`; "" = services that have none
 * @property {boolean} isInside
 * @property {string} by key of the metadata; "" = by team
 * @property {number} most nodes
 * @property {Object<string, string>} params of the address
 * @property {object} request
 */

/**
 * Read the address.
 *
 * @param {import("../../lib/route.js").Route} route
 * @returns {Question}
 */
export function questionOf({ name, params }) {
  const isInside = name !== "" || params.inside === NONE;
  const { filter, includeStale } = filterOf(params);
  const most = Math.min(MOST_NODES, Math.max(2, Number(params.nodes) || NODES));
  const request = {
    ...(params.by && { metadataKey: params.by }),
    ...(isInside && { inside: name }),
    ...(includeStale && { includeStale }),
    ...(filter && { filter }),
    maxNodes: most,
  };
  return { name, isInside, by: params.by || "", most, params, request };
}

/** The same map, looked at otherwise. @param {Question} asked @param {object} change @returns {string} */
export function otherwise(asked, change) {
  return format("map", asked.name, { ...asked.params, ...change });
}

/** The inside of a group. @param {Question} asked @param {string} name @returns {string} */
export function inside(asked, name) {
  return format("map", name, { ...kept(asked.params), inside: name ? "" : NONE });
}

/** All groups; `change` says by which key. @param {Question} asked @param {object} [change] */
export function whole(asked, change = {}) {
  return format("map", "", { ...kept(asked.params), ...change });
}

/** What a group is called. @param {Question} asked @param {string} name @returns {string} */
export function groupName(asked, name) {
  return name || (asked.by ? `no ${asked.by}` : "no team");
}

/** Command and call of the question. @param {Question} asked */
export function copiedOf({ request, name, by, isInside, most }) {
  const options = [
    ...(by ? ["--by", by] : []),
    ...(isInside ? ["--inside", name] : []),
    ...filterOptions(request.filter, request.includeStale),
    "--top",
    most,
  ];
  return { options, method: "GraphService/GetMap", request };
}

function kept(params) {
  return Object.fromEntries(KEPT.map((key) => [key, params[key]]));
}
