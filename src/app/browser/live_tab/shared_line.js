// One WebSocket for all tabs of one sign-in: the tab that leads holds it, the others hear it through that tab.
//
// Who leads is who holds the lock of the line's name; when that tab goes, the next one leads and the others connect anew, as after
// any loss. `openLine` gives what a WebSocket is to its caller. Frames are routed by their topic, in the compact codec as in JSON
// (src/protocol/binary, docs/protocol.md); what they carry is not read.
//
// A topic that another tab hears already is subscribed to without a revision: the answer is then a snapshot, true for every tab,
// and a tab hears updates of a topic only after the answer that it can lay them over. The pace is that of the fastest tab. Pings are
// answered here. A tab that is gone loses its own lock, and with it what it heard.
//
// Where the browser has no locks (a page that is not from a secure origin), or the leader does not answer in time, a tab has
// a socket of its own.
const ANSWER_MS_MAX = 2_000;
const [WELCOME, PING, SNAPSHOT, CURRENT, UPDATE, UPDATE_GONE, ERROR] = [1, 2, 3, 4, 5, 6, 7];
const [SUBSCRIBE, UNSUBSCRIBE, PONG, PACE] = [1, 2, 3, 4];
// How many tenths a step of the pace's scale is; the one without is any number, and taken for the fastest.
const SCALES = [1, 10, 1_000];
const FASTEST = 60;
const COMPACT = "milepost.v1.bin";
const LOST = 1006;

const utf8 = new TextDecoder();

/** Reads a frame of the compact codec as far as it is needed here. */
class Reader {
  constructor(data) {
    this.bytes = new Uint8Array(data);
    this.at = 0;
  }
  number() {
    let value = 0;
    for (let scale = 1; ; scale *= 128) {
      const byte = this.bytes[this.at++] ?? 0;
      value += (byte & 0x7f) * scale;
      if (0x80 > byte) return value;
    }
  }
  text() {
    const length = this.number();
    this.at += length;
    return utf8.decode(this.bytes.subarray(this.at - length, this.at));
  }
}

/** What a tab says: its kind, and the topic or pace. */
function said(data) {
  if (typeof data === "string") {
    const [[kind, body]] = Object.entries(JSON.parse(data));
    return { kind: { subscribe: SUBSCRIBE, unsubscribe: UNSUBSCRIBE, pong: PONG, pace: PACE }[kind], topic: body.topic, hz: body.hz };
  }
  const reader = new Reader(data);
  const kind = reader.number();
  if (kind === PACE) {
    const value = reader.number();
    const scale = SCALES[value % 4];
    return { kind, hz: scale ? Math.floor(value / 4) / scale : FASTEST };
  }
  return { kind, topic: kind === PONG ? undefined : reader.text(), end: reader.at };
}

/** The same subscribe without its revision. */
function unrevised(data, { topic, end }) {
  if (typeof data === "string") return JSON.stringify({ subscribe: { topic } });
  const frame = new Uint8Array(end + 1);
  frame.set(new Uint8Array(data).subarray(0, end));
  return frame;
}

/** The socket of the tab that leads, and who hears what of it. */
class SharedLine {
  constructor(url, protocols, ended) {
    this.members = new Map();
    this.topics = new Map();
    this.channels = new Map();
    this.hz = FASTEST;
    this.welcome = null;
    this.ended = ended;
    this.isEnded = false;
    this.socket = new WebSocket(url, protocols);
    this.socket.binaryType = "arraybuffer";
    this.socket.onopen = () => this.tell((member) => member.opened(this.socket.protocol));
    this.socket.onmessage = ({ data }) => this.receive(data);
    this.socket.onclose = ({ code, reason }) => this.end(code, reason);
  }
  isOpen() {
    return this.socket.readyState === WebSocket.OPEN;
  }
  tell(say) {
    for (const member of [...this.members.keys()]) say(member);
  }
  join(member) {
    if (this.isEnded) return member.closed(LOST, "");
    this.members.set(member, FASTEST);
    if (!this.isOpen()) return;
    member.opened(this.socket.protocol);
    if (this.welcome !== null) member.heard(this.welcome);
  }
  leave(member) {
    if (!this.members.delete(member)) return;
    if (this.members.size === 0) return this.end(LOST, "");
    for (const [topic, hearers] of [...this.topics]) if (hearers.has(member)) this.unsubscribe(member, topic);
    this.pace();
  }
  end(code, reason) {
    if (this.isEnded) return;
    this.isEnded = true;
    this.socket.onopen = this.socket.onmessage = this.socket.onclose = null;
    this.socket.close();
    const members = [...this.members.keys()];
    this.members.clear();
    for (const member of members) member.closed(code, reason);
    this.ended();
  }
  pace() {
    const hz = Math.max(...this.members.values());
    if (hz === this.hz || !this.isOpen()) return;
    this.hz = hz;
    // The frame of a tab that asks for this pace would do; one of our own needs no memory of it.
    this.socket.send(this.isCompact() ? paceFrame(hz) : JSON.stringify({ pace: { hz } }));
  }
  isCompact() {
    return this.socket.protocol === COMPACT;
  }
  unsubscribe(member, topic) {
    const hearers = this.topics.get(topic);
    if (!hearers?.delete(member) || hearers.size > 0) return;
    this.topics.delete(topic);
    this.socket.send(this.isCompact() ? topicFrame(UNSUBSCRIBE, topic) : JSON.stringify({ unsubscribe: { topic } }));
  }
  send(member, data) {
    if (!this.isOpen() || !this.members.has(member)) return;
    const frame = said(data);
    if (frame.kind === SUBSCRIBE) {
      if (!this.topics.has(frame.topic)) this.topics.set(frame.topic, new Map());
      const hearers = this.topics.get(frame.topic);
      const isAlone = [...hearers.keys()].every((other) => other === member);
      // What a tab waits for: any answer, or one that holds everything.
      hearers.set(member, isAlone ? "answer" : "snapshot");
      this.socket.send(isAlone ? data : unrevised(data, frame));
    } else if (frame.kind === UNSUBSCRIBE) this.unsubscribe(member, frame.topic);
    else if (frame.kind === PACE) {
      this.members.set(member, frame.hz);
      this.pace();
    }
  }
  receive(data) {
    let kind;
    let topic;
    if (typeof data === "string") {
      const [[name, body]] = Object.entries(JSON.parse(data));
      kind = { welcome: WELCOME, ping: PING, snapshot: SNAPSHOT, update: UPDATE, error: ERROR }[name];
      ({ topic } = body);
      // An answer to a page that is up to date is an update without rows.
      if (kind === UPDATE && body.rows.length === 0 && body.gone.length === 0) kind = CURRENT;
    } else {
      const reader = new Reader(data);
      kind = reader.number();
      if (kind === SNAPSHOT || kind === CURRENT) {
        topic = reader.text();
        this.channels.set(reader.number(), topic);
      } else if (kind === UPDATE || kind === UPDATE_GONE) topic = this.channels.get(reader.number());
      else if (kind === ERROR) topic = reader.text();
    }
    if (kind === PING) this.socket.send(this.isCompact() ? new Uint8Array([PONG]) : JSON.stringify({ pong: {} }));
    if (kind === WELCOME) this.welcome = data;
    const hearers = this.topics.get(topic);
    if (!hearers) {
      // To all: it is of no topic, or of one whose hearers have just gone.
      if (topic === undefined) this.tell((member) => member.heard(data));
      return;
    }
    for (const [member, waits] of [...hearers]) {
      const answers = kind === SNAPSHOT || kind === ERROR || (kind === CURRENT && waits === "answer");
      if (answers) hearers.set(member, null);
      if (answers || waits === null) member.heard(data);
    }
  }
}

function paceFrame(hz) {
  const scale = SCALES.findIndex((by) => Number.isInteger(hz * by));
  const bytes = [PACE];
  let left = Math.round(hz * SCALES[scale]) * 4 + scale;
  for (; left >= 0x80; left = Math.floor(left / 128)) bytes.push((left % 128) | 0x80);
  return new Uint8Array([...bytes, left]);
}

function topicFrame(kind, topic) {
  const text = new TextEncoder().encode(topic);
  const length = 0x80 > text.length ? [text.length] : [(text.length % 128) | 0x80, Math.floor(text.length / 128)];
  return new Uint8Array([kind, ...length, ...text]);
}

/** What a WebSocket is to its caller, whoever holds the socket. */
class Line {
  constructor() {
    this.readyState = WebSocket.CONNECTING;
    this.protocol = "";
    this.onopen = this.onmessage = this.onclose = null;
    // How it says something and how it lets go, once it is known who holds the socket.
    this.say = () => {};
    this.letGo = () => {};
  }
  opened(protocol) {
    if (this.readyState !== WebSocket.CONNECTING) return;
    this.readyState = WebSocket.OPEN;
    this.protocol = protocol;
    this.onopen?.(new Event("open"));
  }
  heard(data) {
    if (this.readyState === WebSocket.OPEN) this.onmessage?.(new MessageEvent("message", { data }));
  }
  closed(code, reason) {
    if (this.readyState === WebSocket.CLOSED) return;
    this.readyState = WebSocket.CLOSED;
    this.letGo();
    this.onclose?.(new CloseEvent("close", { code, reason }));
  }
  send(data) {
    // The caller's memory is its own: what goes to another tab, or waits, is a copy.
    this.say(typeof data === "string" ? data : data.slice().buffer);
  }
  close() {
    if (this.readyState === WebSocket.CLOSED) return;
    this.readyState = WebSocket.CLOSED;
    this.letGo();
  }
}

/** A line that leads: the socket is here, and other tabs hear it. */
function lead(line, name, url, protocols, release) {
  const door = new BroadcastChannel(name);
  const shared = new SharedLine(url, protocols, () => {
    door.close();
    release();
  });
  door.onmessage = ({ data: { join } }) => join && serve(shared, `${name} ${join}`);
  shared.join(line);
  line.say = (data) => shared.send(line, data);
  line.letGo = () => shared.leave(line);
}

/** Serves one other tab. */
function serve(shared, name) {
  const tab = new BroadcastChannel(name);
  const gone = new AbortController();
  const member = {
    opened: (protocol) => tab.postMessage({ opened: protocol }),
    heard: (data) => tab.postMessage({ data }),
    closed: (code, reason) => {
      tab.postMessage({ closed: [code, reason] });
      gone.abort();
      tab.close();
    },
  };
  const leave = () => {
    shared.leave(member);
    gone.abort();
    tab.close();
  };
  tab.onmessage = ({ data: { said, left } }) => (left ? leave() : shared.send(member, said));
  tab.postMessage({ served: true });
  shared.join(member);
  // Held by that tab as long as it is there.
  navigator.locks.request(name, { signal: gone.signal }, leave).catch(() => {});
}

/** A line through the tab that leads. */
function follow(line, name, url, protocols) {
  const id = crypto.randomUUID();
  const [door, tab] = [new BroadcastChannel(name), new BroadcastChannel(`${name} ${id}`)];
  const done = new AbortController();
  let isServed = false;
  const end = () => {
    done.abort();
    door.close();
    tab.close();
  };
  tab.onmessage = ({ data: { served, opened, data, closed } }) => {
    if (served) isServed = true;
    else if (opened !== undefined) line.opened(opened);
    else if (closed) line.closed(...closed);
    else line.heard(data);
  };
  line.say = (said) => tab.postMessage({ said });
  line.letGo = () => {
    tab.postMessage({ left: true });
    end();
  };
  const isOver = new Promise((over) => done.signal.addEventListener("abort", over));
  navigator.locks.request(`${name} ${id}`, () => {
    door.postMessage({ join: id });
    return isOver;
  });
  // Granted when the leader is gone.
  navigator.locks.request(name, { signal: done.signal }, () => line.closed(LOST, "")).catch(() => {});
  setTimeout(() => {
    if (isServed || line.readyState === WebSocket.CLOSED) return;
    end();
    alone(line, url, protocols);
  }, ANSWER_MS_MAX);
}

/** A line with a socket of its own. */
function alone(line, url, protocols) {
  const shared = new SharedLine(url, protocols, () => {});
  shared.join(line);
  line.say = (data) => shared.send(line, data);
  line.letGo = () => shared.leave(line);
}

/**
 * A line to `url`. Those of one `key` (who is signed in, and by which session) are one; without a key it is alone.
 */
export function openLine(url, protocols, key) {
  const line = new Line();
  if (!key || !navigator.locks || !globalThis.BroadcastChannel) {
    alone(line, url, protocols);
    return line;
  }
  const name = `milepost-line ${key} ${url}`;
  navigator.locks.request(name, { ifAvailable: true }, (lock) => {
    if (line.readyState === WebSocket.CLOSED) return undefined;
    if (!lock) {
      follow(line, name, url, protocols);
      return undefined;
    }
    return new Promise((release) => lead(line, name, url, protocols, release));
  });
  return line;
}
