// A part of a page that an answer fills; what is waited for, and what failed, stands in its place.

import { h } from "../lib/dom.js";
import { asking } from "./asking.js";
import { failure, waiting } from "./failure.js";

/**
 * @param {Object} options
 * @param {HTMLElement} options.body what `show` fills; on the page from the first answer on
 * @param {string} options.text said until then: "Asking how the server is"
 * @param {AbortSignal} options.signal of the view
 * @param {(signal: AbortSignal) => Promise<any>} options.ask
 * @param {(answer: any) => void} options.show
 * @param {() => string[]} [options.names] services that the question names
 * @param {(name: string) => HTMLElement} [options.link] to the same question about another service
 * @param {number} [options.every] as of `asking`
 * @returns {{place: HTMLElement, look: () => Promise<void>, changed: () => void}}
 */
export function answered({ body, text, signal, ask, show, names = () => [], link, every }) {
  const place = h("div", { class: "answered" }, waiting(text));
  const question = asking({
    place,
    signal,
    ask,
    every,
    show(answer) {
      // First: a picture is drawn into a room that has a size.
      if (body.parentNode !== place) place.replaceChildren(body);
      show(answer);
    },
    async fail(error) {
      const said = await failure(error, {
        names: names(),
        link: link && ((_, found) => link(found)),
        signal,
      });
      const fields = error.fields.map((each) => h("li", {}, `${each.field}: ${each.description}`));
      if (fields.length) said.append(h("ul", {}, fields));
      said.append(h("button", { type: "button", onclick: () => question.look() }, "Try again"));
      return said;
    },
  });
  return { place, look: question.look, changed: question.changed };
}
