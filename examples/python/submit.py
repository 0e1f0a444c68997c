"""Submits lines or files to a Milepost server and waits for the end, with Python's standard library alone.

    MILEPOST_TOKEN=… python3 submit.py --task demo one two three
    MILEPOST_TOKEN=… python3 submit.py --task checksum --files a.png b.png

Ends with 0 (all succeeded), 2 (some failed), 3 (cancelled) or 1 (anything else), as `milepost run --wait` does.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import time
import urllib.error
import urllib.request
import uuid
from pathlib import Path
from typing import Any

TRIES_MAX = 8  #: tries of one request, about a minute in all
ENDED = {"succeeded": 0, "failed": 2, "cancelled": 3}


def request(method: str, path: str, body: bytes = b"", headers: dict[str, str] | None = None) -> Any:
    """Sends a request, again after a lost connection or where the server is busy; returns the JSON of the answer."""
    base = os.environ.get("MILEPOST_URL", "http://127.0.0.1:3000")
    headers = {"Authorization": f"Bearer {os.environ['MILEPOST_TOKEN']}", **(headers or {})}
    for attempt in range(TRIES_MAX):
        try:
            ask = urllib.request.Request(base + "/api/v1" + path, body or None, headers, method=method)
            with urllib.request.urlopen(ask, timeout=60) as answer:
                return json.load(answer)
        except urllib.error.HTTPError as refusal:
            problem = refusal.read().decode("utf-8", "replace")
            if refusal.code not in (429, 502, 503, 504) and "idempotency_in_flight" not in problem:
                raise SystemExit(f"refused: {problem}") from None
            wait = float(refusal.headers.get("Retry-After", 1))
        except OSError as lost:
            if attempt == TRIES_MAX - 1:
                raise SystemExit(f"no contact with {base}: {lost}") from None
            wait = 0.25 * 2**attempt
        time.sleep(wait)
    raise SystemExit(f"{base} is busy")


def form(fields: dict[str, str], files: list[Path]) -> tuple[bytes, str]:
    """The body of a form with fields and then files, and its content type."""
    boundary = uuid.uuid4().hex
    body = bytearray()
    for name, value in fields.items():
        body += f'--{boundary}\r\nContent-Disposition: form-data; name="{name}"\r\n\r\n{value}\r\n'.encode()
    for file in files:
        name = file.name.replace('"', "%22").replace("\r", "%0D").replace("\n", "%0A")
        head = f'--{boundary}\r\nContent-Disposition: form-data; name="file"; filename="{name}"\r\n\r\n'
        body += head.encode("utf-8", "surrogateescape") + file.read_bytes() + b"\r\n"
    return bytes(body + f"--{boundary}--\r\n".encode()), f"multipart/form-data; boundary={boundary}"


def submit(task: str, params: dict[str, Any], lines: list[str], files: list[Path]) -> dict[str, Any]:
    """Makes one batch, also where the answer to the first try is lost: the key of both tries is the same."""
    headers = {"Idempotency-Key": uuid.uuid4().hex}
    if files:
        body, headers["Content-Type"] = form({"task": task, "params": json.dumps(params)}, files)
    else:
        headers["Content-Type"] = "application/json"
        body = json.dumps({"task": task, "params": params, "items": lines}).encode()
    batch: dict[str, Any] = request("POST", "/batches", body, headers)
    return batch


def wait(batch: dict[str, Any]) -> dict[str, Any]:
    """Asks once a second until the batch has ended."""
    while batch["state"] not in ENDED:
        time.sleep(1)
        batch = request("GET", f"/batches/{batch['id']}")
        ended = batch["succeeded"] + batch["failed"] + batch["cancelled"]
        print(f"{ended} of {batch['total']}, {batch['failed']} failed", file=sys.stderr)
    return batch


def main() -> int:
    """Reads the command line; returns the exit code."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--task", required=True)
    parser.add_argument("--params", type=json.loads, default={}, help="an object, as JSON")
    parser.add_argument("--files", action="store_true", help="what follows names files; by default it is items")
    parser.add_argument("items", nargs="+")
    given = parser.parse_args()
    lines, files = ([], [Path(name) for name in given.items]) if given.files else (given.items, [])
    batch = wait(submit(given.task, given.params, lines, files))
    print(json.dumps(batch))
    return ENDED[batch["state"]]


if __name__ == "__main__":
    sys.exit(main())
