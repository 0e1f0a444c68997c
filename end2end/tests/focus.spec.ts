// Keys and focus: what was pressed stays focused, menus close, and the strip is one stop.
import { expect, test } from "../support/test.js";

test("focus goes to the heading of a page, and stays on what was pressed", async ({ page, server, signIn }) => {
  await signIn(page);
  const batch = await server.api("POST", "/batches", { task: "demo", params: { duration_ms: 300 }, items: { count: 3000 } });
  await page.goto(server.url);
  await expect(page.locator("html[data-alive]")).toBeAttached();
  await page.locator(`a.row-name[href*="${batch.id}"]`).click();
  await expect(page.getByRole("heading", { level: 1 })).toBeFocused();
  const pause = page.getByRole("button", { name: "Pause" });
  await pause.focus();
  await page.keyboard.press("Enter");
  await expect(page.getByRole("button", { name: "Resume" })).toBeFocused();
  await expect(page.getByText("Paused. What runs goes on")).toBeVisible();
  await page.getByRole("button", { name: "Undo" }).click();
  await expect(pause).toBeVisible();
  await expect(page.getByRole("button", { name: "Retry 0 failed" })).toHaveAttribute("aria-disabled", "true");
  await expect(page.getByRole("button", { name: "Retry 0 failed" })).toHaveAttribute("title", "Nothing has failed.");

  // Menus: one at a time, and gone on Escape and on a click elsewhere.
  const menus = page.locator("details[name=menu][open]");
  await page.getByText("Results", { exact: true }).click();
  await expect(menus).toHaveCount(1);
  await page.locator(".act-end summary").click();
  await expect(menus).toHaveCount(1);
  await page.keyboard.press("Escape");
  await expect(menus).toHaveCount(0);
  await expect(page.locator(".act-end summary")).toBeFocused();
  await page.getByText("Results", { exact: true }).click();
  await page.getByRole("heading", { level: 1 }).click();
  await expect(menus).toHaveCount(0);

  await page.locator(".act-end summary").click();
  await page.getByRole("button", { name: /^Cancel [\d,]+ items$/ }).click();
  await expect(page.locator(".batch-meta .badge")).toContainText("cancelled");
  expect(await page.evaluate(() => document.activeElement === document.body)).toBe(false);
});

test("the strip is one stop: arrows, ends, and Enter goes there", async ({ page, server, signIn }) => {
  await signIn(page);
  const batch = await server.api("POST", "/batches", { task: "demo", items: { count: 4000 } });
  await page.goto(`${server.url}/batches/${batch.id}`);
  await expect(page.locator(".number-succeeded .count")).toHaveText("4,000");
  const strip = page.getByRole("slider", { name: /How the items ended/ });
  await strip.focus();
  await expect(strip).toHaveAttribute("aria-valuetext", /^items 1 to 4: 4 succeeded$/);
  await page.keyboard.press("ArrowRight");
  await expect(page.locator(".strip-lens")).toHaveText("items 5 to 8: 4 succeeded");
  await page.keyboard.press("End");
  await expect(strip).toHaveAttribute("aria-valuenow", "1000");
  await page.keyboard.press("Enter");
  await expect(page).toHaveURL(/from=3997/);
  await page.locator(".strip-table summary").click();
  await expect(page.locator(".strip-table tbody tr")).toHaveCount(20);
});

test.describe("without scripts", () => {
  test.use({ javaScriptEnabled: false });

  test("questions and fields of a page that refreshes itself have an address, and forms say what they did", async ({ page, server, signIn }) => {
    await signIn(page);
    const batch = await server.api("POST", "/batches", { task: "demo", params: { duration_ms: 300 }, items: { count: 3000 } });
    await page.goto(`${server.url}/batches/${batch.id}`);
    const refresh = page.locator('meta[http-equiv="refresh"]');
    await expect(refresh).toBeAttached();
    await expect(page.getByRole("searchbox")).toBeHidden();
    await page.getByRole("button", { name: "Pause" }).click();
    await expect(page.getByText("Paused. What runs goes on")).toBeVisible();
    await page.reload();
    await expect(page.getByText("Paused. What runs goes on")).toHaveCount(0);
    await page.getByRole("link", { name: "Search" }).click();
    await expect(refresh).toHaveCount(0);
    await expect(page.getByRole("searchbox")).toBeVisible();
    await page.goto(`${server.url}/batches/${batch.id}`);
    await page.getByRole("link", { name: "Cancel", exact: true }).click();
    await expect(refresh).toHaveCount(0);
    await page.getByRole("button", { name: /^Cancel [\d,]+ items$/ }).click();
    await expect(page).not.toHaveURL(/ask=/);
    await expect(page.getByText("Cancelled. What had ended")).toBeVisible();
    await expect(page.locator(".chip")).toBeHidden();
  });
});
