// What pages show stays true: on reload, over a restart, and in two tabs at once.
import { expect, test } from "../support/test.js";

const count = (text: string | null) => Number((text ?? "").replaceAll(/\D/g, ""));

test("a reload in the middle shows committed numbers at once and never goes back", async ({ page, server, signIn }) => {
  await signIn(page);
  const batch = await server.api("POST", "/batches", {
    task: "demo",
    params: { duration_ms: 10 },
    items: { count: 1500 },
  });
  const ended = page.locator(".number-succeeded .count");
  let before = 0;
  for (let round = 0; round < 4; round += 1) {
    // The first HTML, before any script: at least what was shown before.
    const html = await (await page.request.get(`${server.url}/batches/${batch.id}`)).text();
    const first = count(/number-succeeded[\s\S]*?class="count">([^<]*)</.exec(html)?.[1] ?? "");
    expect(first).toBeGreaterThanOrEqual(before);
    await page.goto(`${server.url}/batches/${batch.id}`);
    before = count(await ended.textContent());
    expect(before).toBeGreaterThanOrEqual(first);
  }
  await expect(ended).toHaveText("1,500");
});

test("a killed server comes back, the page reconnects by itself and nothing is lost", async ({ page, server, signIn }) => {
  await signIn(page);
  const batch = await server.api("POST", "/batches", {
    task: "demo",
    params: { duration_ms: 20 },
    items: { count: 900 },
  });
  await page.goto(`${server.url}/batches/${batch.id}`);
  await expect(page.locator(".chip-live")).toBeVisible();
  await server.stop("SIGKILL");
  await expect(page.locator(".chip-reconnecting, .chip-offline")).toBeVisible();
  await server.start();
  await expect(page.locator(".chip-live")).toBeVisible({ timeout: 40_000 });
  await expect(page.locator(".number-succeeded .count")).toHaveText("900", { timeout: 40_000 });
  const end = await server.api("GET", `/batches/${batch.id}`);
  expect(end).toMatchObject({ state: "succeeded", succeeded: 900, failed: 0, total: 900 });
});

test("two tabs show the same, and an act in one is seen in the other", async ({ context, server, signIn }) => {
  const [one, two] = [await context.newPage(), await context.newPage()];
  await signIn(one);
  const batch = await server.api("POST", "/batches", {
    task: "demo",
    params: { duration_ms: 25 },
    items: { count: 2000 },
  });
  await Promise.all([one, two].map((page) => page.goto(`${server.url}/batches/${batch.id}`)));
  for (const page of [one, two]) await expect(page.locator(".chip-live")).toBeVisible();
  await one.getByRole("button", { name: "Pause" }).click();
  for (const page of [one, two]) {
    await expect(page.getByRole("button", { name: "Resume" })).toBeVisible();
    await expect(page.locator(".number-running .count")).toHaveText("0");
  }
  const paused = await server.api("GET", `/batches/${batch.id}`);
  expect(paused.state).toBe("paused");
  for (const page of [one, two]) {
    expect(count(await page.locator(".number-succeeded .count").textContent())).toBe(paused.succeeded);
  }
  await two.getByRole("button", { name: "Resume" }).click();
  await expect(one.getByRole("button", { name: "Pause" })).toBeVisible();
  await server.api("POST", `/batches/${batch.id}/cancel`);
  for (const page of [one, two]) {
    await expect(page.locator(".number-pending .count")).toHaveText("0");
    await expect(page.locator(".number-cancelled .count")).not.toHaveText("0");
  }
});

test("a window of a long batch is a window, not the batch", async ({ page, server, signIn }) => {
  await signIn(page);
  const batch = await server.api("POST", "/batches", { task: "demo", items: { count: 100_000 } });
  await page.goto(`${server.url}/batches/${batch.id}`);
  await expect(page.locator(".number-succeeded .count")).toHaveText("100,000", { timeout: 30_000 });
  expect(await page.locator("body *").count()).toBeLessThan(3_000);
});
