// The palette and the keys: every page and act by keyboard, and single keys that can be turned off.
import { AxeBuilder } from "@axe-core/playwright";
import { expect, test } from "../support/test.js";

test("the palette goes to batches, pages and items, and presses the page's own buttons", async ({ page, server, signIn }) => {
  await signIn(page);
  const batch = await server.api("POST", "/batches", { task: "demo", name: "June <b>photos</b>", params: { duration_ms: 400 }, items: { count: 2000 }, options: { concurrency: 1 } });
  await page.goto(server.url);
  await expect(page.locator("html[data-alive]")).toBeAttached();
  const palette = page.getByRole("dialog", { name: "Commands" });
  const field = page.getByRole("combobox", { name: "Command" });

  // By name: found on the server.
  await page.keyboard.press("Control+k");
  await expect(field).toBeFocused();
  await field.fill("june photos");
  await expect(palette.getByText("Nothing is called that.")).toBeVisible();
  await field.fill("june");
  await expect(palette.getByRole("option", { name: /June <b>photos/ })).toBeVisible();
  for (const colorScheme of ["light", "dark"] as const) {
    await page.emulateMedia({ colorScheme });
    expect((await new AxeBuilder({ page }).analyze()).violations).toEqual([]);
  }
  await field.press("Enter");
  await expect(page).toHaveURL(`${server.url}/batches/${batch.id}`);
  await expect(palette).toHaveCount(0);

  // An act of the page: its own button is pressed.
  await page.keyboard.press("Control+k");
  await field.fill("pause");
  await field.press("Enter");
  await expect.poll(async () => (await server.api("GET", `/batches/${batch.id}`)).state).toBe("paused");

  // An item by its number.
  await page.keyboard.press("Control+k");
  await field.fill("1,234");
  await field.press("Enter");
  await expect(page).toHaveURL(`${server.url}/batches/${batch.id}/items/1234`);
  await expect(page.locator("h1")).toHaveText("Item #1,234");

  // A page without the program, by the arrows; Escape gives the focus back.
  await page.keyboard.press("Control+k");
  await expect(field).toBeFocused();
  await page.keyboard.press("Escape");
  await expect(palette).toHaveCount(0);
  await page.getByRole("button", { name: "Commands and keys" }).click();
  await field.fill("sched");
  await field.press("Enter");
  await expect(page).toHaveURL(`${server.url}/schedules`);
  await page.keyboard.press("Control+k");
  await expect(palette.getByRole("option", { name: /Batches/ })).toBeVisible();
  await page.keyboard.press("Escape");
  await server.api("POST", `/batches/${batch.id}/cancel`);
});

test("keys lead on, are listed, leave what is typed alone, and can be turned off", async ({ page, server, signIn }) => {
  await signIn(page);
  const batch = await server.api("POST", "/batches", { task: "demo", name: "first of keys", params: { duration_ms: 0 }, items: { count: 5 } });
  await server.api("POST", "/batches", { task: "demo", name: "second of keys", params: { duration_ms: 0 }, items: { count: 5 } });
  await page.goto(`${server.url}/?q=of+keys`);
  await expect(page.locator("html[data-alive]")).toBeAttached();
  await expect(page.locator("a.row-name")).toHaveCount(2);
  await page.keyboard.press("j");
  await expect(page.locator("a.row-name").first()).toBeFocused();
  await page.keyboard.press("j");
  await expect(page.getByRole("link", { name: "first of keys", exact: true })).toBeFocused();
  await page.keyboard.press("Enter");
  await expect(page).toHaveURL(`${server.url}/batches/${batch.id}`);
  await page.goto(`${server.url}/batches/${batch.id}/items/2`);
  await expect(page.locator("html[data-alive]")).toBeAttached();
  await page.keyboard.press("j");
  await expect(page.locator("h1")).toHaveText("Item #3");
  // Two keys: the second is not the item's own.
  await page.keyboard.press("g");
  await page.keyboard.press("b");
  await expect(page).toHaveURL(`${server.url}/`);
  await page.keyboard.press("/");
  await expect(page.locator("main input[name=q]")).toBeFocused();
  await page.keyboard.type("n?g");
  await expect(page.locator("main input[name=q]")).toHaveValue("n?g");
  await page.locator("h1").click();
  await page.keyboard.press("?");
  const keys = page.getByRole("dialog", { name: "Keys" });
  await expect(keys.getByText("next failed")).toBeVisible();
  expect((await new AxeBuilder({ page }).analyze()).violations).toEqual([]);
  await keys.getByLabel("no single keys").check();
  await page.keyboard.press("Escape");
  await expect(keys).toHaveCount(0);
  await page.keyboard.press("n");
  await page.keyboard.press("?");
  await page.goto(`${server.url}/batches/${batch.id}/items/2`);
  await expect(page.locator("html[data-alive]")).toBeAttached();
  await page.keyboard.press("j");
  await page.keyboard.press("Control+k");
  await expect(page.getByRole("combobox", { name: "Command" })).toBeFocused();
  await expect(page.locator("h1")).toHaveText("Item #2");
});
