// Addresses of what there is not, and links that are used up, say so at once.
import { MilepostServer } from "../support/server.js";
import { expect, test } from "../support/test.js";

test("what there is not answers 404 with a page that says so", async ({ page, server, signIn }) => {
  await signIn(page);
  const batch = await server.api("POST", "/batches", { task: "demo", items: { count: 3 } });
  const none = "0198a7b0-1c2d-7e3f-8a4b-5c6d7e8f9a0b";
  for (const path of [
    "/nonsense", "/batches/xyz", `/batches/${none}`, `/batches/${none}?tab=settings`, `/batches/${none}/items/1`, "/batches/xyz/items/1",
    `/batches/${batch.id}/items/0`, `/batches/${batch.id}/items/4`, `/batches/${batch.id}/items/01`, `/batches/${batch.id}/items/first`,
    `/batches/${batch.id}/items/-1`, `/batches/${batch.id}/items/18446744073709551616`, `/batches/${batch.id}/items/18446744073709551615`,
    `/batches/${batch.id.toUpperCase()}`, "/batches/%00", "/batches/%3C%2Ftitle%3E", `/batches/${batch.id}/nonsense`,
  ]) {
    const answer = await page.goto(server.url + path);
    expect.soft(answer!.status(), path).toBe(404);
    await expect.soft(page.locator("h1"), path).toHaveText("Nothing is here");
    await expect.soft(page, path).toHaveTitle("Not found · milepost");
    await expect.soft(page.locator("html[data-alive]"), path).toBeAttached();
    await expect.soft(page.locator("main").getByRole("link", { name: "Batches" }), path).toBeVisible();
  }
  for (const path of [`/batches/${batch.id}?from=18446744073709551615`, `/batches/${batch.id}?state=failed&after=18446744073709551615`, `/batches/${batch.id}?from=-1&state=nonsense`]) {
    expect.soft((await page.goto(server.url + path))!.status(), path).toBe(200);
    await expect.soft(page.locator("html[data-alive]"), path).toBeAttached();
    await expect.soft(page.locator(".panel-error"), path).toHaveCount(0);
  }
  // The same without a load.
  await page.goto(server.url);
  await expect(page.locator("html[data-alive]")).toBeAttached();
  await page.evaluate(() => { const link = document.createElement("a"); link.href = "/batches/xyz"; document.body.append(link); link.click(); link.remove(); });
  await expect(page.locator("h1")).toHaveText("Nothing is here");
  await expect(page).toHaveTitle("Not found · milepost");
});

test("a sign-in link that is used or wrong says so at once, and its address is never answered in JSON", async ({ browser }) => {
  const server = new MilepostServer("");
  await server.start();
  try {
    const page = await browser.newPage();
    const late = await browser.newPage();
    // Opening alone consumes nothing.
    for (let round = 0; round < 3; round += 1) expect((await page.goto(server.signInLink))!.status()).toBe(200);
    expect((await late.goto(server.signInLink))!.status()).toBe(200);
    await page.getByRole("button", { name: /sign in/i }).click();
    await expect(page).toHaveURL(`${server.url}/`);
    // A page that was open meanwhile: its button leads to the page that says so.
    await late.getByRole("button", { name: /sign in/i }).click();
    for (const at of [late, page]) {
      for (const link of [server.signInLink, `${server.url}/first/none`, `${server.url}/first/${"0".repeat(64)}`, `${server.url}/first/%22%3E%00`]) {
        expect.soft((await at.goto(link))!.status(), link).toBe(404);
        await expect.soft(at.locator("h1"), link).toHaveText("This link does not sign in");
        await expect.soft(at.getByRole("button", { name: /sign in as/i }), link).toHaveCount(0);
        await expect.soft(at.getByRole("link", { name: "Sign in with a password" }), link).toBeVisible();
      }
    }
    const post = (accept: string) => page.request.post(server.signInLink, { headers: { accept } });
    expect((await post("text/html")).headers()["content-type"]).toContain("text/html");
    const problem = await post("application/json");
    expect([problem.status(), problem.headers()["content-type"]]).toEqual([404, "application/problem+json"]);
    const foreign = await page.request.post(`${server.url}/login`, { headers: { accept: "text/html", origin: "http://elsewhere.example" }, form: { name: "a", password: "b" } });
    expect(foreign.status()).toBe(403);
    expect(await foreign.text()).toContain("<h1>");
    await page.close();
    await late.close();
  } finally {
    await server.remove();
  }
});
