// One item and the nodes that run it: what is drawn, numbered, coloured, folded and framed, with scripts and without.
import { writeFileSync } from "node:fs";
import { AxeBuilder } from "@axe-core/playwright";
import type { Browser, Page } from "@playwright/test";
import { MilepostServer } from "../support/server.js";
import { expect, test as base } from "../support/test.js";

/** Prints what a terminal would colour, and what would break out of a page. */
const program = `const e = "\\u001b[";
console.log(e + "31mred" + e + "0m and " + e + "1;92mgood" + e + "m, " + e + "38;5;27mblue" + e + "0m, " + e + "44mground" + e + "0m");
for (const n of [30, 33, 35, 36, 37, 90]) console.log(e + n + "mcolour " + n + e + "0m " + e + "7mturned" + e + "0m");
console.log("\\u001b]8;;https://evil.example\\u0007a link\\u001b]8;;\\u0007 <img src=x onerror=window.pwned=1> " + e + "2K");
for (let n = 0; n < 40; n += 1) console.log("step " + n);
import { writeFileSync } from "node:fs";
writeFileSync(process.argv[2] + "/rows.csv", "a,b\\n1,<script>window.pwned=1</script>\\n".repeat(4000));
writeFileSync(process.argv[2] + "/page.svg", "<svg xmlns='http://www.w3.org/2000/svg'><script>window.pwned=1</script></svg>");
console.log(JSON.stringify({ result: { id: 36893488147419103231n.toString(), list: [1, 2, { deep: "<b>" }], long: "x".repeat(1000) } }));
`;

const settings = (file: string) => `
[[task]]
name = "coloured"
input = "record"
command = ["${process.execPath}", "${file}", "{out}"]
`;

const test = base.extend<object, { server: MilepostServer }>({
  server: [
    async ({}, use) => {
      const server = new MilepostServer("ada", 80, { "coloured.mjs": program });
      writeFileSync(`${server.folder}/milepost.toml`, settings(`${server.folder}/coloured.mjs`));
      await server.start();
      await use(server);
      await server.remove();
    },
    { scope: "worker" },
  ],
});

const finished = (server: MilepostServer, id: string) =>
  expect(async () => expect((await server.api("GET", `/batches/${id}`)).finished_at).not.toBeNull()).toPass({ timeout: 60_000 });

const alive = (page: Page) => expect(page.locator("html[data-alive]")).toBeAttached();

/** Faults that axe finds, in light and dark. */
async function faults(page: Page): Promise<string[]> {
  const found: string[] = [];
  for (const colorScheme of ["light", "dark"] as const) {
    await page.emulateMedia({ colorScheme, reducedMotion: "reduce" });
    const { violations } = await new AxeBuilder({ page }).withTags(["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa"]).analyze();
    found.push(...violations.map(({ id, nodes }) => `${colorScheme} ${id}: ${nodes.map((node) => node.html).join("; ")}`));
  }
  return found;
}

/** The same page of somebody whose scripts are off. */
async function scriptless(browser: Browser, server: MilepostServer): Promise<Page> {
  const page = await (await browser.newContext({ javaScriptEnabled: false })).newPage();
  const form = { name: "ada", password: "kelp vane otter", next: "/" };
  await page.request.post(`${server.url}/login`, { form, maxRedirects: 0 });
  return page;
}

test("a log has numbers and colours, and nothing of it is markup", async ({ page, browser, server, signIn }) => {
  test.setTimeout(120_000);
  await signIn(page);
  const batch = await server.api("POST", "/batches", { task: "coloured", items: [{ a: { b: [1] } }] });
  await finished(server, batch.id);
  await page.goto(`${server.url}/batches/${batch.id}/items/1`);
  await alive(page);
  const log = page.locator("pre.log");
  await expect(log.locator(".c1").first()).toHaveText("red");
  await expect(log.locator(".c10.bold")).toHaveText("good");
  await expect(log.locator(".c4.turned")).toHaveText("ground");
  await expect(log).toContainText("a link <img src=x onerror=window.pwned=1>");
  expect(await log.textContent()).not.toContain("\u001b");
  const copied = await log.evaluate((log) => {
    getSelection()!.selectAllChildren(log);
    return getSelection()!.toString();
  });
  expect(copied.split("\n").filter((line) => line.includes("step"))).toEqual(Array.from({ length: 40 }, (_, n) => `info step ${n}`));
  await page.getByLabel("Filter lines of the log").fill("STEP 3");
  await expect(page.getByText("11 of 48 lines")).toBeVisible();
  expect(await log.locator(".log-line").first().getAttribute("data-n")).toBe("12");
  await page.getByLabel("Filter lines of the log").fill("");
  await expect(page.getByText("48 lines", { exact: true })).toBeVisible();
  // The tree: each value as it was written, the rest folded.
  const result = page.locator("section", { has: page.getByRole("heading", { name: "Result" }) }).last();
  await expect(result.locator(".tree")).toContainText("36893488147419103231");
  await expect(result.locator(".tree")).toContainText("<b>");
  await expect(result.locator(".tree-long")).toBeHidden();
  await result.getByText("1,000 characters").click();
  await expect(result.locator(".tree-long")).toBeVisible();
  // Files: the start of a text is a link to plain text, and an SVG is only a link.
  const start = page.locator("a.show-text");
  await expect(start).toHaveCount(1);
  await expect(start).toContainText("show the first 64 KiB of");
  expect(await (await page.request.get(new URL((await start.getAttribute("href"))!, page.url()).href)).text()).toContain("1,<script>window.pwned=1</script>");
  expect(await page.evaluate(() => (window as unknown as { pwned?: number }).pwned)).toBeUndefined();
  expect(await faults(page)).toEqual([]);
  await page.setViewportSize({ width: 360, height: 760 });
  expect(await page.evaluate(() => document.documentElement.scrollWidth)).toBeLessThanOrEqual(360);

  const plain = await scriptless(browser, server);
  await plain.goto(`${server.url}/batches/${batch.id}/items/1`);
  await expect(plain.locator("pre.log .c1").first()).toHaveText("red");
  await expect(plain.locator("pre.log .log-line")).toHaveCount(48);
  await plain.getByText("1,000 characters").click();
  await expect(plain.locator(".tree-long")).toBeVisible();
  await plain.context().close();
});

test("the start of a file is plain text in a sandbox, whatever it is", async ({ page, server, signIn }) => {
  await signIn(page);
  const batch = await server.api("POST", "/batches", { task: "coloured", items: [{}] });
  await finished(server, batch.id);
  const at = `${server.url}/api/v1/batches/${batch.id}/items/1/files`;
  for (const [name, bytes] of [["page.svg", 77], ["rows.csv", 65_536]] as const) {
    const answer = await page.request.get(`${at}/${name}?as=text`);
    expect(answer.headers()["content-type"]).toBe("text/plain; charset=utf-8");
    expect(answer.headers()["content-security-policy"]).toContain("sandbox; default-src 'none'");
    expect(answer.headers()["x-content-type-options"]).toBe("nosniff");
    expect((await answer.body()).length).toBe(bytes);
  }
  expect((await page.request.get(`${at}/rows.csv?as=html`)).status()).toBe(400);
  expect((await page.request.get(`${at}/rows.csv?side=input&as=text`)).status()).toBe(404);
});

test("a picture stands beside the one it was made of", async ({ page, server, signIn }) => {
  await signIn(page);
  const png = Buffer.from("iVBORw0KGgoAAAANSUhEUgAAAAIAAAACCAIAAAD91JpzAAAAFklEQVR4nGP8z8Dwn4GBgYGJgYGBAQAQAwEDNhmkUAAAAABJRU5ErkJggg==", "base64");
  await page.goto(`${server.url}/new?task=image`);
  await alive(page);
  await page.locator("#files").setInputFiles([{ name: "small.png", mimeType: "image/png", buffer: png }]);
  await page.locator("#param\\.width").fill("1");
  await page.getByRole("button", { name: /^Run .* over 1 file$/ }).click();
  await page.waitForURL(/\/batches\/[0-9a-f-]{36}/);
  const id = /batches\/([0-9a-f-]{36})/.exec(page.url())![1]!;
  await finished(server, id);
  await page.goto(`${server.url}/batches/${id}/items/1`);
  await alive(page);
  await expect(page.getByRole("link", { name: "small.png" }).first()).toBeVisible();
  if ((await server.api("GET", `/batches/${id}/items/1`)).state === "succeeded") {
    const figures = page.locator(".pictures").filter({ hasText: "Before" }).locator("figure");
    await expect(figures).toHaveText(["Before", "After"]);
    await expect(figures.first().locator("img")).toHaveAttribute("src", /\?side=input$/);
    await expect(figures.last().locator("img")).toHaveAttribute("src", /\?side=output$/);
  }
  expect(await faults(page)).toEqual([]);
});

test("what runs says since when and where, and its slot says what it runs", async ({ page, browser, server, signIn }) => {
  test.setTimeout(120_000);
  await signIn(page);
  const batch = await server.api("POST", "/batches", { task: "demo", name: "June photos", params: { duration_ms: 120_000, steps: 400 }, items: { count: 80 } });
  await expect(async () => expect((await server.api("GET", `/batches/${batch.id}/items/3`)).started_at).not.toBeNull()).toPass();
  await page.goto(`${server.url}/batches/${batch.id}/items/3`);
  await alive(page);
  await expect(page.locator(".step-now")).toHaveText(/attempt 1 runs for .* on node \S+/);
  await expect(page.locator(".step-wait")).toContainText("waited");
  await expect(page.locator(".step-now .step-bar")).toBeAttached();
  await expect(page.getByRole("progressbar", { name: "Progress of the attempt" })).toHaveJSProperty("max", 1000);
  expect(await faults(page)).toEqual([]);
  await page.keyboard.press("j");
  await expect(page.getByRole("heading", { name: "Item #4" })).toBeVisible();
  await page.keyboard.press("k");
  await expect(page.getByRole("heading", { name: "Item #3" })).toBeVisible();

  await page.goto(`${server.url}/nodes`);
  await alive(page);
  await expect(page.getByText("80 of 80 slots busy, 64 shown, 16 more")).toBeVisible();
  await expect(page.locator("a.slot")).toHaveCount(64);
  await expect(page.locator(`a.slot[aria-label="#${batch.number} June photos · item 1"]`)).toHaveCount(1);
  await expect(page.locator(".slot-list li")).toHaveCount(5);
  await expect(page.locator(".slot-list li").first()).toHaveText(/#\d+ June photos · item \d+ · \d/);
  // The focus stays where it is while the rows are told anew.
  await page.locator("a.slot").nth(3).focus();
  const told = await page.locator(".slot-list li").first().textContent();
  await expect(page.locator(".slot-list li").first()).not.toHaveText(told!);
  await expect(page.locator("a.slot").nth(3)).toBeFocused();
  expect(await faults(page)).toEqual([]);
  await page.setViewportSize({ width: 360, height: 760 });
  expect(await page.evaluate(() => document.documentElement.scrollWidth)).toBeLessThanOrEqual(360);
  const plain = await scriptless(browser, server);
  await plain.goto(`${server.url}/nodes`);
  await expect(plain.locator(".slot-list li").first()).toContainText("June photos · item");
  await plain.goto(`${server.url}/batches/${batch.id}/items/3`);
  await expect(plain.locator(".step-now")).toContainText("attempt 1 runs for");
  await plain.context().close();

  // Another start: the node of the one before is one line.
  await server.stop("SIGKILL");
  await server.start();
  await signIn(page);
  await page.goto(`${server.url}/nodes`);
  await expect(page.getByText("1 earlier node, last seen under a minute ago")).toBeVisible();
  await expect(page.locator("article.node")).toHaveCount(1);
  await server.api("POST", `/batches/${batch.id}/cancel`);
});
