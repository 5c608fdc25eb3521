// Where the reader was: the scroll of each address, and what had the focus.

import { say } from "./say.js";

const SETTLED_MS = 150;

history.scrollRestoration = "manual";
let timer = null;
addEventListener(
  "scroll",
  () => {
    clearTimeout(timer);
    const { href } = location;
    timer = setTimeout(() => {
      // The state belongs to the entry of the history that it was scrolled in.
      if (location.href === href) history.replaceState({ ...history.state, scroll: scrollY }, "");
    }, SETTLED_MS);
  },
  { passive: true },
);

/**
 * @typedef {{isSame: boolean, isFirst: boolean, focused: string, scroll: number}} Before
 */

export const place = {
  /**
   * @param {import("./route.js").Route|null} from null = the page was opened
   * @param {import("./route.js").Route} to
   * @returns {Before}
   */
  leaving(from, to) {
    clearTimeout(timer);
    // Other parameters of the same view, or the same once more: the reader stays where they are.
    const isSame = from?.view === to.view && from?.name === to.name;
    const scroll = isSame && history.state?.scroll === undefined ? scrollY : history.state?.scroll || 0;
    return {
      isSame,
      isFirst: from === null,
      focused: isSame ? selectorOf(document.activeElement) : "",
      scroll,
    };
  },

  /** @param {HTMLElement} root what is shown now @param {Before} before */
  arrived(root, { isSame, isFirst, focused, scroll }) {
    scrollTo(0, scroll);
    if (isSame) {
      const main = document.getElementById("main");
      if (focused) (root.querySelector(focused) || main).focus({ preventScroll: true });
      return;
    }
    if (isFirst || document.querySelector("dialog[open]")) return;
    // The view itself knew better where the reader goes on.
    if (root.contains(document.activeElement)) return;
    document.getElementById("main").focus({ preventScroll: true });
    say(root.querySelector("h1")?.textContent || "");
  },
};

/** How to find an element of the view again when the view is drawn anew; "" = it can't be. */
function selectorOf(element) {
  if (!element?.closest("#main")) return "";
  if (element.id) return `#${CSS.escape(element.id)}`;
  for (const attribute of ["name", "aria-label", "href"]) {
    const value = element.getAttribute(attribute);
    if (value) return `${element.localName}[${attribute}=${CSS.escape(value)}]`;
  }
  return "";
}
