// A page that cannot come to life says so, tells the server, and works as one without scripts.
import type { Page } from "@playwright/test";
import { expect, test } from "../support/test.js";

/** Has the program fail at its start on the first `times` loads; tells how often the page was read. */
async function broken(page: Page, times: number): Promise<() => number> {
  let loads = 0;
  page.on("request", (request) => { if (request.isNavigationRequest()) loads += 1; });
  await page.route(/\/pkg\/milepost\.[0-9a-f]+\.js/, async (route) => {
    if (loads > times) return route.continue();
    await route.fulfill({
      contentType: "text/javascript",
      body: `export default async () => {}; export function hydrate() { throw new WebAssembly.RuntimeError("a test broke it"); }`,
    });
  });
  return () => loads;
}

const faults = async (page: Page, url: string) =>
  Number(/^milepost_page_faults_total (\d+)$/m.exec(await (await page.request.get(`${url}/metrics`)).text())![1]);

test("a start that fails once is tried again by itself", async ({ page, server, signIn }) => {
  await signIn(page);
  const before = await faults(page, server.url);
  const loads = await broken(page, 1);
  await page.goto(`${server.url}/nodes`);
  await expect(page.locator("html[data-alive]")).toBeAttached();
  expect(loads()).toBe(2);
  await expect(page.locator(".still-line")).toHaveCount(0);
  await expect.poll(() => faults(page, server.url)).toBe(before + 1);
});

test("a start that fails again leaves a page that works without scripts and says so", async ({ page, server, signIn }) => {
  await signIn(page);
  const batch = await server.api("POST", "/batches", { task: "demo", params: { duration_ms: 40 }, items: { count: 5000 } });
  const before = await faults(page, server.url);
  const loads = await broken(page, 1000);
  await page.goto(`${server.url}/batches/${batch.id}`);
  await expect(page.locator(".still-line")).toContainText("works without them");
  expect(loads()).toBe(3);
  await expect(page.locator("html[data-alive]")).toHaveCount(0);
  await expect(page.locator(".chip")).toBeHidden();
  await expect.poll(() => faults(page, server.url)).toBe(before + 2);
  // What moves is read anew, as `noscript` has it.
  const count = page.locator(".number-succeeded .count");
  const first = await count.textContent();
  await expect(count).not.toHaveText(first!, { timeout: 20_000 });
  // Links and forms ask the server.
  await page.getByRole("link", { name: "Settings", exact: true }).click();
  await expect(page).toHaveURL(/tab=settings/);
  await expect(page.getByRole("heading", { name: "Options" })).toBeVisible();
  await page.getByRole("button", { name: "Pause" }).click();
  await expect(page.getByRole("button", { name: "Resume" })).toBeVisible();
  expect((await server.api("GET", `/batches/${batch.id}`)).state).toBe("paused");
  await server.api("POST", `/batches/${batch.id}/cancel`);
  // Another page may well come to life, and this one when it is asked to.
  await page.unroute(/\/pkg\/milepost\.[0-9a-f]+\.js/);
  await page.getByRole("button", { name: "Start them again" }).click();
  await expect(page.locator("html[data-alive]")).toBeAttached();
});

test("a program that ends later is started again once, and never while somebody has typed", async ({ page, server, signIn }) => {
  await signIn(page);
  await page.goto(`${server.url}/new?task=demo`);
  await expect(page.locator("html[data-alive]")).toBeAttached();
  const before = await faults(page, server.url);
  await page.locator("#lines").fill("typed");
  const panic = () => page.evaluate(() => dispatchEvent(Object.assign(new Event("milepost:panic"), { detail: "a test ended it" })));
  await panic();
  await expect(page.locator(".still-line")).toBeVisible();
  await expect(page.locator("#lines")).toHaveValue("typed");
  await expect.poll(() => faults(page, server.url)).toBe(before + 1);
  await panic();
  // What was typed is sent by the form itself.
  await page.getByRole("button", { name: /^Run / }).click();
  await expect(page).toHaveURL(/\/batches\/[0-9a-f-]{36}/);
  await expect(page.locator("html[data-alive]")).toBeAttached();
  expect(await faults(page, server.url)).toBe(before + 1);

  let loads = 0;
  page.on("load", () => { loads += 1; });
  await panic();
  await expect.poll(() => loads).toBe(1);
  await expect(page.locator("html[data-alive]")).toBeAttached();
  await panic();
  await expect(page.locator(".still-line")).toBeVisible();
  expect(loads).toBe(2);
});

test("the program that cannot be had leaves the server's page", async ({ page, server, signIn }) => {
  await signIn(page);
  await page.route(/\/pkg\/.*\.wasm/, (route) => route.abort());
  await page.goto(`${server.url}/nodes`);
  await expect(page.locator(".still-line")).toBeVisible();
  await expect(page.getByText(/slots busy/).first()).toBeVisible();
  await page.getByRole("link", { name: "Batches", exact: true }).click();
  await expect(page.getByRole("heading", { name: "Batches" })).toBeVisible();
});
