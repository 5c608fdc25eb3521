// A field to pick a service with: suggestions of the server, an ARIA combobox.

import { h } from "../lib/dom.js";
import { say } from "../lib/say.js";
import { KINDS, largestTeams, openPart, question, search, teamPart } from "../lib/search.js";
import { counted, words } from "../lib/words.js";
import { chip } from "./chip.js";

// Long enough for the next key, too short to notice.
const PAUSE_MS = 120;
let made = 0;

/**
 * @typedef {Object} Suggestion
 * @property {string} text what the field holds when it is taken
 * @property {boolean} isPart a `team:` or `kind:` to go on with, no service
 * @property {(Node|string|false)[]} shown
 */

/**
 * An input with suggestions. Down and Up choose, Enter takes, Escape closes the list, and again
 * puts back what was there before.
 *
 * @param {Object} options
 * @param {string} options.label
 * @param {string} [options.value] name of the service that is picked now
 * @param {(serviceId: string) => void} options.onpick
 * @param {AbortSignal} [options.signal] ends searches that are under way
 * @param {string} [options.placeholder]
 * @param {boolean} [options.isLabelUnseen] the label is for screen readers alone
 * @param {boolean} [options.isSearch] holds what is looked for, not what is picked: empty after a pick
 * @returns {HTMLElement}
 */
export function picker(options) {
  return new Picker(options).element;
}

class Picker {
  constructor(options) {
    const { label, value = "", onpick, signal, placeholder = "name, team:…, kind:…" } = options;
    made += 1;
    this.id = `picker-${made}`;
    this.onpick = onpick;
    this.isSearch = options.isSearch || false;
    this.signal = signal;
    this.value = value;
    this.suggestions = [];
    this.active = -1;
    // Enter was pressed before the suggestions came.
    this.takesFirst = false;
    this.running = new AbortController();
    this.input = this.field(placeholder);
    this.input.value = value;
    this.list = h("ul", { id: `${this.id}-list`, role: "listbox", "aria-label": `${label}: suggestions` });
    this.note = h("p", { class: "picker-note" });
    this.popup = h("div", { class: "picker-popup", hidden: true }, this.note, this.list);
    // A click must not take the focus from the field.
    this.popup.addEventListener("mousedown", (event) => event.preventDefault());
    this.element = h(
      "div",
      { class: "picker" },
      h("label", { for: this.id, class: options.isLabelUnseen ? "unseen" : null }, label),
      this.input,
      this.popup,
    );
  }

  field(placeholder) {
    return h("input", {
      id: this.id,
      type: "search",
      role: "combobox",
      dir: "auto",
      placeholder,
      autocomplete: "off",
      autocapitalize: "none",
      spellcheck: "false",
      maxlength: 600,
      "aria-autocomplete": "list",
      "aria-expanded": "false",
      "aria-controls": `${this.id}-list`,
      oninput: () => this.later(),
      onclick: () => this.popup.hidden && this.ask(),
      onkeydown: (event) => this.press(event),
      onblur: () => this.leave(),
    });
  }

  press(event) {
    if (event.isComposing || event.altKey || event.ctrlKey || event.metaKey) return;
    const handled = {
      ArrowDown: () => this.move(1),
      ArrowUp: () => this.move(-1),
      Enter: () => this.enter(),
      Escape: () => this.escape(),
    }[event.key];
    if (!handled) return;
    event.preventDefault();
    // Escape of a list must not close the dialog or panel around it.
    if (event.key === "Escape" && !this.popup.hidden) event.stopPropagation();
    handled();
  }

  move(step) {
    if (this.popup.hidden) return void this.ask();
    const length = this.suggestions.length;
    if (!length) return;
    this.activate(this.active < 0 && step < 0 ? length - 1 : (this.active + step + length) % length);
  }

  enter() {
    if (this.isAsking) this.takesFirst = true;
    else if (this.popup.hidden) void this.ask(this.input.value.trim() !== "");
    else if (this.active >= 0) this.take(this.suggestions[this.active]);
  }

  escape() {
    if (!this.popup.hidden) return this.close();
    this.input.value = this.value;
  }

  leave() {
    this.close();
    // What was not picked is not what the view shows.
    if (!this.isSearch) this.input.value = this.value;
  }

  later() {
    clearTimeout(this.timer);
    this.timer = setTimeout(() => this.ask(), PAUSE_MS);
    this.isAsking = true;
    this.takesFirst = false;
  }

  async ask(takesFirst = false) {
    clearTimeout(this.timer);
    this.running.abort();
    const running = (this.running = new AbortController());
    const signal = this.signal ? AbortSignal.any([running.signal, this.signal]) : running.signal;
    this.isAsking = true;
    this.takesFirst ||= takesFirst;
    try {
      const { suggestions, note, isSure } = await suggested(this.input.value, signal);
      if (!signal.aborted) this.show(suggestions, note, isSure);
    } catch (error) {
      if (!signal.aborted) this.show([], error.message, false);
    } finally {
      if (running === this.running) this.isAsking = false;
    }
  }

  show(suggestions, note, isSure) {
    this.suggestions = suggestions;
    this.isAsking = false;
    this.note.replaceChildren(note);
    this.note.hidden = !note;
    this.list.replaceChildren(...suggestions.map((each, position) => this.option(each, position)));
    this.popup.hidden = false;
    this.input.setAttribute("aria-expanded", String(suggestions.length > 0));
    // Names that only resemble the text are never taken unseen.
    this.activate(isSure && suggestions.length ? 0 : -1);
    if (this.takesFirst && isSure && suggestions.length) return this.take(suggestions[0]);
    this.takesFirst = false;
    say(note || `${counted(suggestions.length, "suggestion")}`);
  }

  option(suggestion, position) {
    return h(
      "li",
      {
        id: `${this.id}-${position}`,
        role: "option",
        "aria-selected": "false",
        onclick: () => this.take(suggestion),
      },
      ...suggestion.shown,
    );
  }

  activate(position) {
    this.list.children[this.active]?.setAttribute("aria-selected", "false");
    this.active = position;
    const option = this.list.children[position];
    if (!option) return this.input.removeAttribute("aria-activedescendant");
    option.setAttribute("aria-selected", "true");
    option.scrollIntoView({ block: "nearest" });
    this.input.setAttribute("aria-activedescendant", option.id);
  }

  take(suggestion) {
    this.takesFirst = false;
    this.input.value = suggestion.text;
    if (suggestion.isPart) return void this.ask();
    this.close();
    if (this.isSearch) this.input.value = "";
    else this.value = suggestion.text;
    this.onpick(suggestion.text);
  }

  close() {
    clearTimeout(this.timer);
    this.running.abort();
    this.isAsking = false;
    this.takesFirst = false;
    this.popup.hidden = true;
    this.active = -1;
    this.input.setAttribute("aria-expanded", "false");
    this.input.removeAttribute("aria-activedescendant");
  }
}

/** @returns {Promise<{suggestions: Suggestion[], note: Node|string, isSure: boolean}>} */
async function suggested(text, signal) {
  const open = openPart(text);
  if (open) {
    const parts = await suggestedParts(open, signal);
    if (parts.length) return { suggestions: parts, note: `Choose a ${open.key}`, isSure: true };
  }
  const asked = question(text);
  if (asked.unknownKind) {
    const note = `There is no kind “${asked.unknownKind}”: ${KINDS.join(", ")}`;
    return { suggestions: [], note, isSure: false };
  }
  const found = await search(asked, signal);
  const suggestions = found.matches.map(serviceSuggestion);
  return { suggestions, note: noteOf(asked, found), isSure: !found.isSimilar };
}

async function suggestedParts({ key, start, before }, signal) {
  const begins = (name) => name.toLowerCase().startsWith(start.toLowerCase());
  const isWhole = (name) => name.toLowerCase() === start.toLowerCase();
  if (key === "kind") {
    if (KINDS.some(isWhole)) return [];
    return KINDS.filter(begins).map((kind) => part(before, `kind:${kind}`));
  }
  const teams = await largestTeams(signal);
  if (teams.some(({ name }) => isWhole(name))) return [];
  return teams
    .filter(({ name }) => begins(name))
    .slice(0, 20)
    .map(({ name, services }) => part(before, teamPart(name), counted(services, "service")));
}

function part(before, text, more) {
  const shown = [h("bdi", { class: "name" }, text), more && h("span", { class: "more" }, more)];
  return { text: `${before}${text} `, isPart: true, shown };
}

function serviceSuggestion({ service, alias, callerCount = 0 }) {
  const kind = words.kind(service.kind);
  return {
    text: service.serviceId,
    isPart: false,
    shown: [
      h("bdi", { class: "name", title: service.serviceId }, service.serviceId),
      h(
        "span",
        { class: "more" },
        alias && h("span", {}, "alias ", h("bdi", {}, alias)),
        kind !== "service" && h("span", {}, kind),
        service.team && h("span", {}, "team ", h("bdi", {}, service.team)),
        chip(service.criticality),
        h("span", {}, counted(callerCount, "caller")),
      ),
    ],
  };
}

function noteOf(asked, { matches, matchCount, isSimilar }) {
  const where = [asked.team && `team “${asked.team}”`, asked.kind && `kind ${words.kind(asked.kind)}`]
    .filter(Boolean)
    .join(", ");
  if (isSimilar) return `No service holds “${asked.query}”. Similar names:`;
  if (!matches.length) {
    if (!asked.query) return where ? `No service of ${where}.` : "The graph has no services yet.";
    return `No service${where && ` of ${where}`} holds “${asked.query}”.`;
  }
  return matchCount > matches.length
    ? `The first ${matches.length} of ${counted(matchCount, "service")}`
    : "";
}
