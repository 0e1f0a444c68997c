// Many tabs of one sign-in share one live connection: one leads, another takes over, and nobody hears what is not theirs.
import type { Page } from "@playwright/test";
import type { MilepostServer } from "../support/server.js";
import { expect, test } from "../support/test.js";

const connections = async (server: MilepostServer) => {
  const text = await (await fetch(`${server.url}/metrics`, { headers: { authorization: `Bearer ${server.token}` } })).text();
  return Number(/^milepost_live_connections (\d+)$/m.exec(text)![1]);
};
const count = (page: Page) => page.locator(".number-succeeded .count").innerText().then((text) => Number(text.replaceAll(",", "")));
/** Live, and telling more than it did. */
async function moves(page: Page): Promise<void> {
  await expect(page.locator(".chip-live")).toBeVisible({ timeout: 20_000 });
  const before = await count(page);
  await expect.poll(() => count(page), { timeout: 20_000 }).toBeGreaterThan(before);
}

test("five tabs are one connection, whichever of them goes", async ({ context, page, server, signIn }) => {
  await signIn(page);
  const batch = await server.api("POST", "/batches", { task: "demo", params: { duration_ms: 100 }, items: { count: 4000 }, options: { concurrency: 2 } });
  const other = await server.api("POST", "/batches", { task: "demo", params: { duration_ms: 100 }, items: { count: 4000 }, options: { concurrency: 2 } });
  const tabs = [page];
  while (tabs.length < 5) tabs.push(await context.newPage());
  const faults: string[] = [];
  for (const [place, tab] of tabs.entries()) {
    tab.on("console", (message) => message.type() === "warning" && faults.push(message.text()));
    await tab.goto(`${server.url}/batches/${place % 2 === 0 ? batch.id : other.id}`);
    await expect(tab.locator(".chip-live")).toBeVisible();
  }
  for (const tab of tabs) {
    await tab.bringToFront();
    await moves(tab);
  }
  expect(await connections(server)).toBe(1);

  // The one that leads goes, by closing and by leaving for a page without the program: another leads.
  await tabs[0]!.close();
  await tabs[1]!.bringToFront();
  for (const tab of tabs.slice(1)) {
    await tab.bringToFront();
    await moves(tab);
  }
  await expect.poll(() => connections(server)).toBe(1);
  await tabs[1]!.goto(`${server.url}/schedules`);
  for (const tab of tabs.slice(2)) {
    await tab.bringToFront();
    await moves(tab);
  }
  await expect.poll(() => connections(server)).toBe(1);

  // All are true in the end.
  for (const one of [batch, other]) await server.api("POST", `/batches/${one.id}/cancel`);
  for (const [place, tab] of tabs.entries()) {
    if (place < 2) continue;
    await tab.bringToFront();
    await expect(tab.locator(".batch-meta .badge")).toContainText("cancelled");
    const id = place % 2 === 0 ? batch.id : other.id;
    await expect.poll(async () => [await count(tab), (await server.api("GET", `/batches/${id}`)).succeeded as number]
      .every((number, _, all) => number === all[0])).toBe(true);
  }
  expect(faults).toEqual([]);
  await Promise.all(tabs.slice(1).map((tab) => tab.close()));
  await expect.poll(() => connections(server)).toBe(0);
});

test("a tab that leaves a topic leaves it to the others, and one that comes late hears all of it", async ({ context, page, server, signIn }) => {
  await signIn(page);
  const batch = await server.api("POST", "/batches", { task: "demo", params: { duration_ms: 60 }, items: { count: 3000 }, options: { concurrency: 2 } });
  await page.goto(`${server.url}/batches/${batch.id}`);
  await moves(page);
  const late = await context.newPage();
  await late.goto(`${server.url}/batches/${batch.id}`);
  await moves(late);
  await late.getByRole("navigation", { name: "Pages" }).getByRole("link", { name: "Nodes" }).click();
  await expect(late.locator("h1")).toHaveText("Nodes");
  await page.bringToFront();
  await moves(page);
  await late.bringToFront();
  await late.goBack();
  await moves(late);
  expect(await connections(server)).toBe(1);
  await server.api("POST", `/batches/${batch.id}/cancel`);
});

test("another sign-in in the same browser has a line of its own", async ({ browser, server }) => {
  const context = await browser.newContext();
  const keys: (string | null)[] = [];
  for (let round = 0; round < 2; round += 1) {
    const page = await context.newPage();
    await page.goto(`${server.url}/login`);
    await page.getByLabel("Name").fill("ada");
    await page.getByLabel("Password").fill("kelp vane otter");
    await page.getByRole("button", { name: "Sign in" }).click();
    await expect(page).toHaveURL(`${server.url}/`);
    await expect(page.locator(".chip-live")).toBeVisible();
    keys.push(await page.locator("html").getAttribute("data-line"));
  }
  expect(keys[0]).toMatch(/^[0-9a-f]{16}$/);
  expect(keys[1]).not.toBe(keys[0]);
  await context.close();
});
