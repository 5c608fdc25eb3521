// The dialog of "?": keys, how to search, and what else depgraph answers.

import { h } from "../lib/dom.js";
import { format } from "../lib/route.js";
import { copyButton } from "../parts/copy.js";

const KEYS = [
  ["/", "go to the search field"],
  ["?", "this help"],
  ["↓ ↑ Enter", "in a list of suggestions: choose, take"],
  ["Esc", "close a list or a dialog"],
  ["Tab", "to the next link, field or picture"],
  ["← → ↑ ↓", "in a picture: to the next node that way"],
  ["Enter", "on a node: focus on the service, open the group"],
  ["Space", "on a node: its details (view Focus)"],
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
  ["What changed near a service, when, and by whom?", "changes", "depgraph changes SERVICE --since 2h"],
  ["What differs between two times?", "diff", "depgraph diff 'yesterday 14:00' 14:00"],
  ["How was it at 03:12?", "focus", "depgraph show SERVICE --as-of 03:12"],
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
  const close = () => dialog.close();
  const dialog = h(
    "dialog",
    { class: "wide", "aria-labelledby": "help-title", onclose: () => dialog.remove() },
    h(
      "div",
      { class: "row apart" },
      h("h2", { id: "help-title" }, "Help"),
      h("button", { type: "button", onclick: close }, "Close"),
    ),
    h("h3", {}, "Keys"),
    h(
      "dl",
      { class: "dl" },
      KEYS.flatMap(([keys, what]) => [keysOf(keys), h("dd", {}, what)]),
    ),
    h("h3", {}, "Search"),
    h(
      "dl",
      { class: "dl" },
      SEARCHES.flatMap(([text, what]) => [textOf(text), h("dd", {}, what)]),
    ),
    h("h3", {}, "Questions, and the command for each"),
    h(
      "ul",
      { class: "questions" },
      QUESTIONS.map((each) => questionOf(each, close)),
    ),
  );
  document.body.append(dialog);
  dialog.showModal();
}

function textOf(text) {
  return h("dt", {}, h("code", {}, text));
}

function keysOf(keys) {
  return h(
    "dt",
    {},
    keys.split(" ").flatMap((key) => [h("kbd", {}, key), " "]),
  );
}

function questionOf([question, view, command], close) {
  return h(
    "li",
    {},
    h("span", {}, view ? h("a", { href: format(view), onclick: close }, question) : question),
    h(
      "span",
      { class: "row" },
      h("code", {}, command),
      copyButton("Copy", () => command, `Copy: ${command}`),
    ),
  );
}
