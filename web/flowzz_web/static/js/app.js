// Everything here is a comfort: without it each page works by plain links and forms.
import { startConfirming } from "./confirm.js";
import { startCopying } from "./copy.js";
import { startLiving } from "./live.js";
import { showLocalTimes } from "./times.js";

const live = document.getElementById("live");

function dress(root) {
  showLocalTimes(root);
  startCopying(root);
}

dress(document);
startConfirming(document.querySelector("[data-dialog]"));
for (const current of document.querySelectorAll(".top nav [aria-current], .tabs [aria-current]")) {
  current.scrollIntoView({ block: "nearest", inline: "center" });
}
if (live?.dataset.live === "on") startLiving(live, dress);
