// A CSV is looked at before it runs: types, rows that would fail, what is dropped where; the same without scripts.
import { AxeBuilder } from "@axe-core/playwright";
import type { Page } from "@playwright/test";
import { expect, test } from "../support/test.js";

/** 400 people, ten with an age that is none, seven with an address that is none. */
function people(): string {
  const rows = Array.from({ length: 400 }, (_, at) => {
    const age = (at + 1) % 37 === 0 ? "abc" : String((at + 1) % 90);
    const email = (at + 1) % 53 === 0 ? "not-an-email" : `p${at + 1}@example.org`;
    return `${at + 1},Person ${at + 1},${email},${age}`;
  });
  return `id,name,email,age\n${rows.join("\n")}\n`;
}

const csv = (name: string, text: string) => ({ name, mimeType: "text/csv", buffer: Buffer.from(text) });

async function drop(page: Page, files: { name: string; text: string }[]): Promise<void> {
  const dataTransfer = await page.evaluateHandle((given) => {
    const list = new DataTransfer();
    for (const { name, text } of given) list.items.add(new File([text], name));
    return list;
  }, files);
  await page.dispatchEvent("body", "drop", { dataTransfer });
}

async function alive(page: Page, address: string): Promise<void> {
  await page.goto(address);
  await expect(page.locator("html[data-alive]")).toBeAttached();
}

test("types are guessed, bad rows are named before the start, and corrections are kept", async ({ page, server, signIn }) => {
  await signIn(page);
  await alive(page, `${server.url}/new?task=csv-check`);
  await page.locator("#csv").setInputFiles(csv("people.csv", people()));
  await expect(page.getByText("people.csv · 400 rows · 4 columns")).toBeVisible();
  for (const [column, kind] of [["id", "integer"], ["name", "text"], ["email", "email"], ["age", "integer"]]) {
    await expect(page.getByLabel(`Type of ${column}`)).toHaveValue(kind!);
  }
  await expect(page.getByText("17 of 400 rows would fail.")).toBeVisible();
  await expect(page.getByText('Line 38: age: expected a whole number, found "abc"')).toBeVisible();
  const type = page.getByLabel("Type of age");
  await type.focus();
  await type.selectOption("text");
  await expect(page.getByText("7 of 400 rows would fail.")).toBeVisible();
  await expect(page.getByLabel("Type of age"), "the focus stays").toBeFocused();
  await expect(page.getByLabel("Type of age")).toHaveValue("text");
  await page.getByRole("button", { name: "Run Check rows over 400 rows" }).click();
  await page.waitForURL(/\/batches\/[0-9a-f-]{36}/);
  await expect(page.locator(".number-failed .count")).toHaveText("7");
  await expect(page.getByRole("heading", { level: 1 })).toContainText("people.csv");
});

test("what would check nothing does not run, and a ragged row is named", async ({ page, server, signIn }) => {
  await signIn(page);
  const earlier = (await server.api("GET", "/batches")).batches.length;
  await alive(page, `${server.url}/new?task=csv-check`);
  await page.locator("#csv-text").fill("a,b\n1,2\n3,4\n");
  await expect(page.getByRole("button", { name: "Run Check rows over 2 rows" })).toBeEnabled();
  await page.getByLabel("Type of a").selectOption("");
  await page.getByLabel("Type of b").selectOption("");
  await expect(page.getByRole("button", { name: "Nothing would be checked" })).toBeDisabled();
  await page.getByLabel("Type of b").selectOption("integer");
  await expect(page.getByRole("button", { name: "Run Check rows over 2 rows" })).toBeEnabled();
  await page.locator("#csv-text").fill("a,b\n1,2\n3\n");
  await expect(page.getByRole("alert").filter({ hasText: "(line 3)" })).toBeVisible();
  await page.getByRole("button", { name: "Run Check rows" }).click();
  await expect(page.locator(".submit-row [role=alert]")).toBeVisible();
  expect((await server.api("GET", "/batches")).batches).toHaveLength(earlier);
});

test("what is dropped chooses what fits, and says so", async ({ page, server, signIn }) => {
  await signIn(page);
  await alive(page, server.url);
  await drop(page, [{ name: "people.csv", text: people() }]);
  await expect(page).toHaveURL(/\/new/);
  await expect(page.getByText("17 of 400 rows would fail.")).toBeVisible();
  await expect(page.getByText(/tasks take this file: /)).toBeVisible();
  // On the open page it is read as its CSV.
  await drop(page, [{ name: "two.csv", text: "a\n1\n2\n" }]);
  await expect(page.getByText("two.csv · 2 rows · 1 column")).toBeVisible();

  await alive(page, server.url);
  await drop(page, [{ name: "a.png", text: "x" }, { name: "b.jpg", text: "y" }]);
  await expect(page.locator(".task-card[aria-current]")).toContainText("Resize");
  await expect(page.getByText("2 tasks take these files: ")).toBeVisible();
  await page.locator(".fitting").getByRole("link", { name: "Checksums" }).click();
  await expect(page.getByRole("button", { name: /Checksums over 2 files/ })).toBeVisible();

  await alive(page, `${server.url}/new?task=demo`);
  await drop(page, [{ name: "a.bin", text: "x" }]);
  await expect(page.getByText("“Demo” does not take 1 file. These tasks do: ")).toBeVisible();
});

test("What, Over what, How: each kind keeps its count, and inputs say nothing false", async ({ page, server, signIn }) => {
  await signIn(page);
  await alive(page, `${server.url}/new?task=demo`);
  const parts = await page.locator(".part h2").allTextContents();
  expect(parts.map((part) => part.replace(/^\d /, "").trim())).toEqual(["What", "Over what", "How"]);
  await page.locator("#lines").fill("a\nb\nc\n");
  await expect(page.getByRole("button", { name: "Run Demo over 3 lines" })).toBeVisible();
  await page.getByLabel("Numbers from 1 on").check();
  await page.locator("#count").fill("1000");
  await expect(page.getByRole("button", { name: "Run Demo over 1,000 numbers" })).toBeVisible();
  await page.getByLabel("Lines of text").check();
  await expect(page.getByRole("button", { name: "Run Demo over 3 lines" })).toBeVisible();
  await page.getByRole("button", { name: /^Run / }).click();
  await page.waitForURL(/\/batches\/[0-9a-f-]{36}/);
  await expect(page.getByRole("heading", { level: 1 })).toContainText("3 lines");

  await alive(page, `${server.url}/new?task=image`);
  await expect(page.getByLabel("Without loss")).toHaveAttribute("type", "checkbox");
  await page.locator("#files").setInputFiles([csv("a.png", "x")]);
  await expect(page.getByLabel("More files")).toHaveCSS("color", "rgba(0, 0, 0, 0)");
  await page.getByRole("button", { name: /over 1 file$/ }).click();
  await expect(page.getByText("Nothing would be changed")).toBeVisible();
});

test("the grid passes axe, in light and dark, and fits a phone", async ({ page, server, signIn }) => {
  await signIn(page);
  for (const scheme of ["light", "dark"] as const) {
    await page.emulateMedia({ colorScheme: scheme, reducedMotion: "reduce" });
    await alive(page, `${server.url}/new?task=csv-check`);
    await page.locator("#csv").setInputFiles(csv("people.csv", people()));
    await expect(page.getByText("17 of 400 rows would fail.")).toBeVisible();
    const { violations } = await new AxeBuilder({ page }).analyze();
    expect.soft(violations.map((violation) => `${violation.id}: ${violation.nodes.map((node) => node.target.join(" ")).join("; ")}`), scheme).toEqual([]);
  }
  await page.setViewportSize({ width: 360, height: 740 });
  expect(await page.evaluate(() => document.documentElement.scrollWidth)).toBeLessThanOrEqual(360);
});

test.describe("without scripts", () => {
  test.use({ javaScriptEnabled: false });

  test("a CSV that is posted comes back with its grid, and runs from there", async ({ page, server, signIn }) => {
    await signIn(page);
    await page.goto(`${server.url}/new?task=csv-check`);
    await page.locator("#csv").setInputFiles(csv("people.csv", people()));
    await page.getByRole("button", { name: "Run Check rows" }).click();
    await expect(page.getByText("17 of 400 rows would fail.")).toBeVisible();
    await page.getByLabel("Type of age").selectOption("text");
    await page.getByRole("button", { name: "Look at the rows again" }).click();
    await expect(page.getByText("7 of 400 rows would fail.")).toBeVisible();
    await expect(page.getByLabel("Type of age")).toHaveValue("text");
    await page.getByRole("button", { name: "Run Check rows over 400 rows" }).click();
    await expect(page).toHaveURL(/\/batches\/[0-9a-f-]{36}/);
    const id = page.url().split("/").pop();
    await expect(async () => {
      expect(await server.api("GET", `/batches/${id}`)).toMatchObject({ total: 400, failed: 7, succeeded: 393, name: "people.csv" });
    }).toPass();
  });

  test("a ragged CSV comes back with its line and its text", async ({ page, server, signIn }) => {
    await signIn(page);
    await page.goto(`${server.url}/new?task=csv-check`);
    await page.locator("#csv-text").fill("a,b\n1,2\n</textarea>\n");
    await page.getByRole("button", { name: "Run Check rows" }).click();
    await expect(page.getByRole("alert")).toContainText("(line 3)");
    await expect(page.locator("#csv-text")).toHaveValue("a,b\n1,2\n</textarea>\n");
  });
});
