// The view Paths.

import { h } from "../lib/dom.js";

/** @type {import("../app.js").View} */
export const view = {
  id: "paths",
  title: "Paths",
  async show({ root }) {
    root.append(h("h1", {}, "Paths"));
  },
};
