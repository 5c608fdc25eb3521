// The dialog that asks for a token.

import { h } from "../lib/dom.js";

let open = null;

/**
 * Ask until `attempt` takes the token. One dialog at a time: who asks meanwhile waits for the same.
 *
 * @param {string} why what the server said
 * @param {(token: string) => Promise<void>} attempt fails with what to show
 * @returns {Promise<boolean>} false = the person closed the dialog
 */
export function signIn(why, attempt) {
  open ||= asked(why, attempt).finally(() => (open = null));
  return open;
}

function asked(why, attempt) {
  const field = h("input", {
    id: "token",
    type: "password",
    autocomplete: "off",
    autocapitalize: "none",
    spellcheck: "false",
    required: true,
    "aria-describedby": "token-why token-note",
  });
  const reason = h("p", { id: "token-why", class: "note", role: "alert" }, why);
  const button = h("button", { class: "primary" }, "Sign in");
  const form = h(
    "form",
    {},
    reason,
    h("div", { class: "field" }, h("label", { for: "token" }, "Token"), field),
    h(
      "p",
      { id: "token-note", class: "soft" },
      "A static token of this server or a JWT. It stays in the page's memory: a reload forgets it.",
    ),
    h("div", { class: "row" }, button),
  );
  const dialog = h(
    "dialog",
    { "aria-labelledby": "sign-in-title" },
    h("h2", { id: "sign-in-title" }, "Sign in"),
    form,
  );
  return new Promise((resolve) => {
    let isDone = false;
    form.addEventListener("submit", async (event) => {
      event.preventDefault();
      button.disabled = true;
      try {
        await attempt(field.value.trim());
        isDone = true;
        dialog.close();
      } catch (error) {
        reason.className = "failed";
        reason.textContent = error.message;
        field.select();
      } finally {
        button.disabled = false;
      }
    });
    dialog.addEventListener("close", () => {
      field.value = "";
      dialog.remove();
      resolve(isDone);
    });
    document.body.append(dialog);
    dialog.showModal();
    field.focus();
  });
}
