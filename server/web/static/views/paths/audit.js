// Paths: timeouts that do not shrink and retries that multiply, on the paths that begin at a service.

import { call } from "../../lib/api.js";
import { h } from "../../lib/dom.js";
import { commandLine } from "../../lib/shell.js";
import { asOfOption } from "../../lib/times.js";
import { count, counted } from "../../lib/words.js";
import { asking } from "../../parts/asking.js";
import { copyBar } from "../../parts/copy.js";
import { failure, waiting } from "../../parts/failure.js";
import { nameText, pathText } from "../../parts/names.js";
import { table } from "../../parts/table.js";

const MOST = 100;
const MAX_ATTEMPTS = 10;
// Retries of a configuration that does not say how many.
const DEFAULT_RETRIES = 3;

/**
 * Audit the paths that begin at a service; filters of the view do not count.
 *
 * @param {{serviceId: string, past: {consistency?: object}, signal: AbortSignal}} options past: as of when,
 *   if not now
 * @returns {{element: HTMLElement, changed: () => void}}
 */
export function auditSection({ serviceId, past, signal }) {
  const bounds = { maxFindings: MOST, maxAttempts: String(MAX_ATTEMPTS) };
  const question = { serviceId, ...bounds, effective: true, ...past };
  const place = h("div", {}, waiting("Auditing …"));
  const look = asking({
    place,
    signal,
    ask: (own) => call("AnalysisService/AuditPaths", question, own),
    show: (answer) => place.replaceChildren(...shown(answer)),
    // A service that does not exist is said above.
    fail: (error) =>
      error.code === "not_found" ? h("p", { class: "empty" }, "Nothing to audit.") : failure(error),
  });
  look.look();
  const options = ["--effective", "--top", MOST, ...asOfOption(question)];
  const command = commandLine(["depgraph", "audit", ...options], [serviceId]);
  const copying = { command, method: "AnalysisService/AuditPaths", request: question };
  const element = h(
    "section",
    { class: "audit", "aria-labelledby": "audit-title" },
    h("h2", { id: "audit-title" }, "Timeouts and retries on paths from ", nameText(serviceId)),
    copyBar(copying),
    place,
  );
  return { element, changed: look.changed };
}

function shown(answer) {
  const { timeouts = [], retries = [], timeoutCount, retryCount, truncated } = answer;
  if (!Number(answer.dependencyCount || 0))
    return [h("p", {}, `There is nothing to audit. ${basis(answer)}`)];
  return [
    table({
      caption: titled(
        Number(timeoutCount || 0),
        timeouts.length,
        "timeout that does not shrink",
        "timeouts that do not shrink",
      ),
      columns: timeoutColumns(),
      rows: timeouts,
      empty: Number(answer.withTimeoutCount || 0)
        ? "No timeout is out of order: every caller waits longer than the service that it calls."
        : "No source knows a timeout, so none can be out of order.",
    }),
    table({
      caption: titled(
        Number(retryCount || 0),
        retries.length,
        "path whose retries multiply",
        "paths whose retries multiply",
      ),
      columns: retryColumns(),
      rows: retries,
      empty: `No call becomes more than ${MAX_ATTEMPTS} attempts.`,
    }),
    truncated ? h("p", { class: "warning" }, "The search of paths ended early: worse ones may exist.") : "",
    h("p", { class: "soft" }, basis(answer)),
  ];
}

function titled(all, listed, one, many) {
  return `${counted(all, one, many)}${listed < all ? `, the worst ${count(listed)} of them` : ""}`;
}

function basis({ dependencyCount, withTimeoutCount, withRetryCount, unknownModeCount }) {
  const unknown = Number(unknownModeCount || 0);
  const more = unknown ? ` ${counted(unknown, "dependency")} of unknown mode left out.` : "";
  return (
    `Audited: ${counted(dependencyCount, "synchronous dependency")}, ` +
    `${count(withTimeoutCount)} with a timeout, ` +
    `${count(withRetryCount)} with retries.${more}`
  );
}

function timeoutColumns() {
  const ends = (each) => [
    each.callerEffective || each.callerDependency,
    each.calleeEffective || each.calleeDependency,
  ];
  const names = (each) => {
    const [caller, callee] = ends(each);
    return [caller.sourceServiceId, caller.targetServiceId, callee.targetServiceId];
  };
  const wait = (place) => (each) => ends(each)[place].timeoutMs;
  return [
    {
      key: "path",
      title: "Path",
      render: (each) => pathText(names(each)),
      sort: (each) => names(each).join(" "),
    },
    {
      key: "caller",
      title: "Caller waits",
      align: "right",
      render: (each) => `${count(wait(0)(each))} ms`,
      sort: wait(0),
    },
    {
      key: "callee",
      title: "Service waits",
      align: "right",
      render: (each) => `${count(wait(1)(each))} ms`,
      sort: wait(1),
    },
    {
      key: "excess",
      title: "Excess",
      align: "right",
      render: (each) => `${count(each.excessMs)} ms`,
      sort: (each) => Number(each.excessMs || 0),
    },
  ];
}

function retryColumns() {
  const calls = (each) => each.effectiveDependencies || each.dependencies || [];
  const factors = (each) => calls(each).map(attempts).join(" × ");
  return [
    {
      key: "path",
      title: "Path",
      render: (each) => pathText(each.serviceIds),
      sort: (each) => each.serviceIds.join(" "),
    },
    { key: "factors", title: "Attempts of each call", render: factors },
    {
      key: "attempts",
      title: "Attempts in all",
      align: "right",
      render: (each) => count(each.attempts),
      sort: (each) => Number(each.attempts),
    },
  ];
}

function attempts({ retryConfig }) {
  return retryConfig ? (retryConfig.maxRetries ?? DEFAULT_RETRIES) + 1 : 1;
}
