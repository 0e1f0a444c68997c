// Notifications, for whoever has asked for them: a tab that nobody looks at says when what it shows has ended.
// Loaded where they are on, or are being turned on. What goes on is read from the tab's title, which begins with a percent while it does.
const KEPT = "milepost-notify";
const GOES_ON = /^\d+(\.\d)? % /;

const keep = (isOn) => {
  try {
    if (isOn) localStorage.setItem(KEPT, "");
    else localStorage.removeItem(KEPT);
  } catch {
    // Nothing is kept here: it is on for this page.
  }
};
const say = (isOn, words) => {
  for (const button of document.querySelectorAll("[data-notify]")) {
    button.setAttribute("aria-pressed", String(isOn));
    button.title = words;
  }
};

let watching = null;

function stop() {
  watching?.disconnect();
  watching = null;
  keep(false);
}

/** Says from now on when what this tab shows has ended. */
export function watch() {
  if (watching || globalThis.Notification?.permission !== "granted") return;
  say(true, "On: a hidden tab says when its batch has ended.");
  let [before, path] = [document.title, location.pathname];
  watching = new MutationObserver(() => {
    const title = document.title;
    const ended = GOES_ON.test(before) && !GOES_ON.test(title) && location.pathname === path;
    [before, path] = [title, location.pathname];
    if (!ended || !document.hidden) return;
    const note = new Notification(title.replace(/ · milepost$/, ""), { tag: location.pathname, icon: "/favicon.svg" });
    note.addEventListener("click", () => {
      focus();
      note.close();
    });
  });
  watching.observe(document.head, { childList: true, subtree: true, characterData: true });
}

/** Turns them on or off; asks the browser first. */
export async function toggle() {
  if (watching) {
    stop();
    say(false, "Off.");
    return;
  }
  const granted = globalThis.Notification ? await Notification.requestPermission() : "missing";
  if (granted !== "granted") {
    say(false, granted === "missing" ? "This browser has no notifications here: they need https." : "The browser does not allow notifications of this site.");
    return;
  }
  keep(true);
  watch();
}
