// The chip of new batches counts what the list would show, and goes when it is pressed.
import { expect, test } from "../support/test.js";

test("new batches are told where they would be listed, and nowhere else", async ({ page, server, signIn }) => {
  test.setTimeout(120_000);
  await signIn(page);
  const make = (name: string, more: object = {}) => server.api("POST", "/batches", { task: "demo", name, items: { count: 1 }, ...more });
  for (let at = 0; at < 103; at += 1) await make(`old ${at}`);
  const chip = page.locator(".chip-new");
  const tabs = new Map<string, import("@playwright/test").Page>();
  for (const path of ["/", "/?q=wanted", "/?q=old", "/?task=checksum", "/?owner=nobody", "/?state=failed", "/?state=cancelled"]) tabs.set(path, await page.context().newPage());
  for (const [path, tab] of tabs) {
    await tab.goto(server.url + path);
    await expect(tab.locator(".chip-live")).toBeVisible();
  }
  await page.goto(server.url);
  await page.getByRole("link", { name: "Older" }).click();
  await expect(page).toHaveURL(/cursor=/);
  await expect(page.locator(".chip-live")).toBeVisible();
  await make("wanted one");
  await make("wanted two");
  await make("failing", { params: { fail_rate: 1 }, options: { attempts_max: 1 } });
  const told = { "/": "3 new", "/?q=wanted": "2 new", "/?state=failed": "1 new" } as Record<string, string>;
  for (const [path, tab] of tabs) {
    // What is listened to has come: the first page has counted all of it.
    await expect(tabs.get("/")!.locator(".chip-new")).toHaveText("3 new");
    if (told[path]) await expect(tab.locator(".chip-new"), path).toHaveText(told[path]);
  }
  for (const [path, tab] of tabs) {
    if (!told[path]) await expect(tab.locator(".chip-new"), path).toHaveCount(0);
  }
  await expect(chip, "an older page").toHaveCount(0);
  for (const path of Object.keys(told)) {
    const tab = tabs.get(path)!;
    await tab.locator(".chip-new").click();
    await expect(tab.locator(".chip-new"), path).toHaveCount(0);
    await expect(tab.locator(".row-name").first()).toHaveText(path === "/?q=wanted" ? "wanted two" : "failing");
  }
  await make("wanted three");
  await expect(tabs.get("/?q=wanted")!.locator(".chip-new")).toHaveText("1 new");
  await expect(tabs.get("/")!.locator(".chip-new")).toHaveText("1 new");
});
