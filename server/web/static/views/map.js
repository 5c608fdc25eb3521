// The view Map.

import { h } from "../lib/dom.js";

/** @type {import("../app.js").View} */
export const view = {
  id: "map",
  title: "Map",
  async show({ root }) {
    root.append(h("h1", {}, "Map"));
  },
};
