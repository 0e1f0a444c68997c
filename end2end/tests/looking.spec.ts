// What helps who looks: failures above the items, ways by key, folders by drop, what happened meanwhile.
import { expect, test } from "../support/test.js";

test("failures are seen on the page itself, and the strip shows the whole batch", async ({ page, server, signIn }) => {
  await signIn(page);
  const batch = await server.api("POST", "/batches", {
    task: "demo",
    params: { fail_rate: 0.2 },
    options: { attempts_max: 1 },
    items: { count: 200 },
  });
  await page.goto(`${server.url}/batches/${batch.id}`);
  const brief = page.getByRole("region", { name: "Failures" });
  await expect(brief.locator(".family").first()).toBeVisible();
  await brief.getByRole("link", { name: "Show" }).first().click();
  await expect(page).toHaveURL(/family=/);
  await expect(brief).toHaveCount(0);
  const slow = await server.api("POST", "/batches", { task: "demo", params: { duration_ms: 500 }, items: { count: 400 } });
  await page.goto(`${server.url}/batches/${slow.id}`);
  // 400 cells of one item: four rows of 128, whatever has ended.
  await expect(page.locator(".strip-drawing")).toHaveAttribute("viewBox", "0 0 1280 40");
  await expect(page.locator("#favicon")).toHaveAttribute("href", /^data:image\/svg/);
  await page.getByRole("link", { name: "Nodes" }).click();
  await expect(page.locator("#favicon")).toHaveAttribute("href", "/favicon.svg");
  await server.api("POST", `/batches/${slow.id}/cancel`);
});

test("keys lead from item to item, and to the next that failed", async ({ page, server, signIn }) => {
  await signIn(page);
  const batch = await server.api("POST", "/batches", {
    task: "demo",
    params: { fail_rate: 0.1, log_lines: 3 },
    options: { attempts_max: 1 },
    items: { count: 100 },
  });
  await expect(async () => {
    expect((await server.api("GET", `/batches/${batch.id}`)).finished_at).not.toBeNull();
  }).toPass();
  const failed = (await server.api("GET", `/batches/${batch.id}/items?state=failed`)).items.map((row: { seq: number }) => row.seq);
  const at = (seq: number) => expect(page).toHaveURL(new RegExp(`/items/${seq}$`));
  await page.goto(`${server.url}/batches/${batch.id}/items/1`);
  await expect(page.locator("html[data-alive]")).toBeAttached();
  await page.keyboard.press("j");
  await at(2);
  await expect(page.getByRole("heading", { name: "Item #2" })).toBeVisible();
  await page.keyboard.press("k");
  await at(1);
  await expect(page.getByRole("heading", { name: "Item #1" })).toBeVisible();
  const first = failed.find((seq: number) => seq > 1);
  await page.keyboard.press("f");
  await at(first);
  await expect(page.getByRole("heading", { name: `Item #${first}` })).toBeVisible();
  // A key typed into a field is the field's.
  await page.getByLabel("Filter lines of the log").fill("line 2");
  await page.keyboard.press("j");
  await at(first);
  await page.getByLabel("Filter lines of the log").fill("line 2");
  await expect(page.locator(".log")).toHaveText(/^\S+ line 2 of 3$/);
});

test("a dropped folder is walked, and its files keep their paths", async ({ page, server, signIn }) => {
  await signIn(page);
  await page.goto(server.url);
  await expect(page.locator("html[data-alive]")).toBeAttached();
  await page.evaluate(() => {
    const file = (path: string) => ({
      isDirectory: false,
      fullPath: path,
      file: (found: (file: File) => void) => found(new File([path], path.split("/").at(-1)!)),
    });
    const folder = (path: string, inside: unknown[]) => ({
      isDirectory: true,
      fullPath: path,
      createReader: () => {
        const portions = [...inside.map((entry) => [entry]), []];
        return { readEntries: (found: (entries: unknown[]) => void) => found(portions.shift() ?? []) };
      },
    });
    const tree = folder("/photos", [file("/photos/a.txt"), folder("/photos/june", [file("/photos/june/b.txt"), file("/photos/june/c.txt")])]);
    DataTransferItem.prototype.webkitGetAsEntry = () => tree as unknown as FileSystemEntry;
    const data = new DataTransfer();
    data.items.add(new File(["x"], "photos"));
    document.body.dispatchEvent(new DragEvent("drop", { bubbles: true, cancelable: true, dataTransfer: data }));
  });
  await expect(page).toHaveURL(/\/new/);
  await expect(page.locator(".queue-name")).toHaveText(["photos/a.txt", "photos/june/b.txt", "photos/june/c.txt"]);
  await page.getByRole("button", { name: /over 3 files$/ }).click();
  await page.waitForURL(/\/batches\/[0-9a-f-]{36}/);
  await expect(page.locator(".number-succeeded .count")).toHaveText("3");
  await expect(page.getByText("photos/june/b.txt")).toBeVisible();
});

test("slots at once are changed while it runs", async ({ page, server, signIn }) => {
  await signIn(page);
  const batch = await server.api("POST", "/batches", { task: "demo", params: { duration_ms: 300 }, items: { count: 2000 } });
  await page.goto(`${server.url}/batches/${batch.id}`);
  await expect(page.locator("html[data-alive]")).toBeAttached();
  const slots = page.getByLabel("at once");
  await expect(slots).toHaveValue("4");
  await slots.focus();
  for (let press = 0; press < 3; press += 1) await page.keyboard.press("ArrowLeft");
  await expect(page.locator(".number-running .count")).toHaveText("1");
  await expect(page.getByText("1 of 4 slots")).toBeVisible();
  await page.goto(`${server.url}/batches/${batch.id}?tab=settings`);
  await expect(page.getByText("at most 1 of 4")).toBeVisible();
  await server.api("POST", `/batches/${batch.id}/cancel`);
});

test("after lost contact the page says what happened meanwhile", async ({ page, server, signIn }) => {
  test.setTimeout(90_000);
  await signIn(page);
  const batch = await server.api("POST", "/batches", { task: "demo", params: { duration_ms: 20, fail_rate: 0.05 }, options: { attempts_max: 1 }, items: { count: 3000 } });
  await page.goto(`${server.url}/batches/${batch.id}`);
  await expect(page.locator(".chip-live")).toBeVisible();
  await server.stop("SIGKILL");
  await expect(page.locator(".banner")).toBeVisible({ timeout: 20_000 });
  await server.start();
  await expect(page.getByText(/While you were away: [\d,]+ done/)).toBeVisible({ timeout: 45_000 });
  await page.getByRole("button", { name: "Dismiss" }).click();
  await expect(page.getByText(/While you were away/)).toHaveCount(0);
  await server.api("POST", `/batches/${batch.id}/cancel`);
});
