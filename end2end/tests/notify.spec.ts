// Notifications are asked for, come when a hidden tab's batch ends, and can be turned off.
import { expect, test } from "../support/test.js";

test("a hidden tab says when its batch has ended, once somebody asked for it", async ({ page, context, server, signIn }) => {
  await context.grantPermissions(["notifications"], { origin: server.url });
  await page.addInitScript(() => {
    const shown: string[] = [];
    class Fake extends EventTarget {
      static permission = "granted";
      static requestPermission = async () => "granted";
      constructor(title: string) {
        super();
        shown.push(title);
      }
      close() {}
    }
    Object.assign(globalThis, { Notification: Fake, shown });
  });
  const hide = (isHidden: boolean) => page.evaluate((hidden) => {
    Object.defineProperty(document, "hidden", { value: hidden, configurable: true });
    Object.defineProperty(document, "visibilityState", { value: hidden ? "hidden" : "visible", configurable: true });
    document.dispatchEvent(new Event("visibilitychange"));
  }, isHidden);
  const shown = () => page.evaluate(() => (globalThis as unknown as { shown: string[] }).shown);
  await signIn(page);
  const batch = async (name: string) => {
    const made = await server.api("POST", "/batches", { task: "demo", name, params: { duration_ms: 30 }, items: { count: 400 } });
    await page.goto(`${server.url}/batches/${made.id}`);
    await expect(page).toHaveTitle(new RegExp(`^[0-9.]+ % ${name}`));
    return made.id as string;
  };
  const ends = (id: string) => expect.poll(async () => (await server.api("GET", `/batches/${id}`)).state, { timeout: 60_000 }).toBe("succeeded");

  // Nobody asked: nothing comes.
  await ends(await batch("unasked"));
  await expect(page).toHaveTitle(/^unasked ·/);
  expect(await shown()).toEqual([]);

  const first = await batch("asked");
  await page.locator(".who summary").click();
  const button = page.getByRole("button", { name: "Notify me of ends" });
  await button.click();
  await expect(button).toHaveAttribute("aria-pressed", "true");
  await hide(true);
  await ends(first);
  await expect.poll(shown, { timeout: 30_000 }).toEqual(["asked · finished"]);

  // Kept over pages; and nothing is said to whoever looks.
  await hide(false);
  await ends(await batch("looked at"));
  await expect(page).toHaveTitle(/^looked at ·/);
  expect(await shown()).toEqual([]);
  await page.locator(".who summary").click();
  await expect(button).toHaveAttribute("aria-pressed", "true");
  await button.click();
  await expect(button).toHaveAttribute("aria-pressed", "false");
});
