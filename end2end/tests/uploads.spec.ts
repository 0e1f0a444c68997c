// Large files in pieces: cut in the middle, over a reload of the page, and only the rest is sent.
import { createHash } from "node:crypto";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { expect, test } from "../support/test.js";

const MIB = 1024 * 1024;

test("a large file that was cut goes on after a reload, and only the rest is sent", async ({ page, server, signIn }) => {
  const folder = mkdtempSync(join(tmpdir(), "milepost-upload-"));
  const large = Buffer.alloc(33 * MIB + 5);
  for (let at = 0; at < large.length; at += 1) large[at] = (at * 7 + (at >> 9)) % 251;
  const paths = [join(folder, "note.txt"), join(folder, "film.bin")];
  writeFileSync(paths[0]!, "a small one\n");
  writeFileSync(paths[1]!, large);
  try {
    await signIn(page);
    const earlier = (await server.api("GET", "/batches?task=checksum")).batches.length;
    const requests: string[] = [];
    page.on("request", (request) => {
      const { pathname } = new URL(request.url());
      if (!pathname.startsWith("/api/v1/")) return;
      const offset = request.headers()["upload-offset"];
      if (request.method() !== "GET") requests.push(`${request.method()} ${pathname.split("/")[3]}${offset ? ` ${Number(offset) / MIB}` : ""}`);
    });
    const choose = async () => {
      await page.goto(`${server.url}/new?task=checksum`);
      await expect(page.locator("html[data-alive]")).toBeAttached();
      await page.locator("#files").setInputFiles(paths);
      await expect(page.getByText("Large files are sent in pieces.")).toBeVisible();
      await page.getByRole("button", { name: /^Run .* over 2 files$/ }).click();
    };

    // Two pieces get through, then the network is gone.
    let pieces = 0;
    await page.route("**/api/v1/uploads/*", async (route) => {
      if (route.request().method() === "PATCH") pieces += 1;
      if (pieces > 2) return route.abort("connectionreset");
      return route.continue();
    });
    await choose();
    await expect(page.getByText("No contact. Goes on by itself")).toBeVisible();
    const asked: string[] = [];
    page.on("dialog", (dialog) => {
      asked.push(dialog.type());
      void dialog.accept();
    });
    await page.reload();
    expect(asked, "the browser asks before the page is left in mid-upload").toEqual(["beforeunload"]);
    await page.unroute("**/api/v1/uploads/*");

    const before = requests.splice(0);
    expect(before.filter((request) => request === "POST uploads")).toHaveLength(1);
    await choose();
    await page.waitForURL(/\/batches\/[0-9a-f-]{36}/);
    // Neither the small file, nor the batch, nor the first two pieces come twice.
    expect(requests).toEqual(["PATCH uploads 16", "PATCH uploads 24", "PATCH uploads 32", "POST batches", "POST batches"]);
    await expect(page.locator(".number-succeeded .count")).toHaveText("2");

    const { batches } = await server.api("GET", "/batches?task=checksum");
    expect(batches).toHaveLength(earlier + 1);
    const { items } = await server.api("GET", `/batches/${batches[0].id}/items`);
    expect(items.map((item: any) => item.input.name)).toEqual(["note.txt", "film.bin"]);
    expect(items[1].result.sha256).toBe(createHash("sha256").update(large).digest("hex"));
    const kept = await page.evaluate(() => Object.keys(localStorage).filter((name) => /^milepost-(upload|filling)/.test(name)));
    expect(kept, "nothing is kept of what is done").toEqual([]);
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
});

test("columns of a CSV are called otherwise, or left out", async ({ page, server, signIn }) => {
  await signIn(page);
  await page.goto(`${server.url}/new?task=csv-check`);
  await expect(page.locator("html[data-alive]")).toBeAttached();
  const csv = "Full name,city,junk\nAda,London,x\nBo,Paris,y\n";
  await page.locator("#csv").setInputFiles({ name: "people.csv", mimeType: "text/csv", buffer: Buffer.from(csv) });
  const rename = async (from: string, to: string) => {
    const field = page.getByLabel(`New name of ${from}`);
    const looked = page.waitForResponse(/look_at_csv/);
    await field.fill(to);
    await field.blur();
    await looked;
  };
  await rename("city", "town");
  await rename("junk", "");
  await rename("Full name", "x");
  await rename("Full name", "Full name");
  await expect(page.getByLabel("New name of city")).toHaveValue("town");
  await expect(page.getByLabel("New name of junk")).toHaveValue("");
  await page.getByRole("button", { name: /^Run / }).click();
  await page.waitForURL(/\/batches\/[0-9a-f-]{36}/);
  const id = page.url().split("/").pop();
  const { items } = await server.api("GET", `/batches/${id}/items`);
  expect(items.map((item: any) => item.input)).toEqual([{ "Full name": "Ada", town: "London" }, { "Full name": "Bo", town: "Paris" }]);
});
