// Schedules: made, paused, run and deleted on their page, with scripts and without.
import { expect, test } from "../support/test.js";

for (const scripts of [true, false]) {
  test.describe(scripts ? "with scripts" : "without scripts", () => {
    test.use({ javaScriptEnabled: scripts });

    test("a batch is saved as a schedule, which is paused, resumed, run and deleted", async ({ page, server, signIn }) => {
      await signIn(page);
      const name = `Rows ${scripts}`;
      const batch = await server.api("POST", "/batches", { task: "demo", name, items: ["a", "b"] });
      const alive = async () => {
        if (scripts) await expect(page.locator("html[data-alive]")).toBeAttached();
      };
      await page.goto(`${server.url}/batches/${batch.id}?tab=settings`);
      await alive();
      await page.getByLabel("Cron").fill("30 2 * * MON-FRI");
      await page.getByLabel("Time zone").fill("Europe/Berlin");
      await page.getByLabel("Not before").fill("22:00");
      await page.getByLabel("Not from").fill("06:00");
      await page.getByLabel("While the last one runs").selectOption("queue");
      await page.getByRole("button", { name: "Save as schedule" }).click();
      await expect(page).toHaveURL(/\/schedules$/);
      await alive();

      const card = page.locator(".schedule").filter({ has: page.getByRole("heading", { name, exact: true }) });
      await expect(card).toContainText("30 2 * * MON-FRI");
      await expect(card).toContainText("Europe/Berlin");
      await expect(card).toContainText("from 22:00 to 06:00");
      await expect(card.locator(".schedule-next strong")).toHaveText(/^\d{4}-\d\d-\d\d 02:30 \+0[12]:00$/);
      if (scripts) await expect(card.locator("time.local")).not.toContainText("UTC");
      else await expect(card.locator("time.local")).toContainText("UTC");

      await card.getByRole("button", { name: "Pause" }).click();
      await expect(card).toContainText("paused");
      await card.getByRole("button", { name: "Resume" }).click();
      await expect(card.getByRole("button", { name: "Pause" })).toBeVisible();

      await card.getByRole("button", { name: "Run now" }).click();
      await expect(page).toHaveURL(/\/batches\/[0-9a-f-]{36}/);
      const made = /batches\/([0-9a-f-]{36})/.exec(page.url())![1];
      expect((await server.api("GET", `/batches/${made}`)).total).toBe(2);
      await alive();
      await page.getByRole("link", { name: "schedule", exact: true }).click();
      await expect(page).toHaveURL(/\/schedules\?id=/);
      await expect(card.locator(".schedule-times li")).toHaveCount(5);
      await expect(card).toContainText('"task":"demo"');
      await expect(card.locator(`a[href="/batches/${made}"]`)).toBeVisible();

      await alive();
      await card.locator("details.confirm > summary").click();
      await card.getByRole("button", { name: "Delete the schedule" }).click();
      await expect(card).toHaveCount(0);
      expect((await server.api("GET", `/batches/${made}`)).id).toBe(made);
    });

    test("one is made on the page, and what is wrong is said", async ({ page, server, signIn }) => {
      await signIn(page);
      const name = `From JSON ${scripts}`;
      await page.goto(`${server.url}/schedules`);
      if (scripts) await expect(page.locator("html[data-alive]")).toBeAttached();
      const form = page.locator("details.schedule-new");
      const fill = async (cron: string) => {
        if (!(await form.evaluate((details: HTMLDetailsElement) => details.open))) await form.locator("summary").click();
        await form.getByLabel("or a new batch, as JSON").fill('{"task":"demo","items":{"count":5}}');
        await form.getByLabel("Name").fill(name);
        await form.getByLabel("Cron").fill(cron);
        await form.getByRole("button", { name: "Save" }).click();
      };
      await fill("60 * * * *");
      await expect(page.getByRole("alert").first()).toContainText("minute: expected 0 to 59");
      await fill("@daily");
      const card = page.locator(".schedule").filter({ has: page.getByRole("heading", { name, exact: true }) });
      await expect(card).toContainText("@daily");
      await expect(card).toContainText("demo over 5 items");
      await expect(page.locator("[aria-current=page]")).toHaveText("Schedules");
    });
  });
}
