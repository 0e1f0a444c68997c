// Sends what New batch holds: files in groups, zips alone, large files in pieces; six at once, in the order of the queue.
//
// Loaded when there is something to send, and no part of a first load. The program hands over the files and is told how far
// it is: tell(phase, done, sent, words). Nothing is done for each file but to put it into its group.
const GROUP_FILES_MAX = 64;
const GROUP_BYTES_MAX = 8 * 1024 * 1024;
const LARGE_BYTES = 8 * 1024 * 1024;
const PIECE_BYTES = 8 * 1024 * 1024;
const FLIGHT_MAX = 6;
// For so long the server keeps a group that came before its turn.
const TURN_SECONDS = 30;
const WAIT_MS = [1_000, 30_000];
// How often a batch is told to wait while a large file is sent.
const ALIVE_MS = 60_000;
const TELL_MS = 100;
const ANNOUNCED_MAX = 3;
// Bytes of files that are compared with each other; the rest is not looked at.
const COMPARED_BYTES_MAX = 1024 * 1024 * 1024;
const KEPT_MS = 48 * 3_600_000;
const PAGE_ROWS = 500;
const BATCHES = "/api/v1/batches";
const FILE_PREFIX = "milepost-upload:";
const FILLING = "milepost-filling";

const sleep = (ms) => new Promise((done) => setTimeout(done, ms));
const nothing = () => {};

// One request, which always ends; status 0 means that there was no answer.
function request(method, address, body, onSent = nothing, headers = {}) {
  const ask = new XMLHttpRequest();
  ask.open(method, address);
  for (const [name, value] of Object.entries({ accept: "application/json", ...headers })) ask.setRequestHeader(name, value);
  ask.upload.onprogress = (event) => onSent(event.loaded);
  return new Promise((done) => {
    ask.onloadend = () => {
      let said = {};
      try {
        said = JSON.parse(ask.responseText) ?? {};
      } catch {
        // An answer of something between: its status says enough.
      }
      done({ status: ask.status, body: said });
    };
    ask.send(body ?? null);
  });
}
const json = (method, address, body) => request(method, address, JSON.stringify(body), nothing, { "content-type": "application/json" });
const passes = ({ status }) => [0, 429, 502, 503, 504].includes(status);
const well = ({ status }) => status >= 200 && 300 > status;
const line = ({ line }) => (line == null ? "" : ` (line ${line})`);
const reason = ({ status, body }) => (body.detail ? `${body.detail}${line(body)}` : `The server answered ${status}.`);

// What is kept over a reload, in this browser: which large files the server knows, and which batch a queue was filling.
const kept = {
  read(name) {
    try {
      return JSON.parse(localStorage.getItem(name));
    } catch {
      return null;
    }
  },
  write(name, value) {
    try {
      localStorage.setItem(name, JSON.stringify({ ...value, at: Date.now() }));
    } catch {
      // Without room a reload begins anew, nothing worse.
    }
  },
  remove(name) {
    try {
      localStorage.removeItem(name);
    } catch {
      // Then nothing was kept.
    }
  },
  sweep() {
    try {
      for (const name of Object.keys(localStorage).filter((name) => name.startsWith(FILE_PREFIX))) {
        if (!(KEPT_MS > Date.now() - (kept.read(name)?.at ?? 0))) kept.remove(name);
      }
    } catch {
      // Then nothing was kept.
    }
  },
};
const fileKey = (file, name) => `${FILE_PREFIX}${file.size}:${file.lastModified}:${name}`;

// What a queue is: the fields of its form, and its files by name, size and time of change. Equal texts are the same queue.
function queueText(fields, files, names) {
  let [one, other] = [0x811c9dc5, 0x1000193];
  const add = (text) => {
    for (let at = 0; text.length >= at; at += 1) {
      const unit = at === text.length ? 0x1f : text.charCodeAt(at);
      one = Math.imul(one ^ unit, 0x01000193);
      other = Math.imul(other ^ unit, 0x5bd1e995) ^ (other >>> 15);
    }
  };
  for (const [name, value] of fields) add(`${name}=${value}`);
  files.forEach((file, at) => add(fileKey(file, names[at])));
  return `${(one >>> 0).toString(16)}${(other >>> 0).toString(16)}-${files.length}`;
}

class Sending {
  constructor(job) {
    Object.assign(this, job);
    // Items that were there before the first of these files, and those beyond one a file that zips brought.
    Object.assign(this, { base: 0, extra: 0, done: 0, next: 0, flying: new Set(), preparing: 0, moved: 0, backoff: WAIT_MS[0] });
    this.known = 0;
    this.failed = null;
    this.told = 0;
  }

  tellSoon(phase = "sending") {
    // What is waited for is counted down meanwhile.
    if (phase === "sending" && (this.waiting || TELL_MS > Date.now() - this.told)) return;
    this.told = Date.now();
    let sent = this.moved;
    for (const part of this.flying) sent += Math.min(part.sent, part.bytes);
    this.tell(phase, this.done, sent, "");
  }

  // One wait for all that are in flight, counted down on the page.
  pause() {
    this.waiting ??= (async () => {
      for (let left = Math.round(this.backoff / 1_000); left > 0; left -= 1) {
        this.tell("waiting", this.done, left, "");
        await sleep(1_000);
      }
      this.backoff = Math.min(this.backoff * 2, WAIT_MS[1]);
      this.waiting = null;
      this.tellSoon("resumed");
    })();
    return this.waiting;
  }

  // Asks until there is an answer that waiting does not change.
  async ask(method, address, body, onSent, headers) {
    for (;;) {
      const answer = await request(method, address, body, onSent, headers);
      if (!passes(answer)) return answer;
      await this.pause();
      if (this.failed !== null) throw this.failed;
    }
  }

  kindOf(at) {
    if (this.unpack && /.\.zip$/i.test(this.names[at])) return "zip";
    return this.files[at].size > LARGE_BYTES ? "large" : "files";
  }

  nextPart() {
    const first = this.next;
    const kind = this.kindOf(first);
    let bytes = this.files[first].size;
    let end = first + 1;
    while (kind === "files" && this.files.length > end && GROUP_FILES_MAX > end - first && this.kindOf(end) === kind) {
      if (bytes + this.files[end].size > GROUP_BYTES_MAX) break;
      bytes += this.files[end].size;
      end += 1;
    }
    this.next = end;
    return { kind, first, end, bytes, sent: 0 };
  }

  // The batch has so many items: the files before them are there.
  stands(total) {
    this.known = Math.max(this.known, total);
    this.done = Math.min(this.files.length, Math.max(this.done, total - this.base - this.extra));
  }

  async total() {
    const answer = await this.ask("GET", `${BATCHES}/${this.batch}`);
    if (!well(answer)) throw reason(answer);
    return answer.body.total;
  }

  async sendPart(part) {
    const upload = part.kind === "large" ? await this.prepared(part) : null;
    const seqOf = (at) => this.base + this.extra + at + 1;
    let from = part.first;
    // Nothing more is sent once one of them was refused.
    while (this.failed === null) {
      const address = `${BATCHES}/${this.batch}/items?first_seq=${seqOf(from)}&wait_seconds=${TURN_SECONDS}`;
      const answer = upload ? await json("POST", address, { items: [{ upload }] }) : await this.post(address, part, from);
      let total = answer.body.total;
      if (well(answer)) {
        this.backoff = WAIT_MS[0];
        if (part.kind === "zip") this.extra += Math.max(0, total - this.known - 1);
        return this.stands(total);
      }
      if (passes(answer)) {
        await this.pause();
        total = await this.total();
      } else if (answer.status !== 409 || total == null) throw reason(answer);
      if (part.kind === "zip") {
        // A zip goes alone, and none of it is an item before all of it has come.
        if (total > this.known) {
          this.extra += total - this.known - 1;
          return this.stands(total);
        }
        continue;
      }
      this.stands(total);
      if (total >= seqOf(part.end - 1)) return;
      // What is before it has not come: it may have to be sent again.
      if (seqOf(from) - 1 > total) await sleep(WAIT_MS[0]);
      from = Math.max(from, total - this.base - this.extra);
    }
  }

  post(address, part, from) {
    const form = new FormData();
    if (part.kind === "zip") form.append("unpack", "true");
    for (let at = from; part.end > at; at += 1) form.append("file", this.files[at], this.names[at]);
    return request("POST", address, form, (sent) => {
      part.sent = sent;
      this.tellSoon();
    });
  }

  // The large file of a part, piece by piece, as an upload that is whole then.
  async prepared(part) {
    const [file, name] = [this.files[part.first], this.names[part.first]];
    this.preparing += 1;
    const alive = setInterval(() => json("POST", `${BATCHES}/${this.batch}/items?first_seq=${this.known + 1}`, { items: [] }), ALIVE_MS);
    try {
      for (let announced = 0; ; ) {
        let { id } = kept.read(fileKey(file, name)) ?? {};
        if (!id) {
          announced += 1;
          if (announced > ANNOUNCED_MAX) throw "The server forgets this upload.";
          const answer = await this.announce(file, name);
          id = answer.body.id;
          kept.write(fileKey(file, name), { id });
        }
        if (await this.sendPieces(part, file, id)) return id;
        kept.remove(fileKey(file, name));
      }
    } finally {
      clearInterval(alive);
      this.preparing -= 1;
    }
  }

  async announce(file, name) {
    for (;;) {
      const answer = await json("POST", "/api/v1/uploads", { name, bytes: file.size });
      if (answer.status === 201) return answer;
      // A bound that does not pass by waiting: others must go first.
      if (answer.status === 429 || !passes(answer)) throw reason(answer);
      await this.pause();
    }
  }

  // Sends what the server does not have; false where the upload is not there any more.
  async sendPieces(part, file, id) {
    const address = `/api/v1/uploads/${id}`;
    let offset = null;
    for (;;) {
      if (offset === null) {
        const answer = await this.ask("GET", address);
        if (answer.status === 404) return false;
        if (!well(answer)) throw reason(answer);
        offset = answer.body.offset;
      }
      part.sent = offset;
      this.tellSoon();
      if (offset >= file.size) return true;
      const [start, end] = [offset, Math.min(file.size, offset + PIECE_BYTES)];
      const headers = { "content-type": "application/octet-stream", "upload-offset": `${start}` };
      const onSent = (sent) => {
        part.sent = start + sent;
        this.tellSoon();
      };
      const answer = await request("PATCH", address, file.slice(start, end), onSent, headers);
      if (answer.status === 404) return false;
      if (answer.status === 204) {
        this.backoff = WAIT_MS[0];
        offset = end;
      } else if ([400, 409].includes(answer.status) && answer.body.offset != null) offset = answer.body.offset;
      else if (passes(answer)) {
        await this.pause();
        offset = null;
      } else throw reason(answer);
    }
  }

  // Whether the next part may begin beside those in flight: groups keep to their turn, a large file may take long before its own.
  mayBegin() {
    const kind = this.kindOf(this.next);
    if (kind === "zip" || this.zipFlies) return this.flying.size === 0;
    return FLIGHT_MAX > this.flying.size && (kind === "large" || this.preparing === 0);
  }

  async sendAll() {
    while (this.failed === null) {
      while (this.files.length > this.next && this.mayBegin()) this.begin(this.nextPart());
      if (this.flying.size === 0) return;
      await Promise.race([...this.flying].map((part) => part.ended));
      this.tellSoon();
    }
    throw this.failed;
  }

  begin(part) {
    this.zipFlies = part.kind === "zip";
    this.flying.add(part);
    const end = () => {
      this.flying.delete(part);
      this.moved += part.bytes;
      if (part.kind === "large") kept.remove(fileKey(this.files[part.first], this.names[part.first]));
    };
    part.ended = this.sendPart(part).then(end, (fault) => {
      this.flying.delete(part);
      this.failed ??= fault;
    });
  }
}

// An open batch, filled and then sealed; after a reload the same queue goes on with it.
async function fill(sending, form) {
  const fields = new FormData(form);
  fields.delete("file");
  fields.append("option.open", "true");
  fields.append("option.expected", `${sending.files.length}`);
  const queue = queueText(fields, sending.files, sending.names);
  const before = kept.read(FILLING);
  if (before?.queue === queue) {
    const { status, body } = await request("GET", `${BATCHES}/${before.id}`);
    if (status === 200 && body.sealed === false) {
      sending.batch = before.id;
      sending.stands(body.total);
      sending.next = sending.done;
    }
  }
  if (!sending.batch) {
    const answer = await request("POST", BATCHES, fields);
    if (!answer.body.id) throw answer.status === 0 ? "No contact with the server. Nothing was submitted; try again." : reason(answer);
    sending.batch = answer.body.id;
    // Of what a zip brings nobody knows after a reload how many items it was.
    if (!sending.unpack) kept.write(FILLING, { id: sending.batch, queue });
  }
}

// Leaves out the files that a batch has, by name and size; what is left comes after its items.
async function leaveOut(sending) {
  const answer = await sending.ask("GET", `${BATCHES}/${sending.batch}`);
  if (!well(answer)) throw reason(answer);
  if (answer.body.sealed) throw "This batch takes no more files: submit the rest as another one.";
  const there = new Map();
  const keyOf = (name, bytes) => `${bytes}:${name}`;
  for (let after = null; ; ) {
    const page = await sending.ask("GET", `${BATCHES}/${sending.batch}/items?limit=${PAGE_ROWS}${after ? `&after=${after}` : ""}`);
    if (!well(page)) throw reason(page);
    for (const { input } of page.body.items) {
      const key = keyOf(input?.name, input?.bytes);
      there.set(key, (there.get(key) ?? 0) + 1);
    }
    after = page.body.next;
    if (after == null) break;
  }
  const left = sending.files.map((_file, at) => at).filter((at) => {
    const key = keyOf(sending.names[at], sending.files[at].size);
    const count = there.get(key) ?? 0;
    if (count > 0) there.set(key, count - 1);
    return count === 0;
  });
  sending.files = left.map((at) => sending.files[at]);
  sending.names = left.map((at) => sending.names[at]);
  sending.base = answer.body.total;
  sending.stands(answer.body.total);
}

// The queue of the program into a batch: a new one, or the rest of `into`.
export async function queue(job) {
  const sending = new Sending(job);
  kept.sweep();
  try {
    if (job.into) {
      sending.batch = job.into;
      await leaveOut(sending);
    } else await fill(sending, job.form);
    await sending.sendAll();
    const sealed = await sending.ask("POST", `${BATCHES}/${sending.batch}/seal`);
    if (!well(sealed)) throw reason(sealed);
    kept.remove(FILLING);
    job.tell("arrived", 0, 0, sending.batch);
  } catch (fault) {
    job.tell("refused", sending.done, 0, typeof fault === "string" ? fault : "The browser could not send this.");
  }
}

// The fields of a form with what brings items behind the settings, so that the server reads it as it comes.
function itemsLast(form) {
  const fields = new FormData(form);
  fields.delete("file");
  for (const name of ["lines", "csv"]) {
    const parts = fields.getAll(name);
    fields.delete(name);
    for (const part of parts) if (!(part instanceof File) || part.size > 0) fields.append(name, part);
  }
  return fields;
}

// The form itself, as it stands.
export async function form(job) {
  const { status, body } = await request("POST", BATCHES, itemsLast(job.form), (sent) => job.tell("sending", 0, sent, ""));
  if (body.id && [200, 201].includes(status)) job.tell("arrived", 0, 0, body.id);
  else job.tell("refused", 0, 0, status === 0 ? "No contact with the server. Nothing was submitted; try again." : reason({ status, body }));
}

// Hashes of files that were read before, and which comparison is the newest: an older one ends.
const hashes = new WeakMap();
let newest = 0;

async function hashOf(file) {
  if (!hashes.has(file)) {
    const bytes = await file.arrayBuffer().catch(() => null);
    hashes.set(file, bytes && [...new Uint8Array(await crypto.subtle.digest("SHA-256", bytes))].join());
  }
  return hashes.get(file);
}

// How many files have the content of one before them: those of equal size are read and compared by their hash, some bytes at most.
export async function same({ files, tell }) {
  newest += 1;
  const mine = newest;
  const sizes = new Map();
  for (const file of files) {
    if (!sizes.has(file.size)) sizes.set(file.size, []);
    sizes.get(file.size).push(file);
  }
  let [left, equal] = [COMPARED_BYTES_MAX, 0];
  for (const alike of sizes.values()) {
    const seen = new Set();
    for (const file of alike.length > 1 && globalThis.crypto?.subtle ? alike : []) {
      left -= file.size;
      if (0 > left || file.size > LARGE_BYTES) break;
      const hash = await hashOf(file);
      if (mine !== newest) return;
      if (hash && seen.has(hash)) equal += 1;
      seen.add(hash);
    }
  }
  tell("equal", equal, 0, "");
}
