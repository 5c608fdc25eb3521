// Who uses this page, and what that person may do.

import { call, hasToken } from "./api.js";

/** @typedef {import("../app.js").Session} Session */

/** @type {Session|null} */
let known = null;

/**
 * Ask the server once who we are.
 *
 * @returns {Promise<Session>}
 * @throws {import("./api.js").ApiError} unauthenticated: the server wants a token, or another one
 */
export async function session() {
  known ||= sessionOf(await call("AccessService/WhoAmI"));
  return known;
}

/** Ask again the next time: the token is another one. */
export function forgetSession() {
  known = null;
}

function sessionOf({ principal = "", roles = [] }) {
  const has = (...wanted) => wanted.some((role) => roles.includes(role));
  return {
    principal,
    roles,
    mayOperate: has("ROLE_OPERATOR", "ROLE_ADMIN"),
    mayEdit: has("ROLE_EDITOR", "ROLE_ADMIN"),
    // A client certificate can't be signed out of.
    maySignOut: hasToken(),
  };
}
