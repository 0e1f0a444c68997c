// Share links: made on a batch's settings, opened by somebody who is not signed in, live, revoked.
import { AxeBuilder } from "@axe-core/playwright";
import { expect, test } from "../support/test.js";

for (const scripts of [true, false]) {
  test.describe(scripts ? "with scripts" : "without scripts", () => {
    test.use({ javaScriptEnabled: scripts });

    test("whoever has a link sees its batch until it is revoked", async ({ page, server, signIn, browser }) => {
      await signIn(page);
      const batch = await server.api("POST", "/batches", {
        task: "demo", name: "shared work", items: { count: 3000 }, params: { duration_ms: 20 },
      });
      await page.goto(`${server.url}/batches/${batch.id}?tab=settings`);
      if (scripts) await expect(page.locator("html[data-alive]")).toBeAttached();
      await page.getByRole("button", { name: "Make a link" }).click();
      const shown = page.locator(".secret .secret-text");
      await expect(shown).toBeVisible();
      const path = (await shown.getAttribute("href"))!;
      expect(path).toMatch(/^\/s\/[0-9a-f]{64}$/);

      const theirs = await browser.newContext({ javaScriptEnabled: scripts });
      const other = await theirs.newPage();
      const failed: string[] = [];
      other.on("response", (response) => {
        if (response.status() >= 400) failed.push(`${response.status()} ${response.url()}`);
      });
      const opened = await other.goto(server.url + path);
      expect(opened!.status()).toBe(200);
      await expect(other.getByRole("heading", { name: "shared work" })).toBeVisible();
      await expect(other.getByRole("progressbar")).toBeAttached();
      await expect(other.locator(".strip-drawing")).toBeVisible();
      await expect(other.getByText("What is in it is not shown")).toBeVisible();
      await expect(other.getByRole("navigation", { name: "Pages" })).toHaveCount(0);
      if (scripts) {
        await expect(other.locator("html[data-alive]")).toBeAttached();
        const succeeded = other.locator(".number-succeeded .count");
        const before = await succeeded.textContent();
        await expect(succeeded).not.toHaveText(before!);
        // Only what the session of nobody asks for may be refused.
        expect(failed.filter((line) => !line.includes("/api/load_me"))).toEqual([]);
      }
      expect((await other.goto(`${server.url}/batches/${batch.id}`))!.url()).toContain("/login");

      await page.goto(`${server.url}/batches/${batch.id}?tab=settings`);
      if (scripts) await expect(page.locator("html[data-alive]")).toBeAttached();
      await expect(page.locator(".secret .secret-text")).toHaveCount(0);
      await page.locator(".share").getByRole("button", { name: "Revoke" }).click();
      await expect(page.locator(".share")).toHaveCount(0);
      const after = await other.goto(server.url + path);
      expect(after!.status()).toBe(404);
      await expect(other.getByRole("heading", { name: "This link shows nothing" })).toBeVisible();
      await theirs.close();
      // The slots are for other tests.
      await server.api("POST", `/batches/${batch.id}/cancel`);
    });
  });
}

test("a link that shows what is in the batch has its items and results", async ({ server, browser }) => {
  const batch = await server.api("POST", "/batches", { task: "demo", name: "shown work", items: { count: 150 }, params: { fail_rate: 0.1 } });
  const { path } = await server.api("POST", `/batches/${batch.id}/shares`, { payloads: true });
  const theirs = await browser.newContext();
  const other = await theirs.newPage();
  await other.goto(server.url + path);
  await expect(other.locator("html[data-alive]")).toBeAttached();
  await expect(other.locator(".lines .line")).toHaveCount(101);
  await other.getByRole("link", { name: "Next" }).click();
  await expect(other.locator(".lines .line")).toHaveCount(51);
  await expect(other.locator(".line-seq").first()).toHaveText("101");
  for (const colorScheme of ["light", "dark"] as const) {
    await other.emulateMedia({ colorScheme });
    expect((await new AxeBuilder({ page: other }).withTags(["wcag2a", "wcag2aa", "wcag21aa", "wcag22aa"]).analyze()).violations).toEqual([]);
  }
  await other.setViewportSize({ width: 360, height: 740 });
  expect(await other.evaluate(() => document.documentElement.scrollWidth)).toBeLessThanOrEqual(360);
  const download = other.waitForEvent("download");
  await other.getByRole("link", { name: "CSV" }).click();
  expect((await download).suggestedFilename()).toContain("results.csv");
  await theirs.close();
});
