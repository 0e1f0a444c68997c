// Every page passes axe in light and dark, fits 360 px, and can be used by keyboard.
import { Ear } from "../support/frames.js";
import { AxeBuilder } from "@axe-core/playwright";
import { expect, test } from "../support/test.js";

test("axe finds nothing on any page, light and dark", async ({ page, server, signIn }) => {
  test.setTimeout(180_000);
  await page.goto(`${server.url}/login`);
  await signIn(page);
  const done = await server.api("POST", "/batches", {
    task: "demo",
    params: { fail_rate: 0.2, log_lines: 2 },
    options: { attempts_max: 1 },
    items: { count: 200 },
  });
  await expect(async () => {
    expect((await server.api("GET", `/batches/${done.id}`)).finished_at).not.toBeNull();
  }).toPass();
  const running = await server.api("POST", "/batches", { task: "demo", params: { duration_ms: 200 }, items: { count: 5000 } });
  for (const change of [{}, { paused: true }, { window: { from: "22:00", until: "06:00" }, overlap: "queue" }]) {
    const schedule = await server.api("POST", "/schedules", { cron: "@yearly", time_zone: "Europe/Berlin", from_batch: done.id, ...change });
    await server.api("POST", `/schedules/${schedule.id}/run`);
  }
  const failed = (await server.api("GET", `/batches/${done.id}/items?state=failed&limit=1`)).items[0].seq;
  const paths = [
    "/", "/?state=failed", "/new", "/new?task=checksum", "/new?task=image", "/new?task=csv-check", "/schedules", "/nodes", "/webhooks", "/account", "/people", "/audit", "/nowhere",
    `/batches/${done.id}`, `/batches/${done.id}?tab=failures`, `/batches/${done.id}?tab=files`,
    `/batches/${done.id}?tab=settings`, `/batches/${done.id}/items/${failed}`, `/batches/${running.id}`,
  ];
  for (const scheme of ["light", "dark"] as const) {
    await page.emulateMedia({ colorScheme: scheme, reducedMotion: "reduce" });
    for (const path of paths) {
      await page.goto(server.url + path);
      await expect(page.locator("html[data-alive]")).toBeAttached();
      const { violations } = await new AxeBuilder({ page }).withTags(["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa"]).analyze();
      const told = violations.map((violation) => `${violation.id}: ${violation.nodes.map((node) => node.target.join(" ")).join("; ")}`);
      expect.soft(told, `${scheme} ${path}`).toEqual([]);
    }
  }
  await server.api("POST", `/batches/${running.id}/cancel`);
});

test("axe finds nothing on the way in", async ({ page, server }) => {
  for (const path of ["/login", "/login?error=1", "/first/none", "/password/none"]) {
    await page.goto(server.url + path);
    const { violations } = await new AxeBuilder({ page }).withTags(["wcag2a", "wcag2aa", "wcag21aa", "wcag22aa"]).analyze();
    expect.soft(violations.map((violation) => violation.id), path).toEqual([]);
  }
});

test("nothing is wider than a phone", async ({ page, server, signIn }) => {
  await signIn(page);
  const batch = await server.api("POST", "/batches", {
    task: "demo",
    name: "a rather long name for a batch that a phone has to show as well",
    params: { fail_rate: 0.3 },
    options: { attempts_max: 1 },
    items: { count: 300 },
  });
  await server.api("POST", "/schedules", { name: "x".repeat(200), cron: "*/5 1,2,3,4,5,6,7,8,9 * * MON-FRI", batch: { task: "demo", items: { count: 1 } } });
  await page.setViewportSize({ width: 360, height: 740 });
  for (const path of ["/", "/new", "/new?task=csv-check", "/schedules", "/nodes", "/webhooks", "/account", `/batches/${batch.id}`, `/batches/${batch.id}?tab=failures`, `/batches/${batch.id}?tab=settings`, `/batches/${batch.id}/items/1`]) {
    await page.goto(server.url + path);
    await expect(page.locator("html[data-alive]")).toBeAttached();
    const wide = await page.evaluate(() => document.documentElement.scrollWidth);
    expect.soft(wide, path).toBeLessThanOrEqual(360);
  }
});

test("going to and fro leaves no subscription behind", async ({ page, server, signIn }) => {
  await signIn(page);
  const batch = await server.api("POST", "/batches", { task: "demo", items: { count: 10 } });
  const ear = new Ear(page);
  await page.goto(server.url);
  await expect(page.locator(".chip-live")).toBeVisible();
  for (let round = 0; round < 20; round += 1) {
    await page.getByRole("link", { name: "Nodes" }).click();
    await expect(page).toHaveURL(/\/nodes/);
    await page.goBack();
    await page.locator(`a[href*="${batch.id}"]`).first().click();
    await expect(page).toHaveURL(new RegExp(batch.id));
    await page.goBack();
  }
  await expect(page.getByRole("heading", { name: "Batches" })).toBeVisible();
  await expect(async () => expect([...ear.topics]).toEqual(["batches"])).toPass();
  expect(ear.opened).toBe(1);
});
