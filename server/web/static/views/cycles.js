// The view Cycles.

import { h } from "../lib/dom.js";

/** @type {import("../app.js").View} */
export const view = {
  id: "cycles",
  title: "Cycles",
  async show({ root }) {
    root.append(h("h1", {}, "Cycles"));
  },
};
