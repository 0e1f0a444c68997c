// Pages without the program: a form is sent in the background, so that one that is refused keeps what was typed, and one that is
// done shows the page as it is now without going blank. Without this script the browser posts the same forms.
const root = document.documentElement;
const NO_CONTACT = "No contact with the server. It is not known whether this arrived: look at the page again before the next try.";
const main = () => document.getElementById("main");

// Says why nothing was done, above everything else on the page.
function say(lines) {
  for (const old of document.querySelectorAll(".flash")) old.remove();
  (main().querySelector("section") ?? main()).prepend(...lines);
  lines[0].tabIndex = -1;
  lines[0].focus();
}

function refusal(words) {
  const line = document.createElement("p");
  line.className = "flash";
  line.setAttribute("role", "alert");
  line.append(words);
  return line;
}

// Times of day by the clock of whoever reads, in their language.
function localise(place) {
  for (const time of place.querySelectorAll("time.local")) time.textContent = new Date(time.dateTime).toLocaleString();
}

function show(next) {
  const opened = [...document.querySelectorAll("#main details[open]>summary")].map((summary) => summary.textContent);
  localise(next);
  main().replaceWith(next);
  for (const summary of next.querySelectorAll("details>summary")) {
    if (opened.includes(summary.textContent)) summary.parentElement.open = true;
  }
  const heading = next.querySelector("[role=status]") ?? next.querySelector("h1");
  if (heading) {
    heading.tabIndex = -1;
    heading.focus();
  }
}

async function send(form, button) {
  const body = new URLSearchParams(new FormData(form, button));
  const answer = await fetch(form.action, { method: "POST", body, headers: { accept: "text/html" } }).catch(() => null);
  const text = await answer?.text().catch(() => null);
  if (text == null) return say([refusal(NO_CONTACT)]);
  // The style would be refused: its nonce is that of another page.
  const page = new DOMParser().parseFromString(text.replace(/\x3cstyle[^]*?\x3c\/style>/, ""), "text/html");
  const next = page.getElementById("main");
  // Somewhere else now, or no page of ours: the browser goes there.
  if (!next || new URL(answer.url).pathname !== location.pathname) return location.assign(answer.url);
  const refused = [...next.querySelectorAll(".flash[role=alert]")];
  if (refused.length > 0) return say(refused);
  const theme = page.documentElement.dataset.theme;
  if (theme) root.dataset.theme = theme;
  else delete root.dataset.theme;
  show(next);
  const [before, done] = [document, page].map((one) => one.querySelector(".done-place"));
  if (before && done) before.replaceWith(done);
}

let sending = false;
addEventListener("submit", (event) => {
  const form = event.target;
  // What signs in or out takes another page, and a password: that is left to the browser. So are files.
  if (event.defaultPrevented || form.enctype === "multipart/form-data" || form.method !== "post" || !new URL(form.action).pathname.startsWith("/api/")) return;
  event.preventDefault();
  if (sending) return;
  sending = true;
  send(form, event.submitter).finally(() => (sending = false));
});
// Files are taken on other pages: here the browser would open one in place of the page.
for (const kind of ["dragover", "drop"]) addEventListener(kind, (event) => event.preventDefault());
localise(document);
root.setAttribute("data-alive", "");
