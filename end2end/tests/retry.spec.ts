// A retry of the demonstration mends about half, and the page says what it has come to as the API does.
import { AxeBuilder } from "@axe-core/playwright";
import type { Page } from "@playwright/test";
import { expect, test } from "../support/test.js";

const digits = (text: string | null) => [...(text ?? "").matchAll(/(\d[\d,]*) (succeeded|failed again|to go)/g)].map((found) => [found[2], Number(found[1]!.replaceAll(",", ""))]);

/** Where the parts of the page are that must not move. */
const places = (page: Page) => page.locator(".batch-bar, .numbers, .outlook, .chart-drawing, .strip, .tabs, .act-retry, .act-toggle").evaluateAll((all) =>
  all.map((one) => [one.className.toString(), Math.round(one.getBoundingClientRect().top), Math.round(one.getBoundingClientRect().left)]));

test("the demo, from its button to what its retry has come to", async ({ page, server, signIn }) => {
  test.setTimeout(180_000);
  // The button stands on a list that is empty.
  for (const { id, finished_at } of (await server.api("GET", "/batches?limit=500")).batches) {
    if (!finished_at) await server.api("POST", `/batches/${id}/cancel`);
    await expect.poll(async () => (await server.api("GET", `/batches/${id}`)).finished_at).not.toBeNull();
    await server.api("DELETE", `/batches/${id}`);
  }
  await signIn(page);
  await page.goto(server.url);
  await expect(page.locator("html[data-alive]")).toBeAttached();
  await page.getByRole("button", { name: "Run the demo" }).first().click();
  await page.waitForURL(/\/batches\/[0-9a-f-]{36}/);
  const id = /[0-9a-f-]{36}/.exec(page.url())![0];
  const api = () => server.api("GET", `/batches/${id}`);
  const line = page.locator(".retried");
  await expect(line).toBeHidden();
  await expect(page.locator(".batch-meta .badge")).toContainText("finished", { timeout: 120_000 });
  // Columns of the list that say something.
  const first = page.getByRole("row").filter({ hasText: "planned_ms" }).first();
  await expect(first).toContainText(/\d ms/);
  const { failed } = await api();
  expect(failed).toBeGreaterThan(20);
  const before = await places(page);

  await page.getByRole("button", { name: `Retry ${failed} failed` }).click();
  await expect(line).toBeVisible();
  await expect(line).toContainText(`Retry of ${failed} by ada, just now: `);
  expect(await places(page)).toEqual(before);
  await expect(line).not.toContainText("to go", { timeout: 60_000 });
  await expect(page.locator(".batch-meta .badge")).toContainText("finished");
  const now = await api();
  expect(now.retry).toMatchObject({ by: "ada", items: failed, cancelled: 0 });
  expect(now.retry.succeeded + now.retry.failed).toBe(failed);
  expect(now.failed).toBe(now.retry.failed);
  expect(now.retry.succeeded).toBeGreaterThan(failed * 0.3);
  expect(now.retry.succeeded).toBeLessThan(failed * 0.7);
  await expect.poll(async () => digits(await line.textContent())).toEqual([["succeeded", now.retry.succeeded], ["failed again", now.retry.failed]]);
  expect(await places(page)).toEqual(before);
  // Whoever hears the page hears it too.
  await expect(page.locator(".toast-place")).toContainText(`Of the retry: ${now.retry.succeeded} succeeded · ${now.retry.failed} failed again.`);

  // The same from the server, and in both themes and where there is little room.
  await page.reload();
  await expect(page.locator("html[data-alive]")).toBeAttached();
  await expect(line).toContainText(`${now.retry.succeeded} succeeded · ${now.retry.failed} failed again`);
  for (const colorScheme of ["light", "dark"] as const) {
    for (const width of [360, 1440]) {
      await page.emulateMedia({ colorScheme });
      await page.setViewportSize({ width, height: 900 });
      expect((await new AxeBuilder({ page }).analyze()).violations).toEqual([]);
      expect(await page.evaluate(() => document.documentElement.scrollWidth)).toBeLessThanOrEqual(width);
      const [said, chart] = [await line.boundingBox(), await page.locator(".chart-drawing").boundingBox()];
      expect(said!.y + said!.height, `over the chart at ${width}`).toBeLessThanOrEqual(chart!.y + 1);
    }
  }

  // It leads to what failed.
  await line.click();
  await expect(page).toHaveURL(/state=failed/);
  await expect(page.getByRole("row").filter({ hasText: "failed" })).toHaveCount(now.failed);
});

test.describe("without scripts", () => {
  test.use({ javaScriptEnabled: false });

  test("the page says what a retry has come to", async ({ page, server, signIn }) => {
    await signIn(page);
    const params = { fail_rate: 1, mend_rate: 0.5 };
    const batch = await server.api("POST", "/batches", { task: "demo", params, options: { attempts_max: 1 }, items: { count: 40 } });
    const ended = () => expect.poll(async () => (await server.api("GET", `/batches/${batch.id}`)).finished_at).not.toBeNull();
    await ended();
    await page.goto(`${server.url}/batches/${batch.id}`);
    await expect(page.locator(".retried")).toBeHidden();
    await page.getByRole("button", { name: "Retry 40 failed" }).click();
    await ended();
    await page.reload();
    const { retry } = await server.api("GET", `/batches/${batch.id}`);
    await expect(page.locator(".retried")).toContainText(`Retry of 40 by ada, just now: ${retry.succeeded} succeeded · ${retry.failed} failed again`);
  });
});
