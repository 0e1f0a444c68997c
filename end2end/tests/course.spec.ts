// Time on the pages: the course of a batch in its row.
import type { Page } from "@playwright/test";
import { expect, test } from "../support/test.js";

const slow = { duration_ms: 30, fail_rate: 0.3, fail_attempts: 9 };

/** The drawing in the row of a batch: the paths of all ends and of failures. */
const spark = async (page: Page, name: string): Promise<(string | null)[]> => {
  const row = page.locator(".row-active").filter({ hasText: name });
  return [".chart-ended", ".chart-failed"].map((part) => row.locator(`.row-spark ${part}`)).reduce(
    async (paths, path) => [...(await paths), (await path.count()) === 1 ? await path.getAttribute("d") : null],
    Promise.resolve([] as (string | null)[]),
  );
};

test("a row that runs draws its course, goes on by itself, and moves nothing", async ({ page, server, signIn }) => {
  await signIn(page);
  await page.setViewportSize({ width: 1400, height: 800 });
  const batch = await server.api("POST", "/batches", { task: "demo", name: "Sparkling", params: slow, items: { count: 50_000 }, options: { attempts_max: 1 } });
  await expect.poll(async () => (await server.api("GET", `/batches/${batch.id}`)).failed, { timeout: 30_000 }).toBeGreaterThan(0);
  await page.goto(server.url);
  await expect(page.locator("html[data-alive]")).toBeAttached();
  const box = async () => page.locator(".row-active .row-spark").first().boundingBox();
  const place = await box();
  expect([place!.width, place!.height]).toEqual([96, 24]);
  const before = await spark(page, "Sparkling");
  const subscribed: string[] = [];
  page.on("websocket", (socket) => socket.on("framesent", ({ payload }) => subscribed.push(String(payload))));
  await expect.poll(() => spark(page, "Sparkling"), { timeout: 20_000 }).not.toEqual(before);
  const [ended, failed] = await spark(page, "Sparkling");
  expect(ended).toMatch(/^M0 24(V\d+H\d+)+V24z$/);
  expect(failed).toMatch(/^M0 24(V\d+H\d+)+V24z$/);
  expect(subscribed.filter((text) => text.includes("pulse"))).toEqual([]);
  expect(await box()).toEqual(place);
  await server.api("POST", `/batches/${batch.id}/cancel`);
});

test.describe("without scripts", () => {
  test.use({ javaScriptEnabled: false });

  test("the course stands in the row", async ({ page, server, signIn }) => {
    await signIn(page);
    await page.setViewportSize({ width: 1400, height: 800 });
    const batch = await server.api("POST", "/batches", { task: "demo", name: "Still", params: slow, items: { count: 50_000 }, options: { attempts_max: 1 } });
    await expect.poll(async () => {
      await page.goto(server.url);
      return (await spark(page, "Still"))[0];
    }, { timeout: 30_000 }).toMatch(/^M0 24(V\d+H\d+)+V24z$/);
    await expect(page.locator(".row-spark svg").first()).toHaveAttribute("aria-hidden", "true");
    await server.api("POST", `/batches/${batch.id}/cancel`);
  });
});
