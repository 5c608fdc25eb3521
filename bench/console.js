// What bench/console.py runs in the page: times from a click until the frame that shows its effect.

window.bench = (() => {
  const isShown = (address) => {
    const main = document.getElementById("main");
    return main.dataset.address === address && main.getAttribute("aria-busy") === "false"
      && main.querySelector("svg.picture .node") !== null;
  };
  // After the frame in which a condition holds first has been handed over to be shown.
  const framed = (holds) =>
    new Promise((done, fail) => {
      const latest = performance.now() + 60_000;
      const look = () => {
        if (!holds()) return performance.now() < latest ? requestAnimationFrame(look) : fail(new Error("not shown"));
        const { port1, port2 } = new MessageChannel();
        port1.onmessage = () => done(performance.now());
        return port2.postMessage("");
      };
      requestAnimationFrame(look);
    });
  let frames = [];
  let recording = 0;
  const record = (time) => {
    frames.push(time);
    recording = requestAnimationFrame(record);
  };
  return {
    /** Milliseconds since the page was asked for until its first picture. */
    start: () => framed(() => document.querySelector("main svg.picture .node") !== null),
    /** Click a link to an address; milliseconds until its picture. */
    async open(address) {
      const link = document.createElement("a");
      link.href = address;
      document.body.append(link);
      const began = performance.now();
      link.click();
      link.remove();
      return (await framed(() => isShown(address))) - began;
    },
    nodes: () => document.querySelectorAll("main svg.picture .node").length,
    edges: () => document.querySelectorAll("main svg.picture .edge").length,
    /** Type into the search; milliseconds until the suggestions for it are there. */
    async suggest(text) {
      const input = document.querySelector("#top input[role=combobox]");
      const names = () => [...document.querySelectorAll("[role=option]")].map((each) => each.textContent).join();
      input.focus();
      input.value = "";
      input.dispatchEvent(new InputEvent("input", { bubbles: true }));
      await framed(() => true);
      const before = names();
      const began = performance.now();
      input.value = text;
      input.dispatchEvent(new InputEvent("input", { bubbles: true }));
      return (await framed(() => names() !== before && names() !== "")) - began;
    },
    watch() {
      frames = [];
      recording = requestAnimationFrame(record);
    },
    /** Milliseconds between the frames since `watch`. */
    gaps() {
      cancelAnimationFrame(recording);
      return frames.slice(1).map((time, index) => time - frames[index]);
    },
  };
})();
