// One Milepost server for a test file: the release executable on a port and data folder of its own.
// It can be killed and started again on the same port and data, as a machine would.
import { type ChildProcess, execFileSync, spawn } from "node:child_process";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { createServer } from "node:net";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";

const executable = process.env.MILEPOST_BIN ?? resolve(import.meta.dirname, "../../target/release/milepost");

/** A port that was free a moment ago. */
export async function freePort(): Promise<number> {
  return new Promise((done, failed) => {
    const probe = createServer();
    probe.once("error", failed);
    probe.listen(0, "127.0.0.1", () => {
      const address = probe.address();
      probe.close(() => (address && typeof address === "object" ? done(address.port) : failed(new Error("no port"))));
    });
  });
}

export class MilepostServer {
  readonly folder = mkdtempSync(join(tmpdir(), "milepost-e2e-"));
  readonly token: string;
  url = "";
  /** The one-time sign-in link of the last start; printed only while nobody can sign in with a password. */
  signInLink = "";
  private process: ChildProcess | undefined;

  /**
   * `person`: adds an admin of this name, with the password "kelp vane otter"; none: the first start of a new user.
   * `files`: what lies in its folder, by name; `milepost.toml` holds its settings. `port`: 0 = any free one.
   */
  constructor(readonly person: string | undefined = "ada", private readonly slots = 4, files: Record<string, string> = {}, private port = 0) {
    for (const [name, text] of Object.entries(files)) writeFileSync(join(this.folder, name), text);
    this.token = this.command(["token", "create", "--name", "e2e", "--role", "admin"]).trim();
    if (person) this.command(["user", "add", person, "--role", "admin", "--password-stdin"], "kelp vane otter\n");
  }

  /** Runs a command of the executable on this server's data and returns what it prints. */
  command(args: string[], input = ""): string {
    const all = [...args, "--data", join(this.folder, "data")];
    return execFileSync(executable, all, { cwd: this.folder, encoding: "utf8", input });
  }

  /** Starts the server and waits until it listens. */
  async start(): Promise<void> {
    this.port ||= await freePort();
    const args = ["serve", "--listen", `127.0.0.1:${this.port}`, "--data", join(this.folder, "data"), "--slots", String(this.slots)];
    const child = spawn(executable, args, { cwd: this.folder, stdio: ["ignore", "pipe", "pipe"] });
    this.process = child;
    let printed = "";
    await new Promise<void>((done, failed) => {
      const read = (chunk: Buffer) => {
        printed += chunk.toString();
        this.signInLink = /http:\/\/\S+\/first\/\S+/.exec(printed)?.[0] ?? this.signInLink;
        const listening = /listening on (http:\/\/\S+)/.exec(printed)?.[1];
        if (listening && (this.person || this.signInLink)) {
          this.url = listening;
          done();
        }
      };
      child.stdout.on("data", read);
      child.stderr.on("data", (chunk: Buffer) => { printed += chunk.toString(); });
      child.once("exit", (code) => failed(new Error(`the server ended with ${code}:\n${printed}`)));
    });
    child.removeAllListeners("exit");
  }

  /** Ends the process with `signal` and waits for its end. */
  async stop(signal: NodeJS.Signals = "SIGKILL"): Promise<void> {
    const child = this.process;
    this.process = undefined;
    if (!child || child.exitCode !== null || child.signalCode !== null) return;
    await new Promise<void>((done) => {
      child.once("exit", () => done());
      child.kill(signal);
    });
  }

  /** Stops the server and removes its data. */
  async remove(): Promise<void> {
    await this.stop("SIGTERM");
    rmSync(this.folder, { recursive: true, force: true });
  }

  /** Calls the API with the server's token. */
  async api(method: string, path: string, body?: unknown): Promise<any> {
    const response = await fetch(`${this.url}/api/v1${path}`, {
      method,
      headers: { authorization: `Bearer ${this.token}`, ...(body === undefined ? {} : { "content-type": "application/json" }) },
      ...(body === undefined ? {} : { body: JSON.stringify(body) }),
    });
    const text = await response.text();
    if (!response.ok) throw new Error(`${method} ${path}: ${response.status} ${text}`);
    return text === "" ? null : JSON.parse(text);
  }
}
