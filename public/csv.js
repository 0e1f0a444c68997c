// A CSV on New batch, looked at by the server before it runs: what its columns seem to hold, and which rows would fail.
const HEAD_BYTES = 256 * 1024;
const TYPING_MS = 400;
let looks = 0;
let typing = 0;
// One that was dropped or chosen elsewhere, until there is a place for it.
let dropped = null;

const placeOf = (form) => form?.querySelector("[data-look]");
const fileOf = (form) => form.querySelector("input[type=file][name=csv]");

// Over what it would run, for the button.
function count(form, place) {
  const over = form.querySelector("[data-counted]");
  if (!over) return;
  over.value = place.firstElementChild?.dataset.over ?? "";
  over.dispatchEvent(new Event("input", { bubbles: true }));
}

async function look(form) {
  const place = placeOf(form);
  const mine = (looks += 1);
  const body = new FormData(form);
  body.delete("csv");
  const [file] = fileOf(form).files;
  if (file?.size > HEAD_BYTES) body.append("csv-cut", "true");
  if (file) body.append("csv", file.slice(0, HEAD_BYTES), file.name);
  else body.append("csv", form.querySelector("textarea[name=csv]").value);
  const answer = await fetch(place.dataset.look, { method: "POST", body }).catch(() => null);
  const said = await answer?.json().catch(() => null);
  if (mine !== looks || !place.isConnected) return;
  const focused = place.contains(document.activeElement) ? document.activeElement.id : "";
  const { scrollLeft = 0, scrollTop = 0 } = place.querySelector(".preview-table") ?? {};
  if (typeof said === "string") {
    place.innerHTML = said;
  } else {
    const line = document.createElement("p");
    line.className = "flash";
    line.setAttribute("role", "alert");
    const at = said?.line ? ` (line ${said.line})` : "";
    line.append(said?.detail ? said.detail + at : "No contact with the server: the rows could not be looked at. Nothing was submitted.");
    place.replaceChildren(line);
  }
  place.querySelector(".preview-table")?.scrollTo(scrollLeft, scrollTop);
  // An element of the same name stands in the place of the one that was focused.
  if (focused) document.getElementById(focused)?.focus({ preventScroll: true });
  count(form, place);
}

// What was said of the columns of another text is not kept.
function lookAnew(form) {
  placeOf(form).replaceChildren();
  look(form);
}

addEventListener("change", ({ target }) => {
  const form = target.closest?.("form");
  if (!placeOf(form)) return;
  if (target.name === "csv" || target.name === "param.columns") lookAnew(form);
  else if (target.closest("[data-look]") || target.name?.startsWith("param.")) look(form);
});
addEventListener("input", ({ target }) => {
  const form = target.closest?.("form");
  if (!target.matches?.("textarea[name=csv]") || !placeOf(form)) return;
  clearTimeout(typing);
  typing = setTimeout(() => form.isConnected && lookAnew(form), TYPING_MS);
});

function give(form, file) {
  const list = new DataTransfer();
  list.items.add(file);
  const input = fileOf(form);
  input.files = list.files;
  input.dispatchEvent(new Event("change", { bubbles: true }));
}

const isTable = (files) => files.length === 1 && /\.(csv|tsv)$/i.test(files[0].name);
// One that was chosen as a file: its rows may be taken yet. Before the program empties the field.
addEventListener("change", ({ target }) => {
  if (target.matches?.("input[type=file][name=file]") && isTable(target.files)) [dropped] = target.files;
}, true);
addEventListener("submit", () => (dropped = null));

// A CSV that is dropped is read where rows are taken: here, or on the page that it opens.
addEventListener("drop", (event) => {
  const files = event.dataTransfer?.files ?? [];
  if (!isTable(files)) return;
  const form = document.querySelector("[data-look]")?.closest("form");
  if (form) {
    // It is none of the files that wait for a task.
    event.preventDefault();
    give(form, files[0]);
  } else dropped = files[0];
}, true);
new MutationObserver(() => {
  const form = dropped && document.querySelector("[data-look]")?.closest("form");
  if (!form || !("alive" in document.documentElement.dataset)) return;
  const file = dropped;
  dropped = null;
  give(form, file);
}).observe(document, { childList: true, subtree: true });
