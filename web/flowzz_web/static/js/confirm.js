// Asks before a form with data-confirm is sent; data-ask asks for a reason too. One dialog for all of them.

export function startConfirming(dialog) {
  const ask = dialog.querySelector("[data-dialog-ask]");
  const reason = ask.querySelector("input");
  let waiting = null;

  document.addEventListener("submit", (event) => {
    const form = event.target;
    if (!form.dataset.confirm || form.dataset.confirmed) return;
    event.preventDefault();
    waiting = form;
    dialog.querySelector("[data-dialog-text]").textContent = form.dataset.confirm;
    dialog.querySelector("[data-dialog-go]").textContent = form.dataset.go;
    ask.hidden = !form.dataset.ask;
    ask.querySelector("[data-dialog-ask-text]").textContent = form.dataset.ask ?? "";
    reason.value = "";
    dialog.returnValue = "";
    dialog.showModal();
  });

  // Enter in the reason means "go", not the first button, which is Cancel.
  reason.addEventListener("keydown", (event) => {
    if (event.key !== "Enter") return;
    event.preventDefault();
    dialog.close("go");
  });

  dialog.addEventListener("close", () => {
    const form = waiting;
    waiting = null;
    if (!form || dialog.returnValue !== "go") return;
    if (form.dataset.ask) form.append(hidden("reason", reason.value));
    form.dataset.confirmed = "yes";
    form.requestSubmit();
  });
}

function hidden(name, value) {
  const field = document.createElement("input");
  Object.assign(field, { type: "hidden", name, value });
  return field;
}
