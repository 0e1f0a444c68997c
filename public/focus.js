// Focus, menus and places: what browsers do between pages, for pages that are changed in place.
const PAGE_MS = 10_000;
const SCROLL_MS = 5_000;
const MENUS = "details[name=menu]";
const FOCUSABLE = "a[href],button,summary,input:not([type=hidden]),select,textarea,[tabindex]";

// The focused element and what it stands in.
let path = [];
// The heading of a page that was left, while the new one has not come; and how far down to go there.
let left = null;
// How far down each page was when it was left.
const places = new Map();

addEventListener("focusin", (event) => {
  path = [];
  for (let at = event.target; at; at = at.parentElement) path.push(at);
});
addEventListener("focusout", () => {
  const [was] = path;
  // Left by the person, not taken out of the page.
  setTimeout(() => {
    if (was === path[0] && was?.isConnected && document.activeElement !== was) path = [];
  });
});

function focusOn(element) {
  if (!element.matches(FOCUSABLE)) element.setAttribute("tabindex", "-1");
  element.focus({ preventScroll: true });
}

// What was focused is gone: its neighbour, or what is nearest around it.
function focusNear() {
  const [was] = path;
  const around = path.find((one) => one.isConnected && one !== document.body && one.id !== "main");
  const heading = document.querySelector("main h1");
  path = [];
  const places = around ? [...around.querySelectorAll(FOCUSABLE)].filter((one) => one.checkVisibility?.() ?? true) : [];
  // The same field of a form that was made anew, before any other.
  const near = places.find((one) => was?.name && one.name === was.name) ?? places[0];
  const next = near ?? around ?? heading;
  if (next) focusOn(next);
}

// A list has its height only once its rows came. Who scrolls or types meanwhile has their way.
let scrollUntil = 0;
for (const act of ["wheel", "touchmove", "pointerdown", "keydown"]) addEventListener(act, () => (scrollUntil = 0), { passive: true });
function scrollBack(to) {
  scrollTo(0, to);
  if (scrollUntil > Date.now() && Math.abs(scrollY - to) > 1) requestAnimationFrame(() => scrollBack(to));
}

function leave(to) {
  left = { heading: document.querySelector("main h1"), until: Date.now() + PAGE_MS, to };
}

// Where one is in a long list goes into the address that is left: Back returns to it.
function keepPlace() {
  const list = document.querySelector(".lines-alive");
  const top = list?.getBoundingClientRect().top;
  const row = list && [...list.querySelectorAll("[aria-rowindex]")].find((one) => one.getBoundingClientRect().bottom > top + 1);
  const address = new URL(location.href);
  if (!row || (row.ariaRowIndex === "1" && !address.searchParams.has("from"))) return;
  address.searchParams.set("from", row.ariaRowIndex);
  history.replaceState(history.state, "", address);
}
addEventListener("pagehide", keepPlace);

const push = history.pushState;
history.pushState = function pushed(...given) {
  keepPlace();
  places.set(location.href, scrollY);
  const from = location.pathname;
  push.apply(this, given);
  if (location.pathname !== from) leave(null);
};
// What is asked of a page stands in its address. Where the program runs, a form that asks is a link to that.
addEventListener("submit", (event) => {
  const form = event.target;
  if (event.defaultPrevented || form.method !== "get" || !document.documentElement.hasAttribute("data-alive")) return;
  event.preventDefault();
  if (form.matches(":popover-open")) form.hidePopover();
  const asked = [...new FormData(form, event.submitter)].filter(([, value]) => value !== "");
  const link = document.createElement("a");
  link.href = `${new URL(form.action).pathname}?${new URLSearchParams(asked)}`.replace(/\?$/, "");
  link.dataset.stay = "";
  document.body.append(link);
  link.click();
  link.remove();
});
let shown = location.pathname;
// Before the program hears of it and changes the page.
addEventListener("popstate", () => {
  if (location.pathname !== shown) leave(places.get(location.href) ?? null);
}, true);

new MutationObserver(() => {
  shown = location.pathname;
  if (left) {
    const heading = document.querySelector("main h1");
    const came = heading && heading !== left.heading;
    if (came || Date.now() > left.until) {
      const { to } = left;
      left = null;
      if (came) focusOn(heading);
      if (came && to !== null) {
        scrollUntil = Date.now() + SCROLL_MS;
        scrollBack(to);
      }
    }
  } else if (path.length > 0 && !path[0].isConnected && document.activeElement === document.body) {
    focusNear();
  }
}).observe(document, { childList: true, subtree: true });

// Menus close on Escape, on a click elsewhere, and when what they ask is answered; `name` has one open at a time.
const open = () => [...document.querySelectorAll(MENUS)].filter((menu) => menu.open);
function close(menu, focus) {
  menu.open = false;
  if (focus) menu.querySelector("summary").focus();
}
addEventListener("keydown", (event) => {
  const [menu] = open();
  if (event.key !== "Escape" || !menu) return;
  event.preventDefault();
  close(menu, true);
});
addEventListener("click", (event) => {
  for (const menu of open()) if (!menu.contains(event.target)) close(menu, false);
});
addEventListener("submit", (event) => {
  const menu = event.target.closest?.(MENUS);
  // After the form was read.
  if (menu) setTimeout(() => menu.isConnected && close(menu, true));
});

// Commands and keys come when they are first asked for. Single keys can be turned off, those of the program too.
const KEYS = "?/gbnswajkf";
const CHORD_MS = 1_500;
let chordUntil = 0;
const areKeysOff = () => {
  try {
    return localStorage.getItem("milepost-keys-off") !== null;
  } catch {
    return false;
  }
};
const withCommands = (use) => import("/commands.js").then(use, () => {});
function press(event) {
  if (event.altKey || event.isComposing) return;
  if (event.key === "k" && event.ctrlKey !== event.metaKey) {
    event.preventDefault();
    withCommands(({ showPalette }) => showPalette());
    return;
  }
  const isTyped = event.target.closest?.("input:not([type=checkbox]),textarea,select,dialog") != null;
  if (event.ctrlKey || event.metaKey || isTyped || event.key.length > 1 || !KEYS.includes(event.key)) return;
  if (areKeysOff()) {
    event.stopImmediatePropagation();
    return;
  }
  const isChord = chordUntil > Date.now();
  chordUntil = event.key === "g" && !isChord ? Date.now() + CHORD_MS : 0;
  if (chordUntil > 0) return;
  if (isChord) {
    event.preventDefault();
    event.stopImmediatePropagation();
    withCommands(({ follow }) => follow(event.key));
    return;
  }
  // What the page takes for itself is its own; it hears of the key after this.
  setTimeout(() => event.defaultPrevented || withCommands(({ act }) => act(event.key)));
}
addEventListener("keydown", press, true);
const withNotify = (use) => import("/notify.js").then(use, () => {});
addEventListener("click", (event) => {
  if (event.target.closest?.("[data-commands]")) withCommands(({ showPalette }) => showPalette());
  if (event.target.closest?.("[data-notify]")) withNotify(({ toggle }) => toggle());
});
try {
  if (localStorage.getItem("milepost-notify") !== null) withNotify(({ watch }) => watch());
} catch {
  // Nothing is kept here.
}
