// When a batch is to start: by the clock of whoever asks, wherever they are.
import { expect, test } from "../support/test.js";

/** A time so many minutes from now, as a field of New York's clock holds it. */
function newYork(minutes: number): string {
  const parts = new Intl.DateTimeFormat("sv-SE", { timeZone: "America/New_York", dateStyle: "short", timeStyle: "short" });
  return parts.format(new Date(Math.ceil((Date.now() + minutes * 60_000) / 60_000) * 60_000)).replace(" ", "T");
}

test.use({ timezoneId: "America/New_York" });

test("an hour ahead in New York is an hour ahead, and is said back", async ({ page, server, signIn }) => {
  await signIn(page);
  await page.goto(`${server.url}/new?task=demo`);
  await expect(page.locator("html[data-alive]")).toBeAttached();
  await page.locator("#lines").fill("one");
  await page.getByText("Options", { exact: true }).click();
  await expect(page.getByLabel("Time zone of the start")).toHaveValue("America/New_York");
  const start = newYork(60);
  await page.getByLabel("Start at", { exact: true }).fill(start);
  await expect(page.locator("#start-meant")).toHaveText(`starts in 1 h, ${start.slice(11)} your time`);
  await page.getByLabel("Start at", { exact: true }).fill(newYork(-60));
  await expect(page.locator("#start-meant")).toHaveText("That has passed: it starts at once.");
  await page.getByLabel("Start at", { exact: true }).fill(start);
  await page.getByRole("button", { name: /^Run / }).click();
  await page.waitForURL(/\/batches\/[0-9a-f-]{36}/);
  const batch = await server.api("GET", `/batches/${page.url().split("/").pop()}`);
  expect(batch.state).toBe("scheduled");
  const ahead = Date.parse(batch.start_at) - Date.now();
  expect(ahead).toBeGreaterThan(58 * 60_000);
  expect(ahead).toBeLessThan(62 * 60_000);
  const here = new Date(batch.start_at).toLocaleString("en-US", { timeZone: "America/New_York" });
  await expect(page.locator(".outlook")).toContainText(/starts in (59 min|1 h)/);
  await expect(page.locator(".outlook time.local")).toHaveText(here);
});

test.describe("without scripts", () => {
  test.use({ javaScriptEnabled: false });

  test("the zone stands beside the time, and a form that is refused keeps both", async ({ page, server, signIn }) => {
    await signIn(page);
    await page.goto(`${server.url}/new?task=demo`);
    await page.getByLabel("Lines, one item each").fill("one\ntwo <b>");
    await page.getByText("Options", { exact: true }).click();
    await expect(page.getByLabel("Time zone of the start")).toHaveValue("UTC");
    await page.getByLabel("Start at", { exact: true }).fill("2999-01-31T14:30");
    await page.getByLabel("Time zone of the start").fill("Mars/Olympus");
    await page.getByLabel("Only I and admins see it").check();
    await page.getByRole("button", { name: /^Run / }).click();
    await expect(page.getByRole("alert")).toContainText("Mars/Olympus");
    expect(page.url()).not.toContain("err=");
    await expect(page.locator(".fault")).toContainText("expected a time zone");
    await expect(page.getByLabel("Lines, one item each")).toHaveValue("one\ntwo <b>");
    await expect(page.getByLabel("Start at", { exact: true })).toHaveValue("2999-01-31T14:30");
    await expect(page.getByLabel("Only I and admins see it")).toBeChecked();
    await page.getByLabel("Time zone of the start").fill("America/New_York");
    await page.getByRole("button", { name: /^Run / }).click();
    await expect(page).toHaveURL(/\/batches\/[0-9a-f-]{36}/);
    const batch = await server.api("GET", `/batches/${page.url().split("/").pop()}`);
    expect(batch.start_at).toBe("2999-01-31T19:30:00.000Z");
  });

  test("a form of another page that is refused keeps what was typed", async ({ page, server, signIn }) => {
    await signIn(page);
    const schedules = async () => (await server.api("GET", "/schedules")).schedules.length;
    const before = await schedules();
    const batch = await server.api("POST", "/batches", { task: "demo", items: ["a"] });
    await page.goto(`${server.url}/batches/${batch.id}?tab=settings`);
    await page.getByLabel("Cron").fill("every now and then");
    await page.getByLabel("Time zone", { exact: true }).fill("Europe/Berlin");
    await page.locator("form", { has: page.getByLabel("Cron") }).getByRole("button").click();
    await expect(page.getByRole("alert")).toContainText("cron");
    await expect(page.getByLabel("Cron")).toHaveValue("every now and then");
    await expect(page.getByLabel("Time zone", { exact: true })).toHaveValue("Europe/Berlin");
    // It stands still: nothing takes away what is typed.
    await expect(page.locator('meta[http-equiv="refresh"]')).toHaveCount(0);
    await page.getByLabel("Cron").fill("@daily");
    await page.locator("form", { has: page.getByLabel("Cron") }).getByRole("button").click();
    await expect.poll(schedules).toBe(before + 1);
    expect(page.url()).not.toContain("/api/");
  });
});
