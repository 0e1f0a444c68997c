// Commands and keys: a palette that goes everywhere and presses what the page offers, and a list of the keys.
// Loaded when first asked for (by the button in the header, Ctrl+K or a key that focus.js hands over). It knows nothing of the
// program: it follows the page's own links and presses its own buttons, so it offers exactly what may be done.
const FOUND_MAX = 8;
const SEARCH_AFTER_MS = 120;
const SHOWN_MAX = 60;
const OFF = "milepost-keys-off";

const ALWAYS = [["/", "Batches"], ["/new", "New batch"], ["/schedules", "Schedules"], ["/nodes", "Nodes"], ["/webhooks", "Webhooks"], ["/account", "Account"]];
const CHORDS = { b: "/", n: "/nodes", s: "/schedules", w: "/webhooks", a: "/account" };
const KEYS = [
  ["Everywhere", [["Ctrl K", "commands: go to a batch, a page or an item, or act"], ["?", "these keys"], ["n", "new batch"], ["/", "search or filter on this page"],
    ["g b", "batches"], ["g n", "nodes"], ["g s", "schedules"], ["g w", "webhooks"], ["g a", "account"], ["Esc", "close what is open"]]],
  ["In a list", [["j", "next row"], ["k", "previous row"], ["Enter", "open it"]]],
  ["On an item", [["j", "next item"], ["k", "previous item"], ["f", "next failed"], ["b", "its batch"]]],
  ["On the strip", [["← →", "from stretch to stretch"], ["Home End", "first and last"], ["Enter", "show its items"]]],
];

const make = (name, attributes, ...children) => {
  const element = document.createElement(name);
  for (const [key, value] of Object.entries(attributes)) element.setAttribute(key, value);
  element.append(...children);
  return element;
};
const words = (element) => (element.getAttribute("aria-label") ?? element.innerText ?? "").replace(/\s+/g, " ").trim();
const isThere = (element) => (element.checkVisibility?.() ?? true) && element.getAttribute("aria-disabled") !== "true" && !element.disabled;

// Follows a link as a click on the page does, so that the program takes those that are its own.
function go(address) {
  const known = [...document.querySelectorAll("a[href]")].find((link) => link.getAttribute("href") === address);
  if (known) return known.click();
  const link = make("a", { href: address, hidden: "" });
  document.body.append(link);
  link.click();
  link.remove();
}

// What this page offers: its acts, with those in menus, then its parts, then the pages.
function offered() {
  const commands = [];
  const add = (kind, name, run) => {
    if (name && !commands.some((other) => other.name === name && other.kind === kind)) commands.push({ kind, name, run });
  };
  for (const act of document.querySelectorAll("main .acts button, main .acts a.button, main .head > a.button, main .acts summary")) {
    if (!isThere(act) || act.closest("dialog")) continue;
    add("act", words(act), () => {
      act.focus();
      act.click();
    });
  }
  for (const part of document.querySelectorAll("main .tabs a, main .filter-row a")) add("show", words(part), () => part.click());
  for (const link of document.querySelectorAll(".ways a, .who-menu a")) add("page", words(link) || link.textContent.trim(), () => link.click());
  for (const [address, name] of ALWAYS) add("page", name, () => go(address));
  add("help", "Keys", showKeys);
  return commands;
}

// Batches by name or number; an answer that is overtaken is dropped.
let asked = 0;
async function found(text) {
  asked += 1;
  const mine = asked;
  await new Promise((after) => setTimeout(after, SEARCH_AFTER_MS));
  if (mine !== asked) return null;
  try {
    const answer = await fetch(`/api/v1/batches?${new URLSearchParams({ q: text, limit: FOUND_MAX })}`, { headers: { accept: "application/json" } });
    const { batches } = answer.ok ? await answer.json() : { batches: [] };
    if (mine !== asked) return null;
    return batches.map(({ id, number, name, state }) => ({ kind: state, name: `#${number} ${name}`, run: () => go(`/batches/${id}`) }));
  } catch {
    return [];
  }
}

// On the pages of a batch a plain number is one of its items.
function items(text) {
  const batch = location.pathname.match(/^\/batches\/[0-9a-f-]{36}/)?.[0];
  const number = text.replaceAll(/[,. ]/g, "");
  return batch && /^[1-9]\d{0,17}$/.test(number) ? [{ kind: "item", name: `Item ${number}`, run: () => go(`${batch}/items/${number}`) }] : [];
}

// The style of the dialogs; none is shown before it is there.
let styled = null;
const style = () => {
  styled ??= new Promise((there) => {
    const link = make("link", { rel: "stylesheet", href: "/commands.css" });
    link.addEventListener("load", there);
    link.addEventListener("error", there);
    document.head.append(link);
  });
  return styled;
};

function dialog(label, ...children) {
  for (const open of document.querySelectorAll("dialog.commands")) open.remove();
  const box = make("dialog", { class: "commands", "aria-label": label }, ...children);
  box.addEventListener("close", () => box.remove());
  // A click beside the box is on the dialog itself.
  box.addEventListener("click", (event) => event.target === box && box.close());
  document.body.append(box);
  box.showModal();
  return box;
}

export async function showPalette() {
  await style();
  const field = make("input", { type: "text", role: "combobox", "aria-expanded": "true", "aria-controls": "commands-list", "aria-autocomplete": "list",
    "aria-label": "Command", placeholder: "Go to a batch, a page or an item, or act", autocomplete: "off", spellcheck: "false", maxlength: "200" });
  const list = make("ul", { id: "commands-list", role: "listbox", "aria-label": "Commands" });
  const none = make("p", { class: "hint commands-none", role: "status" });
  const all = offered();
  const box = dialog("Commands", make("div", { class: "commands-box" }, field, list, none));
  let shown = [];
  let at = 0;
  const mark = () => {
    [...list.children].forEach((row, place) => row.setAttribute("aria-selected", String(place === at)));
    field.setAttribute("aria-activedescendant", shown.length > 0 ? `command-${at}` : "");
    list.children[at]?.scrollIntoView({ block: "nearest" });
  };
  const run = (command) => {
    box.close();
    command?.run();
  };
  const draw = (commands, otherwise) => {
    shown = commands.slice(0, SHOWN_MAX);
    at = 0;
    list.replaceChildren(...shown.map((command, place) => {
      const row = make("li", { role: "option", id: `command-${place}`, class: "command" }, make("span", { class: "command-kind" }, command.kind), make("span", { class: "command-name" }, command.name));
      row.addEventListener("click", () => run(command));
      return row;
    }));
    list.hidden = shown.length === 0;
    none.textContent = shown.length > 0 ? "" : otherwise;
    mark();
  };
  const narrow = async () => {
    const text = field.value.trim();
    const parts = text.toLowerCase().split(/\s+/);
    const matching = all.filter(({ name }) => parts.every((part) => name.toLowerCase().includes(part)));
    const near = [...items(text), ...matching];
    draw(near, "Searching…");
    if (!text) return;
    const batches = await found(text);
    // Whoever has moved on in the list meanwhile keeps the place.
    if (batches && box.open) {
      const [held, key] = [at, shown[at]];
      draw([...near, ...batches], "Nothing is called that.");
      if (shown[held] === key) at = held;
      mark();
    }
  };
  field.addEventListener("input", narrow);
  field.addEventListener("keydown", (event) => {
    const step = { ArrowDown: 1, ArrowUp: -1 }[event.key];
    if (step && shown.length > 0) {
      event.preventDefault();
      at = (at + step + shown.length) % shown.length;
      mark();
    } else if (event.key === "Enter") {
      event.preventDefault();
      if (shown[at]) run(shown[at]);
    }
  });
  draw(all, "");
  field.focus();
}

const areOff = () => {
  try {
    return localStorage.getItem(OFF) !== null;
  } catch {
    return false;
  }
};

export async function showKeys() {
  await style();
  const groups = KEYS.map(([title, keys]) => make("section", {}, make("h3", {}, title), make("dl", {}, ...keys.map(([key, does]) =>
    make("div", {}, make("dt", {}, ...key.split(" ").map((part) => make("kbd", {}, part))), make("dd", {}, does))))));
  const off = make("input", { type: "checkbox" });
  off.checked = areOff();
  off.addEventListener("change", () => {
    try {
      if (off.checked) localStorage.setItem(OFF, "");
      else localStorage.removeItem(OFF);
    } catch {
      off.checked = false;
    }
  });
  const close = make("button", { type: "button", class: "button" }, "Close");
  const box = dialog("Keys", make("div", { class: "commands-box keys-box" }, make("h2", {}, "Keys"), ...groups,
    make("label", { class: "keys-off" }, off, " no single keys: only Ctrl K"), close));
  close.addEventListener("click", () => box.close());
  close.focus();
}

// The next or previous row of the list on this page.
function step(by) {
  const rows = [...document.querySelectorAll("main a.row-name, main .line-seq a")].filter(isThere);
  const here = rows.findIndex((row) => row.closest("li, .line").contains(document.activeElement));
  const next = here < 0 ? (by > 0 ? 0 : rows.length - 1) : Math.min(Math.max(here + by, 0), rows.length - 1);
  rows[next]?.focus();
}

/** Goes where the second of two keys leads. */
export function follow(key) {
  if (CHORDS[key]) go(CHORDS[key]);
}

/** Does what a single key asks for. */
export function act(key) {
  if (key === "?") showKeys();
  else if (key === "n") go("/new");
  else if (key === "/") [...document.querySelectorAll("main input[type=search], main input[name=q]")].find(isThere)?.focus();
  else if (key === "j" || key === "k") step(key === "j" ? 1 : -1);
}
