// Every page is complete and true as server HTML with scripts off; forms post.
import { expect, test } from "../support/test.js";

test.use({ javaScriptEnabled: false });

test("sign in, submit lines, see the end, act: all without scripts", async ({ page, server }) => {
  await page.goto(`${server.url}/new`);
  await expect(page).toHaveURL(/\/login\?next=/);
  await page.getByLabel("Name").fill("ada");
  await page.getByLabel("Password").fill("kelp vane otter");
  await page.getByRole("button", { name: "Sign in" }).click();
  await expect(page).toHaveURL(/\/new/);
  await page.getByRole("link", { name: /demo/i }).first().click();
  await page.locator("#lines").fill("one\ntwo\nthree\n");
  await page.getByRole("button", { name: /^Run / }).click();
  await expect(page).toHaveURL(/\/batches\/[0-9a-f-]{36}/);
  const batch = /batches\/([0-9a-f-]{36})/.exec(page.url())![1];
  await expect(async () => {
    await page.reload();
    await expect(page.locator(".number-succeeded .count")).toHaveText("3", { timeout: 500 });
  }).toPass();
  await expect(page.getByText("two").first()).toBeVisible();

  await page.goto(server.url);
  await expect(page.locator(`a[href*="${batch}"]`).first()).toBeVisible();
  await page.goto(`${server.url}/batches/${batch}/items/2`);
  await expect(page.getByText("two").first()).toBeVisible();
  await page.goto(`${server.url}/nodes`);
  await expect(page.getByText(/slots/i).first()).toBeVisible();
});

test("files are posted by the plain form", async ({ page, server, signIn }) => {
  await signIn(page);
  await page.goto(`${server.url}/new?task=checksum`);
  await page.locator("#files").setInputFiles([
    { name: "a.txt", mimeType: "text/plain", buffer: Buffer.from("a") },
    { name: "b.txt", mimeType: "text/plain", buffer: Buffer.from("b") },
  ]);
  await page.getByRole("button", { name: /^Run / }).click();
  await expect(page).toHaveURL(/\/batches\/[0-9a-f-]{36}/);
  await expect(async () => {
    await page.reload();
    await expect(page.locator(".number-succeeded .count")).toHaveText("2", { timeout: 500 });
  }).toPass();
});

test("a running batch pauses and resumes by its forms, and the page refreshes itself", async ({ page, server, signIn }) => {
  await signIn(page);
  const batch = await server.api("POST", "/batches", { task: "demo", params: { duration_ms: 30 }, items: { count: 3000 } });
  await page.goto(`${server.url}/batches/${batch.id}`);
  await expect(page.locator('meta[http-equiv="refresh"]')).toBeAttached();
  await page.getByRole("button", { name: "Pause" }).click();
  await expect(page.getByRole("button", { name: "Resume" })).toBeVisible();
  expect((await server.api("GET", `/batches/${batch.id}`)).state).toBe("paused");
  await page.getByRole("button", { name: "Resume" }).click();
  await expect(page.getByRole("button", { name: "Pause" })).toBeVisible();
  await server.api("POST", `/batches/${batch.id}/cancel`);
});

test("what is refused is said on the page", async ({ page, server, signIn }) => {
  await signIn(page);
  await page.goto(`${server.url}/new?task=demo`);
  await page.getByRole("button", { name: /^Run / }).click();
  await expect(page.getByRole("alert").first()).toBeVisible();
  await page.goto(`${server.url}/batches/00000000-0000-0000-0000-000000000000`);
  await expect(page.getByText(/no such batch/i).first()).toBeVisible();
});
