// Time on the pages: the course of a batch in its row.
import { AxeBuilder } from "@axe-core/playwright";
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

test("items are sorted by the heads of their columns, and the address holds it", async ({ page, server, signIn }) => {
  await signIn(page);
  const params = { duration_ms: 3, fail_rate: 1, fail_attempts: 9 };
  const batch = await server.api("POST", "/batches", { task: "demo", params, items: { count: 130 }, options: { attempts_max: 1 } });
  await expect.poll(async () => (await server.api("GET", `/batches/${batch.id}`)).state, { timeout: 30_000 }).toBe("failed");
  await page.goto(`${server.url}/batches/${batch.id}`);
  await expect(page.locator("html[data-alive]")).toBeAttached();
  const seqs = async () => (await page.locator(".lines .line-seq a").allInnerTexts()).map((text) => Number(text.replaceAll(",", "")));
  const head = (name: string) => page.getByRole("columnheader").filter({ has: page.getByRole("link", { name, exact: true }) });
  await expect(head("#")).toHaveAttribute("aria-sort", "ascending");
  await page.getByRole("link", { name: "took", exact: true }).click();
  await page.waitForURL(/sort=took/);
  await expect(head("took")).toHaveAttribute("aria-sort", "descending");
  await expect(page.getByRole("link", { name: "took", exact: true })).toHaveAttribute("aria-current", "true");
  const wanted = (await server.api("GET", `/batches/${batch.id}/items?sort=took&limit=100`)).items.map((item: { seq: number }) => item.seq);
  await expect.poll(seqs).toEqual(wanted);
  await page.getByRole("link", { name: "Next" }).click();
  await page.waitForURL(/after=\d+-\d+/);
  await expect.poll(async () => (await seqs()).length).toBe(30);
  expect(new Set([...wanted, ...(await seqs())]).size).toBe(130);
  await page.getByRole("link", { name: "ended", exact: true }).click();
  await page.waitForURL(/sort=ended$/);
  const ended = async () => page.locator(".line:not(.line-head) .line-time").evaluateAll((cells) => cells.map((cell) => (cell as HTMLElement).title));
  await expect.poll(async () => (await ended())[0] ?? "").toMatch(/ UTC$/);
  expect(await ended()).toEqual([...(await ended())].sort().reverse());
  const found = await new AxeBuilder({ page }).include(".lines").analyze();
  expect(found.violations).toEqual([]);
  await page.goBack();
  await page.goBack();
  await expect.poll(seqs).toEqual(wanted);
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

  test("items are sorted by links and by the form", async ({ page, server, signIn }) => {
    await signIn(page);
    const batch = await server.api("POST", "/batches", { task: "demo", params: { duration_ms: 3, fail_rate: 1, fail_attempts: 9 }, items: { count: 8 }, options: { attempts_max: 1 } });
    await expect.poll(async () => (await server.api("GET", `/batches/${batch.id}`)).state, { timeout: 30_000 }).toBe("failed");
    await page.goto(`${server.url}/batches/${batch.id}`);
    await page.getByRole("link", { name: "took", exact: true }).click();
    await expect(page.locator("[aria-sort=descending]")).toBeVisible();
    await expect(page.getByText("those too quick to be timed alone left out")).toBeVisible();
    await page.getByLabel("Order").selectOption("Last ended first");
    await page.getByRole("button", { name: "Find" }).click();
    await expect(page).toHaveURL(/sort=ended/);
    await expect(page.locator(".line-time[title$=UTC]")).toHaveCount(8);
    await page.getByRole("link", { name: "#", exact: true }).click();
    await expect(page.locator("[aria-sort=ascending]")).toBeVisible();
  });
});
