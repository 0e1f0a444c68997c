// People, their passwords, sessions and tokens; webhooks: with scripts and without.
import { expect, test } from "../support/test.js";

for (const scripts of [true, false]) {
  test.describe(scripts ? "with scripts" : "without scripts", () => {
    test.use({ javaScriptEnabled: scripts });

    test("a token is shown once and works until it is revoked", async ({ page, server, signIn }) => {
      await signIn(page);
      await page.goto(`${server.url}/account`);
      if (scripts) await expect(page.locator("html[data-alive]")).toBeAttached();
      const name = scripts ? "alive" : "plain";
      await page.getByLabel("Name of a new token").fill(name);
      await page.getByLabel("It may at most").selectOption("operator");
      await page.getByRole("button", { name: "Make it" }).click();
      const shown = page.locator(".secret .secret-text");
      await expect(shown).toHaveText(/^mp_[0-9a-f]{64}$/);
      const secret = (await shown.textContent())!.trim();
      const ask = () => page.request.get(`${server.url}/api/v1/batches`, { headers: { authorization: `Bearer ${secret}` } });
      expect((await ask()).status()).toBe(200);
      await page.goto(`${server.url}/account`);
      await expect(page.locator(".secret .secret-text")).toHaveCount(0);
      expect(await page.content()).not.toContain(secret);
      await page.locator(".delivery", { hasText: name }).getByRole("button", { name: "Revoke" }).click();
      await expect(page.locator(".delivery", { hasText: name })).toHaveCount(0);
      expect((await ask()).status()).toBe(401);
    });

    test("a new person sets a password by the link, and is in the log", async ({ page, server, signIn, browser }) => {
      await signIn(page);
      await page.goto(`${server.url}/people`);
      if (scripts) await expect(page.locator("html[data-alive]")).toBeAttached();
      const name = scripts ? "bob" : "carol";
      await page.getByLabel("Name of a new person").fill(name);
      await page.getByLabel("They may", { exact: true }).selectOption("viewer");
      await page.getByRole("button", { name: "Add them" }).click();
      const link = (await page.locator(".secret .secret-text").textContent())!.trim();
      expect(link).toMatch(/^\/password\/[0-9a-f]{64}$/);
      await expect(page.locator(".delivery", { hasText: name })).toBeVisible();

      const theirs = await browser.newContext({ javaScriptEnabled: scripts });
      const other = await theirs.newPage();
      await other.goto(server.url + link);
      await expect(other.getByRole("heading", { name: `A password for ${name}` })).toBeVisible();
      await other.getByLabel("New password").fill("password1");
      await other.getByRole("button", { name: "Set it and sign in" }).click();
      await expect(other.getByRole("alert")).toContainText("Take another");
      await other.getByLabel("New password").fill("kelp vane otter");
      await other.getByRole("button", { name: "Set it and sign in" }).click();
      await expect(other).toHaveURL(`${server.url}/`);
      await other.goto(server.url + link);
      await expect(other.getByRole("heading", { name: "This link sets no password" })).toBeVisible();
      expect((await other.goto(`${server.url}/people`))!.status()).toBe(403);
      await theirs.close();

      await page.goto(`${server.url}/audit?who=${name}`);
      await expect(page.locator(".delivery", { hasText: "sign_in" }).first()).toBeVisible();
      await page.goto(`${server.url}/people`);
      if (scripts) await expect(page.locator("html[data-alive]")).toBeAttached();
      await page.locator(".delivery", { hasText: name }).getByRole("button", { name: "Disable" }).click();
      await expect(page.locator(".delivery", { hasText: name }).getByRole("button", { name: "Enable" })).toBeVisible();
    });

    test("a webhook that must not be called says so, and is sent again by hand", async ({ page, server, signIn }) => {
      await signIn(page);
      const batch = await server.api("POST", "/batches", {
        task: "demo",
        items: { count: 1 },
        options: { webhook: "http://127.0.0.1:9/hook" },
      });
      const row = page.locator(".delivery").first();
      await expect(async () => {
        await page.goto(`${server.url}/webhooks?batch=${batch.id}`);
        await expect(row.getByText("given up")).toBeVisible({ timeout: 500 });
      }).toPass();
      if (scripts) await expect(page.locator("html[data-alive]")).toBeAttached();
      await expect(row).toContainText("[webhooks] allow");
      await row.getByRole("button", { name: "Send again" }).click();
      await expect(async () => {
        await page.goto(`${server.url}/webhooks?batch=${batch.id}`);
        await expect(row).toContainText("2 attempts", { timeout: 500 });
      }).toPass();
      await row.getByRole("link", { name: "http://127.0.0.1:9/hook" }).click();
      await expect(page.getByRole("heading", { name: "Attempts" })).toBeVisible();
      await expect(page.locator(".payload").last()).toContainText("batch.finished");
      await page.goto(`${server.url}/webhooks`);
      await page.getByText("What my messages are signed with").click();
      await expect(page.locator(".secret-text")).toHaveText(/^whsec_/);
    });
  });
}
