// Whatever a text holds, the pages that show it come to life and show it.
import { closing, oddFiles, oddTexts, shown } from "../support/odd.js";
import { expect, test as base } from "../support/test.js";
import { MilepostServer } from "../support/server.js";

const test = base.extend<object, { server: MilepostServer }>({
  server: [
    async ({}, use) => {
      const server = new MilepostServer("ada", 4, oddFiles);
      await server.start();
      await use(server);
      await server.remove();
    },
    { scope: "worker" },
  ],
});

const finished = async (server: MilepostServer, id: string) =>
  expect(async () => expect((await server.api("GET", `/batches/${id}`)).finished_at).not.toBeNull()).toPass({ timeout: 60_000 });

/** How a page that was asked for with `path` came to life. */
async function open(page: import("@playwright/test").Page, server: MilepostServer, path: string): Promise<void> {
  await page.goto(server.url + path);
  await expect(page.locator("html[data-alive]"), path).toBeAttached();
  await expect(page.locator("h1").first(), path).toBeVisible();
}

for (const [name, text] of Object.entries(oddTexts)) {
  test(`inputs, errors, results and logs that are: ${name}`, async ({ page, server, signIn }) => {
    test.setTimeout(120_000);
    await signIn(page);
    const plain = await server.api("POST", "/batches", { task: "demo", items: [text, "after it"] });
    const said = await server.api("POST", "/batches", {
      task: "odd",
      options: { attempts_max: 1 },
      items: ["result", "error", "log"].map((say) => ({ say, text })),
    });
    await finished(server, plain.id);
    await finished(server, said.id);
    const pages = ["/", `/batches/${plain.id}`, `/batches/${plain.id}?state=succeeded`, `/batches/${plain.id}/items/1`, `/batches/${said.id}`];
    for (const tab of ["failures", "files", "settings"]) pages.push(`/batches/${said.id}?tab=${tab}`);
    pages.push(`/batches/${said.id}?state=failed`);
    for (const path of pages) await open(page, server, path);

    await open(page, server, `/batches/${plain.id}/items/1`);
    const body = page.locator("pre.text");
    expect((await body.first().textContent())!.trimEnd() === shown(text).trimEnd(), "the input is shown, all of it").toBe(true);
    await open(page, server, `/batches/${said.id}/items/1`);
    expect((await body.nth(1).textContent())!.trimEnd() === shown(text).trimEnd(), "the result is shown, all of it").toBe(true);
    await open(page, server, `/batches/${said.id}/items/2`);
    await expect(page.locator(".text-error, .badge-failed").first()).toBeVisible();
    await open(page, server, `/batches/${said.id}/items/3`);
    // Alive: from one to the next without a load.
    await page.evaluate(() => { (window as unknown as { here: boolean }).here = true; });
    await page.getByRole("link", { name: "Previous" }).click();
    await expect(page.getByRole("heading", { name: "Item #2" })).toBeVisible();
    expect(await page.evaluate(() => (window as unknown as { here?: boolean }).here)).toBe(true);
  });
}

test("parameters, defaults and words of a task that are odd", async ({ page, server, signIn }) => {
  test.setTimeout(120_000);
  await signIn(page);
  await open(page, server, "/new?task=odd");
  await expect(page.getByLabel("Any")).toHaveValue('{"a":"\\n\\u0000"}');
  await open(page, server, "/nodes");
  await open(page, server, `/?task=odd&q=${encodeURIComponent("\n")}&owner=${encodeURIComponent("</title>\0")}`);
  for (const text of Object.values(oddTexts)) {
    const batch = await server.api("POST", "/batches", { task: "odd", params: { note: text, any: { text } }, items: [{ say: "result", text: "x" }] });
    for (const path of ["/", `/batches/${batch.id}`, `/batches/${batch.id}?tab=settings`]) await open(page, server, path);
    await expect(page.locator("dd").first()).toBeVisible();
  }
});

test("names that would close an element are names, on every page", async ({ page, server, signIn }) => {
  test.setTimeout(180_000);
  await signIn(page);
  const made = async (name: string) => (await server.api("POST", "/batches", { task: "demo", name, items: [name], params: { fail_rate: 0 } })).id as string;
  /** What could act in a page, as it is said in its HTML and as it stands in its document. */
  const acting = "script,meta,img,svg,style,title,base,link,iframe,object,embed,form[action]";
  const count = () => page.evaluate((acting) => [...document.querySelectorAll(acting)].map((one) => one.localName).sort().join(), acting);
  const paths = (id: string) => [`/batches/${id}`, `/batches/${id}?tab=settings`, `/batches/${id}/items/1`, `/?q=${encodeURIComponent("\"><script>nobody")}`];
  const plain = await made("a plain name");
  await finished(server, plain);
  const usual: string[] = [];
  for (const path of paths(plain)) {
    await open(page, server, path);
    usual.push(await count());
  }
  for (const name of closing) {
    const id = await made(name);
    await finished(server, id);
    for (const [at, path] of paths(id).entries()) {
      await open(page, server, path);
      expect(await count(), `${name} on ${path}`).toBe(usual[at]);
      expect(await page.evaluate(() => (window as unknown as { pwned?: number }).pwned)).toBeUndefined();
      if (at === 0) await expect(page).toHaveTitle(`${name} · finished · milepost`);
    }
    await open(page, server, "/");
    await expect(page.locator(`a.row-name[href*="${id}"]`)).toHaveText(name);
    expect(new URL(page.url()).pathname).toBe("/");
  }
});
