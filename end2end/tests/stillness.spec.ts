// Nothing moves by itself: not while a page loads and comes alive, and next to nothing while a batch runs.
import { get } from "node:http";
import type { Page } from "@playwright/test";
import { expect, test } from "../support/test.js";

const WIDTHS = [360, 768, 1440];
/** Over a run from its start to its end, the browser's own measure: 0.1 counts as good. */
const RUN_MAX = 0.02;

/** Adds up how far things move without anybody having done something. */
async function watch(page: Page): Promise<void> {
  await page.addInitScript(() => {
    const moved: { value: number; what: string[] }[] = [];
    Object.assign(globalThis, { moved });
    new PerformanceObserver((list) => {
      for (const entry of list.getEntries() as any[]) {
        if (entry.hadRecentInput) continue;
        const what = entry.sources.map((source: any) => `${source.node?.nodeName}.${source.node?.className?.baseVal ?? source.node?.className ?? source.node?.textContent} ${source.previousRect.x},${source.previousRect.y}→${source.currentRect.x},${source.currentRect.y}`);
        moved.push({ value: entry.value, what });
      }
    }).observe({ type: "layout-shift", buffered: true });
  });
}

/** The sum so far, and what moved. */
async function shift(page: Page): Promise<{ sum: number; what: string[] }> {
  // Two frames: what moved in the last one is told.
  await page.evaluate(() => new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(done))));
  return page.evaluate(() => {
    const all = (globalThis as any).moved as { value: number; what: string[] }[];
    return { sum: all.reduce((sum, one) => sum + one.value, 0), what: all.map((one) => `${one.value.toFixed(4)} ${one.what}`) };
  });
}

test("nothing moves while a page comes alive", async ({ page, server, signIn }) => {
  test.setTimeout(180_000);
  await signIn(page);
  await watch(page);
  const make = (name: string, params: object, count: number, options: object = {}) =>
    server.api("POST", "/batches", { task: "demo", name, params, options: { attempts_max: 1, ...options }, items: { count } });
  const done = async (id: string) => expect(async () => {
    expect((await server.api("GET", `/batches/${id}`)).finished_at).not.toBeNull();
  }).toPass();
  const finished = await make("finished", { fail_rate: 0.1 }, 300);
  const failed = await make("all failed", { fail_rate: 1 }, 40);
  await Promise.all([done(finished.id), done(failed.id)]);
  const cancelled = await make("cancelled", { duration_ms: 200 }, 3000);
  await server.api("POST", `/batches/${cancelled.id}/cancel`);
  await done(cancelled.id);
  const paused = await make("paused", { duration_ms: 100, fail_rate: 0.2 }, 3000);
  await expect(async () => expect((await server.api("GET", `/batches/${paused.id}`)).failed).toBeGreaterThan(0)).toPass();
  await server.api("POST", `/batches/${paused.id}/pause`);
  const scheduled = await make("scheduled", {}, 10, { start_at: new Date(Date.now() + 3_600_000).toISOString() });
  const running = await make("running", { duration_ms: 1000, fail_rate: 0.1 }, 3000);
  await expect(async () => expect((await server.api("GET", `/batches/${running.id}`)).failed).toBeGreaterThan(0)).toPass();
  const pages = { list: "/", failures: "/?state=failures", nodes: "/nodes", new: "/new", item: `/batches/${finished.id}/items/1` } as Record<string, string>;
  for (const batch of [running, paused, scheduled, cancelled, finished, failed]) pages[batch.name] = `/batches/${batch.id}`;
  for (const width of WIDTHS) {
    await page.setViewportSize({ width, height: 900 });
    for (const [name, path] of Object.entries(pages)) {
      await page.goto(server.url + path);
      await expect(page.locator("html[data-alive]")).toBeAttached();
      // What comes after: the connection, and the first tick of the clock.
      await expect(page.locator(".chip-live")).toBeVisible();
      const { sum, what } = await shift(page);
      // Of what runs, the numbers go on. Of the others, a browser may draw the header a moment before the rest of its HTML has come.
      expect.soft(sum, `${name} at ${width}: ${what.join("; ")}`).toBeLessThanOrEqual(["running", "list", "failures", "nodes"].includes(name) ? 0.001 : 0.0001);
      const elements = await page.evaluate(() => document.querySelectorAll("*").length);
      if (path.startsWith("/batches/")) expect.soft(elements, `elements of ${name} at ${width}`).toBeLessThanOrEqual(700);
    }
  }
  for (const batch of [running, paused, scheduled]) await server.api("POST", `/batches/${batch.id}/cancel`);
});

for (const width of WIDTHS) {
  test(`a run moves next to nothing at ${width} px`, async ({ page, server, signIn }) => {
    test.setTimeout(120_000);
    await signIn(page);
    await watch(page);
    await page.setViewportSize({ width, height: 900 });
    const batch = await server.api("POST", "/batches", {
      task: "demo",
      name: "a run from its start",
      params: { duration_ms: 40, jitter: 0.9, fail_rate: 0.05 },
      options: { attempts_max: 1 },
      items: { count: 1200 },
    });
    await page.goto(`${server.url}/batches/${batch.id}`);
    await expect(page.locator(".batch-meta .badge")).toContainText("finished", { timeout: 90_000 });
    await expect(page.locator(".family").first()).toBeAttached();
    const { sum, what } = await shift(page);
    console.log(`${width} px: ${sum.toFixed(4)} over a run`);
    expect(sum, what.join("; ")).toBeLessThanOrEqual(RUN_MAX);
  });
}

test("the page of a million items is small", async ({ server }) => {
  test.setTimeout(120_000);
  const batch = await server.api("POST", "/batches", { task: "demo", params: { fail_rate: 0.001 }, options: { attempts_max: 1 }, items: { count: 1_000_000 } });
  await expect(async () => {
    expect((await server.api("GET", `/batches/${batch.id}`)).finished_at).not.toBeNull();
  }).toPass({ timeout: 100_000 });
  const sent = await new Promise<number>((told, failed) => {
    const headers = { accept: "text/html", "accept-encoding": "br", authorization: `Bearer ${server.token}` };
    get(`${server.url}/batches/${batch.id}`, { headers }, (answer) => {
      let bytes = 0;
      answer.on("data", (part: Buffer) => { bytes += part.length; });
      answer.on("end", () => told(answer.headers["content-encoding"] === "br" && answer.statusCode === 200 ? bytes : Number.NaN));
    }).on("error", failed);
  });
  console.log(`the page of a million items: ${sent} bytes`);
  // 27 kB before its strip was one text; style and bootstrap are 9 kB of it. 300 bytes are heads that sort, the choice of an order
  // and the tab of the course.
  expect(sent).toBeLessThanOrEqual(17_000);
});
