// Batches are chosen in the list and acted on together: rows hold still, buttons say to how many, and the act is followed to its end.
import { AxeBuilder } from "@axe-core/playwright";
import type { Page } from "@playwright/test";
import { expect, test } from "../support/test.js";
import type { MilepostServer } from "../support/server.js";

const submit = (server: MilepostServer, name: string, count: number, params: object) =>
  server.api("POST", "/batches", { task: "demo", name, params, options: { attempts_max: 1, concurrency: 1 }, items: { count } });

async function ended(server: MilepostServer, id: string): Promise<void> {
  await expect.poll(async () => (await server.api("GET", `/batches/${id}`)).finished_at).not.toBeNull();
}

/** Two that run, one that has ended, and one that has failed. */
async function four(server: MilepostServer) {
  const slow = { duration_ms: 60_000 };
  const batches = {
    one: await submit(server, "one", 30, slow),
    two: await submit(server, "two", 20, slow),
    done: await submit(server, "done", 3, {}),
    failed: await submit(server, "failed", 4, { fail_rate: 1 }),
  };
  await ended(server, batches.done.id);
  await ended(server, batches.failed.id);
  return batches;
}

const alive = (page: Page) => expect(page.locator("html[data-alive]")).toBeAttached();
const box = (page: Page, batch: { number: number }) => page.getByRole("checkbox", { name: `Choose #${batch.number}`, exact: true });
const bar = (page: Page) => page.getByRole("group", { name: "Chosen batches" });
const acts = (page: Page) => page.getByRole("list", { name: "Acts over many batches" });
const places = (page: Page) => page.locator(".row").evaluateAll((rows) => rows.map((row) => Math.round(row.getBoundingClientRect().top)));

test.afterEach(async ({ server }) => {
  const { batches } = await server.api("GET", "/batches?limit=500&state=active");
  if (batches.length > 0) await server.api("POST", "/acts", { act: "cancel", batches: batches.map((batch: { id: string }) => batch.id) });
  for (const batch of batches) await ended(server, batch.id);
});

test("what is chosen is held, counted, asked about and followed to its end", async ({ page, server, signIn }) => {
  await signIn(page);
  const { one, two, done, failed } = await four(server);
  await page.goto(server.url);
  await alive(page);
  const before = await places(page);
  await expect(bar(page)).toBeHidden();
  await box(page, one).check();
  await box(page, two).check();
  await box(page, failed).check();
  await expect(bar(page)).toContainText("3 chosen · updates held");
  for (const name of ["Pause 2", "Retry failed of 1", "Delete 1"]) await expect(bar(page).getByText(name, { exact: true })).toBeVisible();
  await expect(bar(page).getByRole("button", { name: /^Resume/ })).toHaveCount(0);
  expect(await places(page), "the bar pushes nothing").toEqual(before);
  expect((await new AxeBuilder({ page }).analyze()).violations).toEqual([]);

  // Rows stay as they are seen; one of those that are chosen ends meanwhile.
  const row = page.locator(".row").filter({ hasText: `#${one.number}` });
  const height = () => row.evaluate((element) => element.getBoundingClientRect().height);
  const highest = await height();
  await server.api("POST", `/batches/${one.id}/cancel`);
  await ended(server, one.id);
  await page.waitForFunction(() => new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(() => done(true)))));
  await expect(row).not.toContainText("cancelled");

  await bar(page).locator("summary", { hasText: "Cancel 2" }).click();
  await expect(bar(page).getByText("What runs is stopped.")).toBeVisible();
  await bar(page).getByRole("button", { name: "Cancel 2 batches with 50 items" }).click();
  await expect(acts(page)).toContainText("Cancelled 2 batches");
  await expect(bar(page)).toBeHidden();
  await expect(acts(page)).toBeFocused();
  await ended(server, two.id);
  await expect(row).toContainText("cancelled");
  expect(await height()).toBe(highest);

  // Some cannot be any more.
  await box(page, failed).check();
  await box(page, done).check();
  await server.api("DELETE", `/batches/${done.id}`);
  await bar(page).locator("summary", { hasText: "Delete 2" }).click();
  await bar(page).getByRole("button", { name: "Delete 2 batches with 7 items" }).click();
  await expect(acts(page)).toContainText("Deleted 1 of 2; 1 was gone");

  await expect(page.locator(".row").filter({ hasText: `#${failed.number}` })).toHaveCount(0);

  // As the server says it, too, until it is dismissed.
  await page.reload();
  await alive(page);
  await expect(page.locator(".row").filter({ hasText: `#${failed.number}` })).toHaveCount(0);
  await expect(acts(page)).toContainText("Cancelled 2 batches");
  for (const width of [360, 1440]) {
    await page.setViewportSize({ width, height: 900 });
    expect(await page.evaluate(() => document.documentElement.scrollWidth)).toBeLessThanOrEqual(width);
    expect((await new AxeBuilder({ page }).analyze()).violations).toEqual([]);
  }
  const lines = await acts(page).getByRole("listitem").count();
  await acts(page).getByRole("button", { name: "Dismiss" }).first().click();
  await expect(acts(page).getByRole("listitem")).toHaveCount(lines - 1);
});

test("all of a page are chosen by one box, by the keyboard", async ({ page, server, signIn }) => {
  await signIn(page);
  await four(server);
  await page.goto(server.url);
  await alive(page);
  const all = page.getByRole("checkbox", { name: "Choose all on this page" });
  await all.focus();
  await page.keyboard.press("Space");
  const rows = await page.locator(".row").count();
  await expect(bar(page)).toContainText(`${rows} chosen`);
  await bar(page).getByRole("button", { name: "Pause 2" }).press("Enter");
  await expect(acts(page)).toContainText("Paused 2 batches");
  await expect.poll(async () => (await server.api("GET", "/batches?state=paused")).batches.length).toBe(2);
  await all.check();
  await expect(bar(page).getByRole("button", { name: "Resume 2" })).toBeVisible();
  await all.uncheck();
  await expect(bar(page)).toBeHidden();
});

test.describe("without scripts", () => {
  test.use({ javaScriptEnabled: false });

  test("batches are chosen on a page that stays as it is, and acted on by forms", async ({ page, server, signIn }) => {
    await signIn(page);
    const { one, two, done } = await four(server);
    await page.goto(`${server.url}/?task=demo`);
    await expect(page.locator('meta[http-equiv="refresh"]')).toBeAttached();
    await expect(page.getByRole("checkbox")).toHaveCount(0);
    await page.getByRole("link", { name: "Choose" }).click();
    await expect(page.locator('meta[http-equiv="refresh"]')).toHaveCount(0);
    for (const batch of [one, two, done]) await box(page, batch).check();
    await page.getByRole("button", { name: "Go on with what is chosen" }).click();
    await expect(box(page, one)).toBeChecked();
    await expect(bar(page)).toContainText("3 chosen");
    await bar(page).locator("summary", { hasText: "Cancel 2" }).click();
    await bar(page).getByRole("button", { name: "Cancel 2 batches with 50 items" }).click();
    await expect(page).toHaveURL(`${server.url}/?task=demo`);
    await expect(page.getByText("It is under way, and goes on whether or not you stay.")).toBeVisible();
    for (const batch of [one, two]) await ended(server, batch.id);
    await page.reload();
    await expect(acts(page)).toContainText("Cancelled 2 batches");
  });
});
