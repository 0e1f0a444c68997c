// The page of the API: from this server alone, under its policy, light and dark, for whoever comes.
import { expect, test } from "../support/test.js";

for (const colorScheme of ["light", "dark"] as const) {
  test(`the API is described on a page, ${colorScheme}, and nothing is asked of another host`, async ({ browser, server }) => {
    const context = await browser.newContext({ colorScheme });
    const page = await context.newPage();
    const elsewhere: string[] = [];
    const complaints: string[] = [];
    page.on("request", (request) => {
      const url = request.url();
      if (!url.startsWith(server.url) && !url.startsWith("data:")) elsewhere.push(url);
    });
    page.on("console", (line) => complaints.push(line.text()));
    page.on("pageerror", (fault) => complaints.push(fault.message));
    await page.goto(`${server.url}/api`);
    await expect(page.locator("rapi-doc")).toHaveAttribute("theme", colorScheme);
    await expect(page.getByRole("heading", { name: "Make a batch", exact: true })).toBeAttached();
    await expect(page.getByText("/api/v1/batches/{id}/retry").first()).toBeAttached();
    expect(elsewhere).toEqual([]);
    expect(complaints).toEqual([]);
    await context.close();
  });
}
