// Buttons that copy what leads to the answer in sight: the link, the command, the call.

import { hasToken } from "../lib/api.js";
import { h } from "../lib/dom.js";
import { say } from "../lib/say.js";
import { curl } from "../lib/shell.js";

/**
 * Three buttons. Write commands with `commandLine` of lib/shell.js, which quotes names.
 *
 * @param {{command?: string, method?: string, request?: object}} what "" or none = no such button
 * @returns {HTMLElement}
 */
export function copyBar({ command, method, request = {} }) {
  const call = () => curl(method, request, { withToken: hasToken() });
  return h(
    "div",
    { class: "copy-bar", role: "group", "aria-label": "Copy" },
    copyButton("Copy link", () => location.href),
    command && copyButton("Copy command", () => command, command),
    method && copyButton("Copy curl", call, `POST ${method}`),
  );
}

/**
 * @param {string} label
 * @param {() => string} text asked for at the click
 * @param {string} [title]
 * @returns {HTMLElement}
 */
export function copyButton(label, text, title) {
  const button = h("button", { type: "button", class: "small", title }, label);
  button.addEventListener("click", async () => {
    const copied = text();
    if (await copy(copied)) {
      button.textContent = "Copied";
      say(`Copied: ${copied.slice(0, 200)}`);
      setTimeout(() => (button.textContent = label), 1500);
    } else {
      show(label, copied);
    }
  });
  return button;
}

async function copy(text) {
  // Browsers offer the clipboard to https and to this host alone.
  if (navigator.clipboard) {
    try {
      await navigator.clipboard.writeText(text);
      return true;
    } catch {
      // Not permitted: the older way may be.
    }
  }
  return copiedFromField(text);
}

function copiedFromField(text) {
  const before = document.activeElement;
  const field = h("textarea", { class: "unseen", readonly: true, "aria-hidden": "true", tabindex: -1 });
  field.value = text;
  document.body.append(field);
  field.select();
  let done = false;
  try {
    done = document.execCommand("copy");
  } catch {
    // The dialog is left.
  }
  field.remove();
  before?.focus();
  return done;
}

function show(label, text) {
  const field = h("textarea", { readonly: true, rows: 6, "aria-label": label });
  field.value = text;
  const dialog = h(
    "dialog",
    { "aria-label": label, onclose: () => dialog.remove() },
    h("p", {}, "This browser does not let the page copy. Copy the text yourself:"),
    field,
    h("button", { type: "button", onclick: () => dialog.close() }, "Close"),
  );
  document.body.append(dialog);
  dialog.showModal();
  field.select();
}
