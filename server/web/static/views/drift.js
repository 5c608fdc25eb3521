// The view Drift.

import { h } from "../lib/dom.js";

/** @type {import("../app.js").View} */
export const view = {
  id: "drift",
  title: "Drift",
  async show({ root }) {
    root.append(h("h1", {}, "Drift"));
  },
};
