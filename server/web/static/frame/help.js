// The dialog of "?": keys, how to search, and what else depgraph answers.

import { h } from "../lib/dom.js";
import { format } from "../lib/route.js";
import { copyButton } from "../parts/copy.js";

const KEYS = [
  ["/", "go to the search field"],
  ["?", "this help"],
  ["↓ ↑ Enter", "in a list of suggestions: choose, take"],
  ["Esc", "close a list or a dialog"],
  ["Tab", "to the next link, field or service of a picture"],
];
const SEARCHES = [
  ["pay", "names and aliases that hold “pay”; where none does, those that resemble it"],
  ["team:payments", 'the services of a team; quotes for blanks: team:"web shop"'],
  ["kind:queue", "service, database, queue, gateway or external"],
  ["team:payments fraud", "both"],
];
// Question, view that shows it ("" = none does), command.
const QUESTIONS = [
  ["Who calls a service, and whom does it call?", "focus", "depgraph show SERVICE"],
  ["Who is hit when it fails?", "impact", "depgraph impact SERVICE"],
  ["How do calls get from one to another?", "paths", "depgraph paths SOURCE TARGET"],
  ["Which services form a cycle, since when, who looks after it?", "cycles", "depgraph alerts list"],
  ["What is the cheapest way out of a cycle?", "cycles", "depgraph cuts SERVICE"],
  ["What is declared but not observed, or the reverse?", "drift", "depgraph drift"],
  ["Who reports, and who is silent?", "sources", "depgraph sources"],
  ["How do the teams depend on one another?", "map", "depgraph map"],
  ["Is the server well?", "status", "depgraph status"],
  ["What would a change do?", "", "depgraph check FILE"],
  ["Which timeouts and retries do not fit?", "", "depgraph audit"],
  ["Which services belong to a team?", "", "depgraph services --team TEAM"],
  ["What are a service's other names?", "", "depgraph alias list"],
  ["Who wrote what?", "", "depgraph writes"],
  ["The graph as a file", "", "depgraph export json"],
  ["Follow changes", "", "depgraph watch"],
];

/** Open the help. */
export function openHelp() {
  if (document.querySelector("dialog[open]")) return;
  const close = h("button", { type: "button", class: "primary" }, "Close");
  const dialog = h(
    "dialog",
    { class: "wide", "aria-labelledby": "help-title" },
    h("h2", { id: "help-title" }, "Help"),
    h("h3", {}, "Keys"),
    h(
      "dl",
      { class: "dl" },
      KEYS.flatMap(([keys, what]) => [h("dt", {}, keysOf(keys)), h("dd", {}, what)]),
    ),
    h("h3", {}, "Search"),
    h(
      "dl",
      { class: "dl" },
      SEARCHES.flatMap(([text, what]) => [termOf(text), h("dd", {}, what)]),
    ),
    h("h3", {}, "Questions"),
    h(
      "div",
      { class: "scroll", tabindex: 0, role: "region", "aria-label": "Questions" },
      questions(dialogClose),
    ),
    h("p", {}, close),
  );
  function dialogClose() {
    dialog.close();
  }
  close.addEventListener("click", dialogClose);
  dialog.addEventListener("close", () => dialog.remove());
  document.body.append(dialog);
  dialog.showModal();
}

function termOf(text) {
  return h("dt", {}, h("code", {}, text));
}

function keysOf(keys) {
  return keys.split(" ").flatMap((key) => [h("kbd", {}, key), " "]);
}

function questions(close) {
  const row = ([question, view, command]) =>
    h(
      "tr",
      {},
      h("td", {}, view ? h("a", { href: format(view), onclick: close }, question) : question),
      h("td", {}, h("code", {}, command)),
      h(
        "td",
        {},
        copyButton("Copy", () => command, `Copy: ${command}`),
      ),
    );
  return h(
    "table",
    {},
    h("thead", {}, h("tr", {}, h("th", {}, "Question"), h("th", {}, "Command"), h("th", {}, "Copy"))),
    h("tbody", {}, QUESTIONS.map(row)),
  );
}
