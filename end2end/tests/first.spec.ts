// The first start of a new user: a one-time link, an empty list, the demo.
import { expect, test } from "../support/test.js";
import { MilepostServer } from "../support/server.js";

test("the one-time link signs in once, and the demo shows what there is to see", async ({ browser }) => {
  const server = new MilepostServer("");
  await server.start();
  try {
    const page = await browser.newPage();
    await page.goto(server.url);
    await expect(page).toHaveURL(/\/login/);
    // Opening alone consumes nothing.
    for (let round = 0; round < 2; round += 1) await page.goto(server.signInLink);
    await page.getByRole("button", { name: /sign in/i }).click();
    await expect(page).toHaveURL(`${server.url}/`);
    const other = await browser.newContext();
    const late = await other.newPage();
    await late.goto(server.signInLink);
    await expect(late.getByRole("alert")).toBeVisible();
    await expect(late.getByRole("button", { name: /sign in/i })).toHaveCount(0);
    await other.close();

    await expect(page.locator("html[data-alive]")).toBeAttached();
    await page.getByRole("button", { name: "Run the demo" }).click();
    await page.waitForURL(/\/batches\/[0-9a-f-]{36}/);
    await expect(page.getByRole("button", { name: /^Retry \d+ failed$/ }).first()).toBeVisible({ timeout: 30_000 });
    await expect(page.locator(".eta")).toHaveText(/\d/, { timeout: 20_000 });
    await page.close();
  } finally {
    await server.remove();
  }
});
