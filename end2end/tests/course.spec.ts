// Time on the pages: the course of a batch in its row.
import { AxeBuilder } from "@axe-core/playwright";
import type { Page } from "@playwright/test";
import type { MilepostServer } from "../support/server.js";
import { expect, test } from "../support/test.js";

const slow = { duration_ms: 30, fail_rate: 0.3, fail_attempts: 9 };

/** A batch that was paused and resumed on its way, at its end. */
async function withActs(server: MilepostServer): Promise<{ id: string; succeeded: number; failed: number }> {
  const params = { duration_ms: 20, fail_rate: 0.2, fail_attempts: 9 };
  const batch = await server.api("POST", "/batches", { task: "demo", params, items: { count: 600 }, options: { attempts_max: 1 } });
  const now = () => server.api("GET", `/batches/${batch.id}`);
  await expect.poll(async () => (await now()).succeeded, { timeout: 30_000 }).toBeGreaterThan(50);
  await server.api("POST", `/batches/${batch.id}/pause`);
  await server.api("POST", `/batches/${batch.id}/resume`);
  await expect.poll(async () => (await now()).state, { timeout: 60_000 }).toBe("failed");
  return await now();
}

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
  expect(place!.width).toBeGreaterThan(80);
  expect(place!.height).toBeGreaterThan(20);
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

test.describe("in a zone of half hours", () => {
  test.use({ timezoneId: "Asia/Kolkata" });

  test("the course afterwards: a slider says what stood then, and nothing moves", async ({ page, server, signIn }) => {
    await signIn(page);
    const batch = await withActs(server);
    await page.goto(`${server.url}/batches/${batch.id}`);
    await expect(page.locator("html[data-alive]")).toBeAttached();
    await page.addInitScript(() => {
      (globalThis as { moved?: number }).moved = 0;
      new PerformanceObserver((list) => {
        for (const shift of list.getEntries() as unknown as { value: number }[]) (globalThis as { moved?: number }).moved! += shift.value;
      }).observe({ type: "layout-shift", buffered: true });
    });
    await page.getByRole("link", { name: "Course" }).click();
    await page.waitForURL(/\/course$/);
    await expect(page.locator(".course-zone")).toHaveText("(UTC+05:30)");
    const stood = page.locator(".course-stood output");
    const all = `${batch.succeeded + batch.failed} items ended by then, ${batch.failed} of them failed`;
    await expect(stood).toContainText(all);
    expect(await page.evaluate(() => (globalThis as { moved?: number }).moved)).toBe(0);
    const table = async () => page.locator(".course-table").boundingBox();
    const place = await table();
    const slider = page.getByRole("slider", { name: "Point in time" });
    await slider.focus();
    await page.keyboard.press("Home");
    await expect(stood).toContainText("0 items ended by then");
    const texts = new Set<string>();
    for (let at = 0; at < 201; at += 1) {
      texts.add(await stood.innerText());
      await page.keyboard.press("ArrowRight");
    }
    expect([...texts].some((text) => text.includes("paused by token e2e"))).toBe(true);
    expect(await slider.getAttribute("aria-valuetext")).toBe(await stood.innerText());
    await expect(stood).toContainText(all);
    await expect(page.locator(".course-here")).toHaveCount(1);
    await page.locator(".chart-drawing").click({ position: { x: 1, y: 20 } });
    await expect(stood).not.toContainText(all);
    // Local times are as long as those of the server, and half an hour off the hour.
    const [utc, local] = await page.locator(".course tbody time").first().evaluate((time: HTMLTimeElement) => [time.dateTime, time.textContent!]);
    const kolkata = new Date(Date.parse(utc!) + 5.5 * 3_600_000).toISOString();
    expect(local).toBe(`${kolkata.slice(0, 10)} ${kolkata.slice(11, 19)}`);
    expect(await table()).toEqual(place);
    for (const colorScheme of ["light", "dark"] as const) {
      await page.emulateMedia({ colorScheme });
      expect((await new AxeBuilder({ page }).analyze()).violations).toEqual([]);
    }
    await page.setViewportSize({ width: 360, height: 800 });
    expect(await page.evaluate(() => document.documentElement.scrollWidth)).toBeLessThanOrEqual(360);
    await page.getByRole("link", { name: "Failures" }).click();
    await page.waitForURL(/tab=failures/);
    await expect(page.locator(".family-when svg").first()).toBeVisible();
    await page.getByRole("link", { name: "Show", exact: true }).first().click();
    await page.waitForURL(/family=/);
    await expect(page.locator(".family-asked")).toContainText("Family: ");
  });
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

  test("the course afterwards stands in a table", async ({ page, server, signIn }) => {
    await signIn(page);
    const batch = await withActs(server);
    await page.goto(`${server.url}/batches/${batch.id}`);
    await page.getByRole("link", { name: "Course" }).click();
    await expect(page.getByRole("slider")).toBeHidden();
    await expect(page.getByRole("columnheader", { name: "what was asked" })).toBeVisible();
    await expect(page.getByRole("cell", { name: "paused by token e2e" })).toBeVisible();
    const last = await page.locator(".course tbody tr").last().locator("td").allInnerTexts();
    expect(last.slice(0, 2)).toEqual([String(batch.succeeded + batch.failed), String(batch.failed)]);
    await expect(page.locator(".course-stood")).toContainText(`${batch.failed} of them failed`);
    await expect(page.locator(".chart-failed")).toHaveAttribute("d", /^M/);
  });
});
