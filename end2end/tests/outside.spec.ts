// Sign-in by a provider, in a browser: the button, the way there and back, and what the page says where it fails.
import { type ChildProcess, spawn } from "node:child_process";
import { resolve } from "node:path";
import { freePort, MilepostServer } from "../support/server.js";
import { expect, test } from "../support/test.js";

let provider: ChildProcess;
let server: MilepostServer;

test.beforeAll(async () => {
  const script = resolve(import.meta.dirname, "../../tests/oidc/provider.mjs");
  provider = spawn(process.execPath, [script, "milepost", "between the two of us"], { stdio: ["pipe", "pipe", "ignore"] });
  const issuer = await new Promise<string>((done) => {
    provider.stdout!.on("data", (chunk: Buffer) => {
      const said = /http:\/\/\S+/.exec(chunk.toString());
      if (said) done(said[0]);
    });
  });
  const port = await freePort();
  const settings = `
[server]
base_url = "http://127.0.0.1:${port}"
[sign_in.openid]
issuer = "${issuer}"
client_id = "milepost"
client_secret_file = "secret"
title = "Example"
roles = { ops = "admin" }
`;
  server = new MilepostServer("root", 1, { "milepost.toml": settings, secret: "between the two of us\n" }, port);
  await server.start();
  for (const [account, claims] of Object.entries({ one: { preferred_username: "ada", groups: ["ops"] }, two: { preferred_username: "root", groups: ["ops"] } })) {
    await fetch(`${issuer}/test`, { method: "POST", body: JSON.stringify({ account, claims }) });
  }
});

test.afterAll(async () => {
  provider.kill();
  await server.remove();
});

for (const scripts of [true, false]) {
  test.describe(scripts ? "with scripts" : "without scripts", () => {
    test.use({ javaScriptEnabled: scripts });

    test("the button leads to the provider and back to where people were going", async ({ page }) => {
      await page.setExtraHTTPHeaders({ "x-account": "one" });
      await page.goto(`${server.url}/nodes`);
      await expect(page).toHaveURL(/\/login\?next=/);
      if (scripts) await expect(page.locator("html[data-alive]")).toBeAttached();
      await page.getByRole("link", { name: "Sign in with Example" }).click();
      await expect(page).toHaveURL(`${server.url}/nodes`);
      await expect(page.getByText("ada", { exact: true })).toBeVisible();
      await page.goto(`${server.url}/people`);
      if (scripts) await expect(page.locator("html[data-alive]")).toBeAttached();
      await expect(page.locator(".delivery", { hasText: "ada" })).toContainText("named by the provider");
    });

    test("a name that is taken is said so on the page, and an admin can say who it is", async ({ page, browser }) => {
      await page.setExtraHTTPHeaders({ "x-account": "two" });
      await server.api("PATCH", "/people/root", { sign_in: "password" });
      await page.goto(`${server.url}/login`);
      if (scripts) await expect(page.locator("html[data-alive]")).toBeAttached();
      await page.getByRole("link", { name: "Sign in with Example" }).click();
      await expect(page.getByRole("alert")).toContainText("comes in here in another way");
      const theirs = await browser.newContext({ javaScriptEnabled: scripts, extraHTTPHeaders: { "x-account": "one" } });
      const admin = await theirs.newPage();
      await admin.goto(`${server.url}/login/openid?next=/people`);
      if (scripts) await expect(admin.locator("html[data-alive]")).toBeAttached();
      await admin.locator(".delivery", { hasText: "root" }).getByRole("button", { name: "By the provider" }).click();
      await expect(admin.locator(".delivery", { hasText: "root" })).toContainText("named by the provider");
      await theirs.close();
      await page.getByRole("link", { name: "Sign in with Example" }).click();
      await expect(page).toHaveURL(`${server.url}/`);
      await expect(page.getByText("root", { exact: true })).toBeVisible();
    });
  });
}
