// The course of a batch: a chart that is true with and without scripts, and moves nothing when it comes.
import { AxeBuilder } from "@axe-core/playwright";
import type { Page } from "@playwright/test";
import { expect, test } from "../support/test.js";

const numbers = async (page: Page) => {
  const rows = await page.locator(".chart-table tbody tr").evaluateAll((all) =>
    all.map((row) => [...row.querySelectorAll("td")].slice(0, 2).map((cell) => Number(cell.textContent!.replaceAll(",", "")))));
  const all = rows.pop()!;
  const sum = (at: number) => rows.reduce((sum, row) => sum + row[at]!, 0);
  expect([sum(0), sum(1)]).toEqual(all);
  return all;
};

test("the chart is live, its table sums to the counts, and nothing moves", async ({ page, server, signIn }) => {
  await signIn(page);
  const params = { duration_ms: 12, fail_rate: 0.2, fail_attempts: 9 };
  const batch = await server.api("POST", "/batches", { task: "demo", params, items: { count: 1500 }, options: { attempts_max: 1 } });
  await page.addInitScript(() => {
    (globalThis as { moved?: string[] }).moved = [];
    new PerformanceObserver((list) => {
      for (const shift of list.getEntries() as unknown as { sources: { node: Node | null }[] }[])
        for (const { node } of shift.sources) {
          // A text that changes in its place is no movement.
          const place = node instanceof Element ? node.closest(".chart-place, .strip") : null;
          if (place) (globalThis as { moved?: string[] }).moved!.push(place.className);
        }
    }).observe({ type: "layout-shift", buffered: true });
  });
  const place = page.locator(".chart-place");
  const height = async () => (await place.boundingBox())!.height;
  await page.goto(`${server.url}/batches/${batch.id}`, { waitUntil: "commit" });
  await expect(place).toBeVisible();
  const reserved = await height();
  await expect(page.locator("html[data-alive]")).toBeAttached();
  const path = page.locator(".chart-ended");
  const first = await path.getAttribute("d");
  await expect(path).not.toHaveAttribute("d", first ?? "");
  expect(await page.evaluate(() => (globalThis as { moved?: string[] }).moved)).toEqual([]);
  await page.getByRole("button", { name: "Pause" }).click();
  await expect(page.locator(".chart-mark")).toHaveCount(1);
  await expect(page.locator(".chart-mark title")).toHaveText(/^paused by ada, /);
  await page.getByRole("button", { name: "Resume" }).click();
  await expect(page.locator(".chart-mark")).toHaveCount(2);
  expect(await height()).toBe(reserved);
  await page.getByText("Numbers over time").click();
  await expect(page.locator(".number-succeeded .count")).toBeVisible();
  await expect.poll(async () => (await server.api("GET", `/batches/${batch.id}`)).state, { timeout: 60_000 }).toBe("failed");
  const end = await server.api("GET", `/batches/${batch.id}`);
  await expect.poll(() => numbers(page)).toEqual([end.succeeded, end.failed]);
  await page.locator(".chart-drawing").hover({ position: { x: 5, y: 30 } });
  await expect(page.locator(".chart-hint")).toContainText("succeeded");
  for (const colorScheme of ["light", "dark"] as const) {
    await page.emulateMedia({ colorScheme });
    const found = await new AxeBuilder({ page }).include(".chart-place").analyze();
    expect(found.violations).toEqual([]);
  }
  await page.setViewportSize({ width: 360, height: 800 });
  expect(await page.evaluate(() => document.documentElement.scrollWidth)).toBeLessThanOrEqual(360);
});

test.describe("without scripts", () => {
  test.use({ javaScriptEnabled: false });

  test("the chart and its table are there", async ({ page, server, signIn }) => {
    await signIn(page);
    const batch = await server.api("POST", "/batches", { task: "demo", params: { duration_ms: 1 }, items: { count: 300 } });
    await expect.poll(async () => (await server.api("GET", `/batches/${batch.id}`)).state, { timeout: 60_000 }).toBe("succeeded");
    await page.goto(`${server.url}/batches/${batch.id}`);
    await expect(page.locator(".chart-ended")).toHaveAttribute("d", /^M0 200V0H/);
    await page.getByText("Numbers over time").click();
    await expect(page.getByRole("columnheader", { name: "failed" })).toBeVisible();
    expect((await page.locator(".chart-table tbody tr").last().innerText()).replaceAll(/\s+/g, " ").trim()).toBe("all 300 0");
    await expect(page.locator(".acts-log")).toContainText("submitted by token e2e");
  });
});
