// The view Impact.

import { h } from "../lib/dom.js";

/** @type {import("../app.js").View} */
export const view = {
  id: "impact",
  title: "Impact",
  async show({ root }) {
    root.append(h("h1", {}, "Impact"));
  },
};
