// Fetches the page's live part again: 2 s after the last answer came, so requests never overlap; not while the tab
// is hidden, a dialog is open, text in the part is selected, or the visitor paused it.
import { morph } from "./morph.js";

const EVERY_MS = 2000;
const SLOWEST_MS = 30000;

export function startLiving(part, dress) {
  const state = document.querySelector("[data-live-state]");
  const toggle = state.querySelector("[data-live-toggle]");
  let paused = sessionStorage.getItem("paused") === "yes";
  let failures = 0;
  let timer = 0;

  function say(mood, words) {
    state.hidden = false;
    state.dataset.mood = mood;
    state.querySelector("[data-live-text]").textContent = words;
    toggle.textContent = paused ? toggle.dataset.resume : toggle.dataset.pause;
  }

  function plan() {
    clearTimeout(timer);
    if (paused) return say("off", state.dataset.off);
    if (!failures) say("on", state.dataset.on);
    timer = setTimeout(refresh, Math.min(EVERY_MS * 2 ** failures, SLOWEST_MS));
  }

  async function refresh() {
    if (document.hidden) return; // visibilitychange plans the next one
    if (isBusy(part)) return plan();
    try {
      const answer = await fetch(location.href, {
        headers: { Accept: "text/html", "X-Flowzz-Fragment": "live" },
        signal: AbortSignal.timeout(10000),
      });
      if (answer.status === 401 || answer.status === 403) return say("lost", state.dataset.signedOut);
      if (answer.status === 404) return location.reload();
      if (!answer.ok) throw new Error(`status ${answer.status}`);
      show(await answer.text());
      failures = 0;
    } catch {
      failures += 1;
      say("lost", state.dataset.lost);
    }
    plan();
  }

  function show(html) {
    if (isBusy(part)) return;
    // The wrapper keeps the leading white space, so that the nodes stay in step with those on the page.
    const fresh = new DOMParser().parseFromString(`<div>${html}</div>`, "text/html").body.firstElementChild;
    dress(fresh);
    morph(part, fresh);
    dress(part);
  }

  toggle.addEventListener("click", () => {
    paused = !paused;
    sessionStorage.setItem("paused", paused ? "yes" : "no");
    plan();
  });
  document.addEventListener("visibilitychange", () => {
    clearTimeout(timer);
    if (!document.hidden && !paused) refresh();
  });
  plan();
}

function isBusy(part) {
  if (document.querySelector("dialog[open]")) return true;
  const chosen = getSelection();
  return Boolean(chosen) && !chosen.isCollapsed && part.contains(chosen.anchorNode);
}
