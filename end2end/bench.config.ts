// What the browser does, measured: run by `make bench`, never as a test.
import base from "./playwright.config.js";
import { defineConfig } from "@playwright/test";

export default defineConfig({ ...base, testDir: "bench", timeout: 30 * 60_000, retries: 0 });
