// The whole way of a person: drop files, watch the bar to its end, take the results home.
import { createHash } from "node:crypto";
import { readFileSync } from "node:fs";
import { expect, test } from "../support/test.js";

test("files go in, the bar goes to its end, results come back", async ({ page, server, signIn }) => {
  await signIn(page);
  await page.goto(`${server.url}/new?task=checksum`);
  await expect(page.locator("html[data-alive]")).toBeAttached();
  const files = Array.from({ length: 40 }, (_, at) => ({
    name: `note ${at}.txt`,
    mimeType: "text/plain",
    buffer: Buffer.from(`content of file ${at}\n`.repeat(at + 1)),
  }));
  await page.locator("#files").setInputFiles(files);
  await page.getByRole("button", { name: /^Run .* over 40 files$/ }).click();
  await page.waitForURL(/\/batches\/[0-9a-f-]{36}/);
  await expect(page.getByRole("progressbar").first()).toHaveAttribute("aria-valuenow", "100");
  await expect(page.locator(".number-succeeded .count")).toHaveText("40");

  await page.getByRole("link", { name: "Files", exact: true }).click();
  const download = page.waitForEvent("download");
  await page.getByRole("link", { name: "NDJSON" }).click();
  const rows = readFileSync(await (await download).path(), "utf8").trim().split("\n").map((line) => JSON.parse(line));
  expect(rows).toHaveLength(40);
  for (const [at, row] of rows.entries()) {
    const file = files[at]!;
    expect(row.input.name).toBe(file.name);
    expect(row.result.sha256).toBe(createHash("sha256").update(file.buffer).digest("hex"));
  }
});

test("the demo moves before one's eyes and failed items can be retried", async ({ page, server, signIn }) => {
  await signIn(page);
  const batch = await server.api("POST", "/batches", {
    task: "demo",
    name: "moving",
    params: { duration_ms: 15, fail_rate: 0.1, fail_attempts: 1 },
    options: { attempts_max: 1 },
    items: { count: 800 },
  });
  await page.goto(`${server.url}/batches/${batch.id}`);
  const bar = page.getByRole("progressbar").first();
  const seen = new Set<string | null>();
  await expect(async () => {
    seen.add(await bar.getAttribute("aria-valuenow"));
    expect(seen.size).toBeGreaterThan(4);
  }).toPass({ intervals: [100] });
  await expect(page.locator(".number-pending .count")).toHaveText("0");
  const retry = page.getByRole("button", { name: /^Retry \d+ failed$/ }).first();
  await expect(retry).toBeVisible();
  const { failed } = await server.api("GET", `/batches/${batch.id}`);
  expect(failed).toBeGreaterThan(20);
  await expect(retry).toHaveText(`Retry ${failed} failed`);
  await retry.click();
  // The plan fails the first attempt of every generation alike: the same items fail again, in a new generation.
  await expect(async () => {
    const now = await server.api("GET", `/batches/${batch.id}`);
    expect(now.state).toBe("failed");
    expect(now.rev).toBeGreaterThan(batch.rev + 2);
    expect(now.failed + now.succeeded).toBe(800);
  }).toPass();
});

test("lines are counted while they are typed and become items", async ({ page, server, signIn }) => {
  await signIn(page);
  await page.goto(`${server.url}/new?task=demo`);
  await expect(page.locator("html[data-alive]")).toBeAttached();
  await page.locator("#lines").fill("alpha\nbeta\n\ngamma\n");
  await page.getByRole("button", { name: /over 3 lines$/ }).click();
  await page.waitForURL(/\/batches\/[0-9a-f-]{36}/);
  await expect(page.locator(".number-succeeded .count")).toHaveText("3");
  await expect(page.getByText("gamma").first()).toBeVisible();
});

test("a CSV is previewed, checked, and its verdicts are told", async ({ page, server, signIn }) => {
  await signIn(page);
  await page.goto(`${server.url}/new?task=csv-check`);
  await expect(page.locator("html[data-alive]")).toBeAttached();
  const csv = "name;amount\nada;12\ngrace;many\n";
  await page.locator('input[type="file"]').setInputFiles({ name: "people.csv", mimeType: "text/csv", buffer: Buffer.from(csv) });
  await expect(page.getByRole("table").getByText("grace")).toBeVisible();
  await page.getByLabel("Type of amount").selectOption("integer");
  await expect(page.getByText("1 of 2 rows would fail.")).toBeVisible();
  await page.getByRole("button", { name: "Run Check rows over 2 rows" }).click();
  await page.waitForURL(/\/batches\/[0-9a-f-]{36}/);
  await expect(page.locator(".number-failed .count")).toHaveText("1");
  await expect(page.locator(".number-succeeded .count")).toHaveText("1");
  await page.getByRole("link", { name: /^Failures/ }).click();
  await expect(page.getByText(/amount: /).first()).toBeVisible();
});
