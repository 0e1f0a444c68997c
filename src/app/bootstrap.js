// Brings the page to life, and sees to it that a page that cannot come to life works without scripts.
// What comes before this in the same script names the files: const js, wasm, sender, report.
//
// A fault is told to the server once, counted for this address and build, and the page is read anew once. After a
// second one the program is not started any more: the server's page stays, with its links and forms.
const root = document.documentElement;
const KEPT = "milepost-fault";
const FAULTS_MAX = 2;
// After so long, faults of before do not count any more.
const KEPT_MS = 300_000;
const REFRESH_MS = 5_000;
const MESSAGE_CHARS_MAX = 1_000;
const PAINT_MS_MAX = 200;
// What the program hears of people: after a fault the browser alone answers to it.
const HEARD = ["click", "submit", "input", "change", "keydown", "popstate"];
let failed = false;

// How often this page has failed lately.
function faults() {
  try {
    const kept = JSON.parse(sessionStorage.getItem(KEPT) ?? "null");
    const same = kept?.path === location.pathname && kept.build === root.dataset.build;
    return same && KEPT_MS > Date.now() - kept.at ? kept.faults : 0;
  } catch {
    return 0;
  }
}

// Remembers how often; false where it cannot be remembered.
function keep(faults) {
  try {
    const { build } = root.dataset;
    sessionStorage.setItem(KEPT, JSON.stringify({ path: location.pathname, build, faults, at: Date.now() }));
    return true;
  } catch {
    return false;
  }
}

// True where reading the page anew would take away what somebody has typed or chosen.
function filledIn() {
  // What a box is called by a form is not what somebody chose.
  const isBox = (field) => ["checkbox", "radio"].includes(field.type);
  const typed = (field) => (isBox(field) ? field.checked !== field.defaultChecked : field.value !== field.defaultValue);
  const changed = (field) => field.files?.length > 0 || typed(field);
  return [...document.querySelectorAll("input,textarea")].some((field) => field.type !== "hidden" && changed(field));
}

// The page as it is without scripts, and a line that says so.
function still() {
  root.removeAttribute("data-alive");
  root.setAttribute("data-still", "");
  const line = document.createElement("p");
  line.className = "flash still-line";
  line.setAttribute("role", "status");
  line.append("Scripts stopped on this page. It works without them, but does not move by itself. ");
  const again = document.createElement("button");
  again.type = "button";
  again.className = "button-link";
  again.textContent = "Start them again";
  again.addEventListener("click", () => {
    keep(0);
    location.reload();
  });
  line.append(again);
  document.getElementById("main")?.prepend(line);
  // What `noscript` would have done.
  if ([...document.querySelectorAll("noscript")].some((one) => one.textContent.includes("refresh"))) {
    const busy = () => filledIn() || document.activeElement?.form || document.querySelector("details[open]");
    setInterval(() => busy() || readAnew(), REFRESH_MS);
  }
}

// A page that cannot be had must not take the place of this one.
async function readAnew() {
  const answer = await fetch(location.href, { headers: { accept: "text/html" } }).catch(() => null);
  if (answer && 500 > answer.status) location.reload();
  return Boolean(answer);
}

function tell(message) {
  const told = { build: root.dataset.build ?? "", path: location.pathname, message: message.slice(0, MESSAGE_CHARS_MAX) };
  navigator.sendBeacon?.(report, JSON.stringify(told));
}

function leaveToTheBrowser(event) {
  if (event.target.closest?.(".still-line")) return;
  event.stopImmediatePropagation();
  // An address that the program had made: the browser believes that its page is here.
  if (event.type === "popstate") location.reload();
}

// The program has ended: it does not come back on this page.
async function fail(message, loaded) {
  if (failed) return;
  failed = true;
  root.removeAttribute("data-alive");
  for (const heard of HEARD) addEventListener(heard, leaveToTheBrowser, true);
  tell(message);
  const again = keep(faults() + 1) && !filledIn();
  if (!again) still();
  else if (loaded) location.reload();
  else if (!(await readAnew())) still();
}

const words = (fault) => `${fault?.message ?? fault}`;
const ours = (fault, file) => fault instanceof WebAssembly.RuntimeError || [js, wasm].some((name) => file?.endsWith(name));
// A panic says what it is before the program traps; a trap without one is a stack or memory that ran out.
addEventListener("milepost:panic", (event) => fail(words(event.detail), true));
addEventListener("error", (event) => ours(event.error, event.filename) && fail(words(event.error ?? event.message), true));
addEventListener("unhandledrejection", (event) => ours(event.reason) && fail(words(event.reason), true));

async function wake() {
  let loaded = false;
  try {
    const program = await import(js);
    await program.default({ module_or_path: wasm });
    loaded = true;
    program.hydrate();
  } catch (fault) {
    return fail(words(fault), loaded);
  }
  // One turn later: then the effects of hydration have run, and all that it listens to is listened to.
  setTimeout(() => failed || root.setAttribute("data-alive", ""));
}

// Once the browser has drawn the server's page; a hidden tab draws nothing, and is not waited for.
function afterPaint(start) {
  let begun = false;
  const once = () => {
    if (!begun) {
      begun = true;
      start();
    }
  };
  requestAnimationFrame(() => setTimeout(once));
  setTimeout(once, PAINT_MS_MAX);
}

// What sends files is loaded when there are some.
globalThis.milepostSend = (job) =>
  import(sender).then(
    (all) => all[job.act](job),
    () => job.tell("refused", 0, 0, "No contact with the server. Nothing was submitted; try again, or load the page anew."),
  );

if (faults() >= FAULTS_MAX) still();
else afterPaint(wake);
