// Times of the past: how addresses and requests write them.

import { ApiError } from "./api.js";

const AGO = /^(\d{1,6})([smhdw])$/;
const SECONDS = { s: 1, m: 60, h: 3_600, d: 86_400, w: 604_800 };

/**
 * Read a time of the address: "2h" (ago), or one of RFC 3339.
 *
 * @param {string} name of the parameter
 * @param {string} text
 * @param {number} [now] in milliseconds
 * @returns {string} of RFC 3339, in UTC, as requests have it
 * @throws {ApiError} it is none
 */
export function instant(name, text, now = Date.now()) {
  const [, number, unit] = AGO.exec(text) || [];
  const found = number ? now - Number(number) * SECONDS[unit] * 1_000 : Date.parse(text);
  // A time without a zone would be another one in each browser.
  const isPlain = number || /[zZ]$|[+-]\d\d:\d\d$/.test(text);
  if (Number.isFinite(found) && isPlain) return number ? iso(found) : text;
  const wanted = "it must be a time such as 2h (ago) or 2026-11-30T03:12:00Z";
  throw new ApiError({
    code: "invalid_argument",
    message: `"${name}" in the address is "${text}"; ${wanted}.`,
  });
}

/** Whether a time of the address counts back from now: "2h". @param {string} text @returns {boolean} */
export function isAgo(text) {
  return AGO.test(text);
}

/**
 * What requests hold to ask about the time of the address.
 *
 * @param {Object<string, string>} params
 * @returns {{consistency?: {asOf: string}}} empty = now
 */
export function pastOf({ as_of: asOf }) {
  return asOf ? { consistency: { asOf: instant("as_of", asOf) } } : {};
}

/**
 * The options of commands that ask about the time of a request.
 *
 * @param {{consistency?: {asOf: string}}} request
 * @returns {string[]}
 */
export function asOfOption({ consistency }) {
  return consistency ? ["--as-of", consistency.asOf] : [];
}

/** @param {number} milliseconds @returns {string} "2026-11-30T03:12:07Z" */
export function iso(milliseconds) {
  return new Date(milliseconds).toISOString().replace(/\.\d+Z$/, "Z");
}

/** The last moment before a time. @param {string} timestamp @returns {string} to the millisecond */
export function justBefore(timestamp) {
  return new Date(Date.parse(timestamp) - 1).toISOString();
}

/** @param {string|undefined} timestamp @returns {string} "2026-11-30 03:12:07 UTC"; "" when it is unset */
export function second(timestamp) {
  return timestamp ? `${iso(Date.parse(timestamp)).slice(0, 19).replace("T", " ")} UTC` : "";
}
