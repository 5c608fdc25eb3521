// Values of the contract in the words of the command line.

const lower = (prefix) => (value) =>
  String(value || "")
    .replace(prefix, "")
    .toLowerCase()
    .replaceAll("_", " ");

/** Words for enums: `words.criticality("CRITICALITY_HIGH")` is "high"; unset is "". */
export const words = {
  backoff: lower(/^BACKOFF_STRATEGY_/),
  cycleChange: lower(/^CYCLE_CHANGE_KIND_/),
  alertStatus: lower(/^ALERT_STATUS_/),
  criticality: lower(/^CRITICALITY_/),
  dependencyCriticality: lower(/^DEPENDENCY_CRITICALITY_/),
  direction: lower(/^DIRECTION_/),
  kind: lower(/^SERVICE_KIND_/),
  mode: lower(/^COMMUNICATION_MODE_/),
  role: lower(/^ROLE_/),
  source: lower(/^DISCOVERY_SOURCE_/),
};

/** Criticalities of services in words, from the highest to the lowest. */
export const CRITICALITIES = ["critical", "high", "medium", "low", "unknown"];

/**
 * Compare criticalities of services: 0 = critical, 4 = unknown or unset.
 *
 * @param {string|undefined} criticality of the contract, or its word
 * @returns {number}
 */
export function criticalityRank(criticality) {
  const at = CRITICALITIES.indexOf(words.criticality(criticality));
  return at < 0 ? CRITICALITIES.indexOf("unknown") : at;
}

const COUNTS = new Intl.NumberFormat("en-US");

/** Write a number; JSON has 64-bit ones as text. @param {number|string} number @returns {string} "21,808" */
export function count(number) {
  return COUNTS.format(Number(number || 0));
}

/**
 * @param {number|string} number
 * @param {string} thing
 * @param {string} [things] the plural, where it is not regular
 * @returns {string} "1 service", "3 dependencies"
 */
export function counted(number, thing, things = plural(thing)) {
  return `${count(number)} ${Number(number) === 1 ? thing : things}`;
}

function plural(thing) {
  if (/[^aeiou]y$/.test(thing)) return `${thing.slice(0, -1)}ies`;
  return /(s|x|ch|sh)$/.test(thing) ? `${thing}es` : `${thing}s`;
}

/**
 * @param {string} timestamp of protobuf's JSON
 * @param {number} [now] in milliseconds
 * @returns {string} "12 s ago", "3 min ago", "5 h ago", "2 days ago"; "" when it is unset
 */
export function age(timestamp, now = Date.now()) {
  if (!timestamp) return "";
  const seconds = Math.round((now - Date.parse(timestamp)) / 1000);
  // The clocks of server and browser may differ a little.
  if (Math.abs(seconds) < 2) return "just now";
  return seconds < 0 ? `in ${span(-seconds)}` : `${span(seconds)} ago`;
}

function span(seconds) {
  if (seconds < 90) return `${count(seconds)} s`;
  if (seconds < 90 * 60) return `${count(Math.round(seconds / 60))} min`;
  if (seconds < 48 * 3600) return `${count(Math.round(seconds / 3600))} h`;
  return counted(Math.round(seconds / 86400), "day");
}

/** @param {string} timestamp @returns {string} "2026-11-23 07:15 UTC"; "" when it is unset */
export function time(timestamp) {
  return timestamp ? `${new Date(timestamp).toISOString().slice(0, 16).replace("T", " ")} UTC` : "";
}

/** Seconds of a duration in protobuf's JSON. @param {string} text "1.5s" @returns {number} */
export function seconds(text) {
  return Number.parseFloat(text || "0");
}

/** @param {string} text "1.5s" @returns {string} "1.5 s", "12 ms", "2 min 5 s"; "" when it is unset */
export function duration(text) {
  if (!text) return "";
  const value = seconds(text);
  if (value < 0.9995) return `${count(Math.round(value * 1000))} ms`;
  if (value < 60) return `${Number(value.toFixed(1))} s`;
  const whole = Math.round(value);
  if (whole < 3600) return two(Math.floor(whole / 60), "min", whole % 60, "s");
  if (whole < 48 * 3600) return two(Math.floor(whole / 3600), "h", Math.floor((whole % 3600) / 60), "min");
  return two(Math.floor(whole / 86400), "d", Math.floor((whole % 86400) / 3600), "h");
}

function two(most, unit, rest, smaller) {
  return rest ? `${count(most)} ${unit} ${rest} ${smaller}` : `${count(most)} ${unit}`;
}
