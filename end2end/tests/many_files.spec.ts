// Many files at once: a short list of rows, groups side by side and in order, over cuts, reloads, and into a batch that waits.
import { AxeBuilder } from "@axe-core/playwright";
import type { Page } from "@playwright/test";
import { expect, test } from "../support/test.js";

/** Puts files named f-NNNNN.txt into the input of New batch, as a choice of many does; each holds its number, or `text`. */
async function choose(page: Page, count: number, text = ""): Promise<void> {
  await put(page, count, text);
  await page.locator("#files").dispatchEvent("change");
}

/** As `choose`, before the page is told. */
async function put(page: Page, count: number, text: string): Promise<void> {
  await page.evaluate(
    ([count, text]) => {
      const held = new DataTransfer();
      for (let at = 1; count >= at; at += 1) {
        const name = `f-${String(at).padStart(5, "0")}.txt`;
        held.items.add(new File([text || `file ${at}`], name, { type: "text/plain", lastModified: 1_000 }));
      }
      const input = document.querySelector<HTMLInputElement>("#files")!;
      input.files = held.files;
    },
    [count, text] as const,
  );
}

async function open(page: Page, url: string): Promise<void> {
  await page.goto(url);
  await expect(page.locator("html[data-alive]")).toBeAttached();
}

/** Names of the items of a batch, in order. */
async function names(server: { api: (method: string, path: string) => Promise<any> }, batch: string): Promise<string[]> {
  const found: string[] = [];
  for (let after = ""; ; ) {
    const page = await server.api("GET", `/batches/${batch}/items?limit=500${after}`);
    found.push(...page.items.map((item: any) => item.input.name));
    if (page.next == null) return found;
    after = `&after=${page.next}`;
  }
}

const expected = (count: number) => Array.from({ length: count }, (_, at) => `f-${String(at + 1).padStart(5, "0")}.txt`);

test("ten thousand files are few rows, and any of them can be left out", async ({ page, server, signIn }) => {
  await signIn(page);
  await open(page, `${server.url}/new?task=checksum`);
  await put(page, 10_000, "");
  await page.evaluate(() => {
    const long: number[] = [];
    Object.assign(globalThis, { long });
    new PerformanceObserver((list) => long.push(...list.getEntries().map((entry) => entry.duration))).observe({ entryTypes: ["longtask"] });
  });
  await page.locator("#files").dispatchEvent("change");
  await expect(page.locator(".queue-head .count")).toHaveText(/^10,000 files · /);
  const elements = () => page.evaluate(() => document.querySelectorAll("*").length);
  expect(await elements()).toBeLessThan(1_500);
  await expect(page.locator(".queue-row").first()).toContainText("f-00001.txt");
  await page.locator(".queue-rows").evaluate((frame) => frame.scrollTo(0, 5_000 * 32));
  await expect(page.getByText("f-05001.txt")).toBeVisible();
  expect(await elements()).toBeLessThan(1_500);
  await page.getByRole("button", { name: "Leave f-05001.txt out" }).click();
  await expect(page.locator(".queue-head .count")).toHaveText(/^9,999 files · /);
  await expect(page.getByText("f-05001.txt")).toHaveCount(0);
  await expect(page.getByText("f-05002.txt")).toBeVisible();
  // How long the page did not answer is told, and judged by whoever reads: machines differ.
  const long = await page.evaluate(() => (globalThis as any).long as number[]);
  console.log(`long tasks while 10,000 files came: ${JSON.stringify(long.map(Math.round))}`);
  const found = await new AxeBuilder({ page }).analyze();
  expect(found.violations.map((violation) => violation.id)).toEqual([]);
});

test("groups go side by side and stand in order, and what is equal is noted", async ({ page, server, signIn }) => {
  await signIn(page);
  await open(page, `${server.url}/new?task=checksum`);
  await page.evaluate(() => {
    const counts = { flying: 0, most: 0 };
    Object.assign(globalThis, { counts });
    const { open } = XMLHttpRequest.prototype;
    XMLHttpRequest.prototype.open = function opened(this: XMLHttpRequest, ...given: any[]) {
      if (String(given[1]).includes("/items?first_seq")) {
        this.addEventListener("loadstart", () => {
          counts.flying += 1;
          counts.most = Math.max(counts.most, counts.flying);
        });
        this.addEventListener("loadend", () => (counts.flying -= 1));
      }
      return (open as any).apply(this, given);
    };
  });
  await choose(page, 640, "the same");
  await expect(page.getByText("639 files have the content of another")).toBeVisible();
  await page.getByRole("button", { name: "Run Checksums over 640 files" }).click();
  await page.waitForURL(/\/batches\/[0-9a-f-]{36}/);
  const batch = page.url().split("/").pop()!;
  expect(await names(server, batch)).toEqual(expected(640));
  const most = await page.evaluate(() => (globalThis as any).counts.most as number);
  expect(most).toBeGreaterThan(1);
  expect(most).toBeLessThanOrEqual(6);
  const { sealed, expected: announced } = await server.api("GET", `/batches/${batch}`);
  expect([sealed, announced]).toEqual([true, 640]);
});

test("a cut in the middle costs nothing and brings nothing twice", async ({ page, server, signIn }) => {
  await signIn(page);
  await open(page, `${server.url}/new?task=checksum`);
  let count = 0;
  await page.route("**/items?first_seq*", async (route) => {
    count += 1;
    return count === 3 || count === 5 ? route.abort("connectionreset") : route.continue();
  });
  await choose(page, 640);
  await page.getByRole("button", { name: /^Run / }).click();
  await page.waitForURL(/\/batches\/[0-9a-f-]{36}/);
  expect(await names(server, page.url().split("/").pop()!)).toEqual(expected(640));
  // Ten groups, and the two that were cut.
  expect(count).toBeGreaterThanOrEqual(12);
});

test("an upload that was left is gone on with from its batch, or closed", async ({ page, server, signIn }) => {
  await signIn(page);
  await open(page, `${server.url}/new?task=checksum`);
  await page.route("**/items?first_seq*", async (route) => {
    const first = Number(new URL(route.request().url()).searchParams.get("first_seq"));
    return first > 128 ? route.abort("connectionreset") : route.continue();
  });
  await choose(page, 300);
  await page.getByRole("button", { name: /^Run / }).click();
  const begun = async () => (await server.api("GET", "/batches?task=checksum")).batches[0];
  await expect.poll(async () => (await begun()).total).toBe(128);
  await expect(page.getByText("No contact. Goes on by itself")).toBeVisible();
  const asked: string[] = [];
  page.on("dialog", (dialog) => {
    asked.push(dialog.type());
    void dialog.accept();
  });
  await page.goto(server.url);
  expect(asked, "the browser asks before the page is left in mid-upload").toEqual(["beforeunload"]);
  const batch = await begun();
  expect([batch.total, batch.expected, batch.sealed]).toEqual([128, 300, false]);
  await page.unroute("**/items?first_seq*");

  await open(page, `${server.url}/batches/${batch.id}`);
  await expect(page.locator(".outlook")).toContainText("128 of 300 came");
  await expect(page.getByRole("button", { name: "That is all" })).toBeVisible();
  const found = await new AxeBuilder({ page }).analyze();
  expect(found.violations.map((violation) => violation.id)).toEqual([]);
  await page.getByRole("link", { name: "Add the rest" }).click();
  await expect(page.getByText("128 of 300 came")).toBeVisible();
  await choose(page, 300);
  await page.getByRole("button", { name: "Add the rest" }).click();
  await page.waitForURL(new RegExp(`/batches/${batch.id}`));
  expect(await names(server, batch.id)).toEqual(expected(300));
  const after = await server.api("GET", `/batches/${batch.id}`);
  expect([after.sealed, after.total]).toEqual([true, 300]);
  await expect(page.getByRole("button", { name: "That is all" })).toHaveCount(0);
});

test.describe("without scripts", () => {
  test.use({ javaScriptEnabled: false });

  test("an upload that was left is closed by its form", async ({ page, server, signIn }) => {
    await signIn(page);
    const options = { open: true, expected: 3 };
    const batch = await server.api("POST", "/batches", { task: "demo", items: ["a", "b"], options });
    await page.goto(`${server.url}/batches/${batch.id}`);
    await expect(page.locator(".outlook")).toContainText("2 of 3 came");
    await page.getByRole("button", { name: "That is all" }).click();
    await expect(page.getByRole("status").first()).toContainText("No more items are waited for.");
    await expect(page.getByText("2 of 3 items came;")).toBeVisible();
    expect((await server.api("GET", `/batches/${batch.id}`)).sealed).toBe(true);
    await page.goto(`${server.url}/new?batch=${batch.id}`);
    await expect(page.getByText("No more items can be added")).toBeVisible();
  });
});
