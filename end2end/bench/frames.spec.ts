// Frames and memory of a page on which a thousand items move ten times a second. Prints; judges nothing but that it ran.
//   BENCH_SECONDS_FRAMES  seconds over which frames are timed (20; 10 at most of them while rows move)
//   BENCH_MINUTES_HEAP    minutes over which memory is weighed (10)
import type { CDPSession, Page } from "@playwright/test";
import { MilepostServer } from "../support/server.js";
import { expect, test } from "../support/test.js";

const seconds = Number(process.env.BENCH_SECONDS_FRAMES ?? 20);
const minutes = Number(process.env.BENCH_MINUTES_HEAP ?? 10);
const slots = 1000;

/** Times between animation frames over `seconds`, ascending, in milliseconds. */
async function frames(page: Page, seconds: number): Promise<number[]> {
  return page.evaluate(
    (seconds) =>
      new Promise<number[]>((done) => {
        const times: number[] = [];
        const start = performance.now();
        let last = start;
        const next = (now: number) => {
          times.push(now - last);
          last = now;
          if (now - start < seconds * 1000) requestAnimationFrame(next);
          else done(times.slice(1).sort((one, other) => one - other));
        };
        requestAnimationFrame(next);
      }),
    seconds,
  );
}

const at = (values: number[], share: number) => (values[Math.min(values.length - 1, Math.floor(values.length * share))] ?? 0).toFixed(1);

async function heap(devtools: CDPSession): Promise<number> {
  await devtools.send("HeapProfiler.collectGarbage");
  return (await devtools.send("Runtime.getHeapUsage")).usedSize / 1024 / 1024;
}

test("a thousand items that move ten times a second", async ({ page }) => {
  const server = new MilepostServer("ada", slots);
  await server.start();
  try {
    await page.request.post(`${server.url}/login`, { form: { name: "ada", password: "kelp vane otter", next: "/" }, maxRedirects: 0 });
    await page.goto(`${server.url}/nodes`);
    await expect(page.locator(".chip-live")).toBeVisible();
    const idle = await frames(page, seconds);
    // A hundred steps of a hundredth each: ten times a second every row has another percent.
    const moving = (tens: number) =>
      server.api("POST", "/batches", { task: "demo", params: { duration_ms: tens * 10_000, steps: tens * 100 }, items: { count: slots } });
    const short = await moving(2);
    await page.goto(`${server.url}/batches/${short.id}`);
    await expect(page.locator(".chip-live")).toBeVisible();
    await expect(page.locator(".number-running .count")).toHaveText("1,000", { timeout: 60_000 });
    // What moves: texts that change within a second, of the rows in sight.
    const changed = await page.evaluate(
      () =>
        new Promise<number>((done) => {
          let count = 0;
          const observer = new MutationObserver((changes) => { count += changes.length; });
          observer.observe(document.querySelector(".lines")!, { subtree: true, characterData: true, childList: true, attributes: true });
          setTimeout(() => { observer.disconnect(); done(count); }, 3000);
        }),
    );
    const busy = await frames(page, Math.min(seconds, 10));
    console.log(`| frames, ms | p50 | p95 | p99 | highest |\n| --- | --- | --- | --- | --- |`);
    for (const [name, times] of [["a quiet page", idle], [`1,000 items at 10 Hz (${Math.round(changed / 3)} changes of the page a second)`, busy]] as const) {
      console.log(`| ${name} | ${at(times, 0.5)} | ${at(times, 0.95)} | ${at(times, 0.99)} | ${at(times, 1)} |`);
    }
    expect(changed, "the rows moved").toBeGreaterThan(0);
    const long = await moving(minutes * 6 + 12);
    await page.goto(`${server.url}/batches/${long.id}`);
    await expect(page.locator(".chip-live")).toBeVisible();
    const devtools = await page.context().newCDPSession(page);
    const weights = [await heap(devtools)];
    for (let minute = 0; minute < minutes; minute += 1) {
      await page.waitForTimeout(60_000);
      weights.push(await heap(devtools));
    }
    console.log(`\nHeap after a collection, MiB, a value a minute: ${weights.map((weight) => weight.toFixed(2)).join(" ")}`);
  } finally {
    await server.stop("SIGKILL");
    await server.remove();
  }
});
