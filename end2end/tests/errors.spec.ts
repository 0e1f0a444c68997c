// What cannot be done is said in plain words, and parts of a page that failed to load mend themselves.
import { AxeBuilder } from "@axe-core/playwright";
import { expect, test } from "../support/test.js";

const WORDS_OF_MACHINES = /TypeError|Failed to fetch|server function|deserializ/i;

test("without contact an act says that it may not have been done, and a page loads by itself when contact is back", async ({ page, context, server, signIn }) => {
  await signIn(page);
  const batch = await server.api("POST", "/batches", { task: "demo", params: { duration_ms: 400 }, items: { count: 2000 }, options: { concurrency: 1 } });
  await page.goto(`${server.url}/batches/${batch.id}`);
  await expect(page.locator("html[data-alive]")).toBeAttached();
  await context.setOffline(true);
  await page.getByRole("button", { name: "Pause" }).click();
  const flash = page.locator(".flash[role=alert]");
  await expect(flash).toContainText("No contact");
  await expect(flash).toContainText("not known whether this was done");
  await page.getByRole("navigation", { name: "Pages" }).getByRole("link", { name: "Nodes" }).click();
  const panel = page.locator(".panel-error");
  await expect(panel).toContainText("No contact");
  await expect(panel).toContainText("loads by itself");
  expect(await page.locator("body").innerText()).not.toMatch(WORDS_OF_MACHINES);
  expect((await new AxeBuilder({ page }).analyze()).violations).toEqual([]);
  await context.setOffline(false);
  // Nobody presses "Try again".
  await expect(page.getByText("serves and works")).toBeVisible({ timeout: 30_000 });
  await expect(panel).toHaveCount(0);
  await server.api("POST", `/batches/${batch.id}/cancel`);
});

test("a batch that is opened without contact loads by itself when contact is back", async ({ page, context, server, signIn }) => {
  await signIn(page);
  const batch = await server.api("POST", "/batches", { task: "demo", name: "far away", items: { count: 3 } });
  await page.goto(server.url);
  await expect(page.locator("html[data-alive]")).toBeAttached();
  const link = page.getByRole("link", { name: "far away" }).first();
  await expect(link).toBeVisible();
  await context.setOffline(true);
  await link.click();
  await expect(page.locator("h1")).toHaveText("No contact");
  await context.setOffline(false);
  await expect(page.locator("h1")).toContainText("far away", { timeout: 30_000 });
  await expect(page).toHaveURL(`${server.url}/batches/${batch.id}`);
});

test("an answer that something else gave is told as such", async ({ page, server, signIn }) => {
  await signIn(page);
  await page.goto(server.url);
  await expect(page.locator("html[data-alive]")).toBeAttached();
  await page.route("**/api/load_nodes*", (route) => route.fulfill({ status: 502, contentType: "text/html", body: "<h1>Bad gateway</h1>" }));
  await page.getByRole("navigation", { name: "Pages" }).getByRole("link", { name: "Nodes" }).click();
  await expect(page.locator(".panel-error")).toContainText("something between here and the server");
  expect(await page.locator("body").innerText()).not.toMatch(WORDS_OF_MACHINES);
  await page.unroute("**/api/load_nodes*");
  await expect(page.getByText("serves and works")).toBeVisible({ timeout: 30_000 });
});
