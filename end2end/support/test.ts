// The test function of this suite: a server per worker file, a signed-in page, and no error in any console.
import { test as base, expect, type Page } from "@playwright/test";
import { MilepostServer } from "./server.js";

type Fixtures = {
  /** Complaints of pages: every test fails that leaves one. */
  complaints: string[];
  /** Signs the page in with name and password. */
  signIn: (page: Page) => Promise<void>;
};

type WorkerFixtures = { server: MilepostServer };

export const test = base.extend<Fixtures, WorkerFixtures>({
  server: [
    async ({}, use) => {
      const server = new MilepostServer();
      await server.start();
      await use(server);
      await server.remove();
    },
    { scope: "worker" },
  ],
  complaints: [
    async ({ context }, use) => {
      const complaints: string[] = [];
      const listen = (page: Page) => {
        page.on("pageerror", (fault) => complaints.push(`page error: ${fault.message}`));
        page.on("console", (line) => {
          // A lost connection is said by the browser itself; the page says it in its chip.
          const lost = /WebSocket|net::ERR_|Failed to load resource/.test(line.text());
          if (line.type() === "error" && !lost) complaints.push(`console: ${line.text()}`);
        });
      };
      context.on("page", listen);
      await use(complaints);
      expect(complaints, "pages complained").toEqual([]);
    },
    { auto: true },
  ],
  signIn: async ({ server }, use) => {
    await use(async (page) => {
      const answer = await page.request.post(`${server.url}/login`, {
        form: { name: "ada", password: "ada-password", next: "/" },
        maxRedirects: 0,
      });
      expect(answer.status(), "signing in redirects").toBe(303);
    });
  },
});

export { expect };
