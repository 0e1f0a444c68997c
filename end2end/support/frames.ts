// What a page says on its live connection, read from the bytes of the compact codec or from JSON.
import type { Page } from "@playwright/test";

export type Said = { kind: "subscribe" | "unsubscribe"; topic: string } | { kind: "pong" } | { kind: "pace"; hz: number };

/** A whole number as the codec writes it, and where the next value begins. */
function number(bytes: Buffer, at: number): [number, number] {
  let value = 0;
  let scale = 1;
  for (let next = at; ; next += 1) {
    const byte = bytes[next]!;
    value += (byte & 0x7f) * scale;
    scale *= 128;
    if (byte < 0x80) return [value, next + 1];
  }
}

/** Reads one message of a page. */
export function said(payload: string | Buffer): Said {
  if (typeof payload === "string") {
    const frame = JSON.parse(payload);
    const kind = Object.keys(frame)[0] as Said["kind"];
    return { kind, ...frame[kind] };
  }
  const kind = ([undefined, "subscribe", "unsubscribe", "pong", "pace"] as const)[payload[0]!];
  if (kind === "subscribe" || kind === "unsubscribe") {
    const [length, start] = number(payload, 1);
    return { kind, topic: payload.toString("utf8", start, start + length) };
  }
  if (kind === "pace") {
    const [head] = number(payload, 1);
    const scale = [1, 10, 1000][head & 3];
    return { kind, hz: scale ? Math.floor(head / 4) / scale : payload.readDoubleLE(2) };
  }
  if (kind === "pong") return { kind };
  throw new Error(`no frame of a page: ${payload.toString("hex")}`);
}

/** Follows what a page is subscribed to, the pace it asked for, and how many sockets it has opened. */
export class Ear {
  readonly topics = new Set<string>();
  hz = 60;
  opened = 0;
  open = 0;

  constructor(page: Page) {
    page.on("websocket", (socket) => {
      this.opened += 1;
      this.open += 1;
      this.topics.clear();
      socket.on("close", () => { this.open -= 1; });
      socket.on("framesent", ({ payload }) => {
        const frame = said(payload);
        if (frame.kind === "subscribe") this.topics.add(frame.topic);
        if (frame.kind === "unsubscribe") this.topics.delete(frame.topic);
        if (frame.kind === "pace") this.hz = frame.hz;
      });
    });
  }
}
