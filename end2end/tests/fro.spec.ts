// Pages that are left within milliseconds take nothing with them and leave nothing behind.
import { expect, test } from "../support/test.js";

test("going to and fro every few milliseconds ends nothing", async ({ page, server, signIn }) => {
  test.setTimeout(240_000);
  await signIn(page);
  const running = await server.api("POST", "/batches", {
    task: "demo",
    params: { duration_ms: 20, fail_rate: 0.2 },
    options: { attempts_max: 1 },
    items: { count: 20_000 },
  });
  const other = await server.api("POST", "/batches", { task: "demo", params: { fail_rate: 0.3, log_lines: 3 }, options: { attempts_max: 1 }, items: { count: 100 } });
  await page.goto(`${server.url}/batches/${running.id}`);
  await expect(page.locator("html[data-alive]")).toBeAttached();
  await page.evaluate(() => { (window as unknown as { here: boolean }).here = true; });
  const at = (id: string) => [`/batches/${id}`, `/batches/${id}?tab=failures`, `/batches/${id}?tab=files`, `/batches/${id}?tab=settings`, `/batches/${id}?state=failed`, `/batches/${id}/items/1`, `/batches/${id}/items/2`];
  const places = ["/", "/nodes", "/new", "/new?task=checksum", "/?state=failed", "/batches/nonsense", ...at(running.id), ...at(other.id)];
  for (const ms of [0, 5, 15, 40, 5]) {
    await page.evaluate(
      async ([places, ms]) => {
        const wait = () => new Promise((done) => (ms === 0 ? queueMicrotask(() => done(null)) : setTimeout(done, ms)));
        const go = (place: string) => {
          const link = document.createElement("a");
          link.href = place;
          document.body.append(link);
          link.click();
          link.remove();
        };
        for (let round = 0; round < 6; round += 1) {
          for (const [at, place] of places.entries()) {
            go(place);
            await wait();
            go(places[(at * 7 + round) % places.length]!);
            await wait();
            if (at % 3 === 0) history.back();
            await wait();
          }
        }
      },
      [places, ms] as [string[], number],
    );
    // It still answers: the page is there, whole and alive, with a title of its own.
    await page.evaluate((place) => { const link = document.createElement("a"); link.href = place; document.body.append(link); link.click(); link.remove(); }, `/batches/${running.id}`);
    await expect(page.locator(".strip-drawing")).toBeVisible();
    await expect(page).toHaveTitle(/numbers/);
    const before = await page.locator(".number-succeeded .count").textContent();
    await expect(page.locator(".number-succeeded .count")).not.toHaveText(before!);
    expect(await page.evaluate(() => (window as unknown as { here?: boolean }).here), "never read anew").toBe(true);
  }
  await page.getByRole("link", { name: "Nodes" }).click();
  await expect(page).toHaveTitle("Nodes · milepost");
  await server.api("POST", `/batches/${running.id}/cancel`);
});
