// Cycles: acknowledge and resolve an alert, under the name of the caller.

import { ApiError, call } from "../../lib/api.js";
import { h } from "../../lib/dom.js";

const RESOLVED = "ALERT_STATUS_RESOLVED";
const ACKNOWLEDGED = "ALERT_STATUS_ACKNOWLEDGED";
const LONGEST_NAME = 255;
const LONGEST_NOTES = 10_000;
// Who looks at the page gives the name once.
let ownName = "";

/**
 * What a caller may do with an alert; nothing for one who may not.
 *
 * @param {Object} options
 * @param {string} options.id
 * @param {import("../../app.js").Session} options.session
 * @param {AbortSignal} options.signal
 * @param {(text: string) => void} options.say
 * @param {() => void} options.onwritten
 * @returns {{element: HTMLElement, update: (alert: any) => void}}
 */
export function actions({ id, session, signal, say, onwritten }) {
  const element = h("section", { class: "actions", "aria-label": "What to do", tabindex: "-1" });
  let status = "";
  let wrote = false;
  return {
    element,
    // What is typed stays while the alert is in the same stage.
    update(alert) {
      if (alert.status === status) return;
      status = alert.status;
      element.replaceChildren(...offered());
      // The form that had the keyboard's focus is gone.
      if (wrote) element.focus();
      wrote = false;
    },
  };

  function offered() {
    if (!session.mayOperate)
      return [h("p", { class: "soft" }, "To acknowledge or resolve alerts takes the role operator.")];
    return status === RESOLVED ? [] : [acknowledging(), resolving()];
  }

  function acknowledging() {
    // Only an admin may give another's name.
    const isAsked = !session.principal || session.roles.includes("ROLE_ADMIN");
    const input = h("input", {
      name: "acknowledgedBy",
      maxlength: LONGEST_NAME,
      autocomplete: "off",
      dir: "auto",
      required: !session.principal,
      value: session.principal || ownName,
    });
    const label = status === ACKNOWLEDGED ? "Take it over" : "Acknowledge";
    return form({
      title: isAsked ? label : `${label} as ${session.principal}`,
      field: isAsked
        ? { input, label: session.principal ? "In the name of" : "Your name", name: "acknowledged_by" }
        : null,
      method: "AlertService/AcknowledgeAlert",
      request: () => ({ id, acknowledgedBy: isAsked ? (ownName = input.value.trim()) : "" }),
      done: "Acknowledged.",
    });
  }

  function resolving() {
    const input = h("textarea", {
      name: "resolutionNotes",
      maxlength: LONGEST_NOTES,
      rows: 3,
      required: true,
      dir: "auto",
    });
    return form({
      title: "Resolve",
      field: { input, label: "How it ended", name: "resolution_notes" },
      method: "AlertService/ResolveAlert",
      request: () => ({ id, resolutionNotes: input.value }),
      done: "Resolved.",
    });
  }

  function form({ title, field, method, request, done }) {
    const wrong = h("p", { class: "failed", role: "alert", hidden: true });
    const button = h("button", { type: "submit", class: "primary" }, h("bdi", {}, title));
    const submit = async (event) => {
      event.preventDefault();
      mark(field, wrong, "");
      button.disabled = true;
      try {
        await call(method, request(), signal);
        say(done);
        wrote = true;
        onwritten();
      } catch (error) {
        if (!(error instanceof ApiError)) throw error;
        mark(field, wrong, messageOf(error, field));
      } finally {
        button.disabled = false;
      }
    };
    return h(
      "form",
      { class: "card", onsubmit: submit },
      field && h("label", { class: "field" }, field.label, field.input),
      wrong,
      button,
    );
  }
}

function mark(field, wrong, text) {
  wrong.textContent = text;
  wrong.hidden = !text;
  if (!field) return;
  field.input.setAttribute("aria-invalid", String(Boolean(text)));
  if (text) field.input.focus();
}

function messageOf(error, field) {
  const own = error.fields.find((each) => each.field === field?.name);
  return own ? own.description : error.message;
}
