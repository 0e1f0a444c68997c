// The list of items: what is chosen, what a search finds far away, and where Back leads.
import { expect, test } from "../support/test.js";

const finished = (server: any, id: string) => expect(async () => {
  expect((await server.api("GET", `/batches/${id}`)).finished_at).not.toBeNull();
}).toPass({ timeout: 60_000 });

test("chosen items run again, and rows are held while any is chosen", async ({ page, server, signIn }) => {
  await signIn(page);
  const batch = await server.api("POST", "/batches", { task: "demo", params: { fail_rate: 1 }, options: { attempts_max: 1 }, items: { count: 30 } });
  await finished(server, batch.id);
  await page.goto(`${server.url}/batches/${batch.id}`);
  await expect(page.locator("html[data-alive]")).toBeAttached();
  const bar = page.getByRole("group", { name: "Chosen items" });
  await expect(bar).toBeHidden();
  await page.getByLabel("Choose item 2", { exact: true }).check();
  await page.getByLabel("Choose item 6", { exact: true }).click({ modifiers: ["Shift"] });
  await expect(bar).toContainText("5 chosen · updates held");
  const asked = page.waitForRequest(/retry_items/);
  await bar.getByRole("button", { name: "Retry 5" }).click();
  expect(decodeURIComponent((await asked).postData()!)).toContain("seqs=2,3,4,5,6");
  await expect(bar).toBeHidden();
  await finished(server, batch.id);
  const item = await server.api("GET", `/batches/${batch.id}/items/4`);
  expect(new Set(item.history.map((attempt: { generation: number }) => attempt.generation)).size).toBe(2);
  expect((await server.api("GET", `/batches/${batch.id}/items/7`)).history.every((attempt: { generation: number }) => attempt.generation === 1)).toBe(true);
});

test("all that match run again by one button with their count", async ({ page, server, signIn }) => {
  await signIn(page);
  const batch = await server.api("POST", "/batches", { task: "demo", params: { fail_rate: 0.5 }, options: { attempts_max: 1 }, items: { count: 400 } });
  await finished(server, batch.id);
  const { failed, rev } = await server.api("GET", `/batches/${batch.id}`);
  await page.goto(`${server.url}/batches/${batch.id}?state=failed`);
  await page.getByRole("button", { name: `Retry all ${failed} that match` }).click();
  await expect(async () => expect((await server.api("GET", `/batches/${batch.id}`)).rev).toBeGreaterThan(rev)).toPass();
});

test("a search goes on by itself over a long batch, and Back returns to the place", async ({ page, server, signIn }) => {
  test.setTimeout(120_000);
  await signIn(page);
  const batch = await server.api("POST", "/batches", { task: "demo", items: { count: 200_000 } });
  await finished(server, batch.id);
  await page.goto(`${server.url}/batches/${batch.id}?q=199999`);
  await expect(page.getByRole("link", { name: "199,999" })).toBeVisible({ timeout: 60_000 });
  await expect(page.getByText("1 item here, searched to #200,000")).toBeVisible();

  await page.goto(`${server.url}/batches/${batch.id}?from=120001`);
  await expect(page.locator("html[data-alive]")).toBeAttached();
  await page.getByRole("link", { name: "120,001", exact: true }).click();
  await expect(page.getByRole("heading", { name: "Item #120,001" })).toBeFocused();
  await page.goBack();
  await expect(page.getByRole("link", { name: "120,001", exact: true })).toBeInViewport();
  // One that was scrolled to, too.
  await page.locator(".lines-scroller").evaluate((list) => { list.scrollTop = list.scrollHeight / 2; });
  const row = page.locator(".lines-layer .line").nth(20).getByRole("link");
  await expect(row).toHaveText(/^(99|100),\d{3}$/);
  const seq = await row.textContent();
  await row.click();
  await expect(page.getByRole("heading", { name: `Item #${seq}` })).toBeVisible();
  await page.goBack();
  await expect(page.getByRole("link", { name: seq!, exact: true })).toBeInViewport();
});

test("a search changes the list in place, keeps the focus in its field, and Back takes it away", async ({ page, server, signIn }) => {
  await signIn(page);
  const batch = await server.api("POST", "/batches", { task: "demo", items: { count: 300 } });
  await finished(server, batch.id);
  await page.goto(`${server.url}/batches/${batch.id}`);
  await expect(page.locator("html[data-alive]")).toBeAttached();
  await page.evaluate(() => document.documentElement.setAttribute("data-seen", ""));
  const field = page.getByRole("searchbox");
  await field.fill("29");
  await field.press("Enter");
  await expect(page).toHaveURL(`${server.url}/batches/${batch.id}?q=29`);
  await expect(page.getByRole("link", { name: "290", exact: true })).toBeVisible();
  await expect(page.getByRole("link", { name: "1", exact: true })).toHaveCount(0);
  await expect(field).toBeFocused();
  await expect(field).toHaveValue("29");
  await page.goBack();
  await expect(page.getByRole("link", { name: "1", exact: true })).toBeVisible();
  await expect(field).toHaveValue("");
  // All of it in one document.
  await expect(page.locator("html[data-seen]")).toBeAttached();
});
