// One Watch for all tabs, in a SharedWorker: a browser has six connections to a host, and each Watch
// holds one. It runs while a tab is in sight, with the token of one of those tabs.

import { Feed } from "./feed.js";

/** @type {Map<MessagePort, {token: string, isVisible: boolean, isRefused: boolean}>} */
const tabs = new Map();
// The token that the feed runs with; null = it does not run.
let token = null;
const last = { state: null, beat: null };
const feed = new Feed(pass);

self.onconnect = ({ ports: [port] }) => {
  port.onmessage = ({ data }) => receive(port, data);
};

function receive(port, message) {
  if (message.kind === "hurry") return feed.hurry();
  if (message.kind === "bye") tabs.delete(port);
  else {
    const before = tabs.get(port);
    tabs.set(port, { token: message.token, isVisible: message.isVisible, isRefused: false });
    if (message.isVisible && (!before?.isVisible || before.isRefused)) welcome(port);
  }
  settle();
}

/** Say how things stand: the tab compares the revision with what it saw last. */
function welcome(port) {
  if (last.state && token !== null) port.postMessage(last.state);
  if (last.beat) port.postMessage({ ...last.beat, isWelcome: true });
}

/** Run the feed with the token of a tab in sight; without one, don't. */
function settle() {
  const wanted = [...tabs.values()].filter((tab) => tab.isVisible && !tab.isRefused).map((tab) => tab.token);
  if (token !== null && wanted.includes(token)) return;
  token = wanted.length ? wanted[0] : null;
  if (token === null) feed.stop();
  else feed.start(token);
}

function pass(event) {
  if (event.kind === "refused") return refuse(event);
  if (event.kind in last) last[event.kind] = event;
  for (const [port, tab] of tabs) if (tab.isVisible && !tab.isRefused) port.postMessage(event);
}

function refuse(event) {
  for (const [port, tab] of tabs) {
    if (tab.token !== token) continue;
    tab.isRefused = true;
    port.postMessage(event);
  }
  token = null;
  settle();
}
