"""A worker: reads one item a line, answers each with lines of JSON, ends at the end of its input."""

import json
import pathlib
import sys


def say(seq, **said):
    print(json.dumps({"seq": seq, **said}), flush=True)


for line in sys.stdin:
    item = json.loads(line)
    seq, record = item["seq"], item["input"]
    name = record.get("name", "").strip()
    if not name:
        # Another attempt would find the same.
        say(seq, error="The record has no name.", retry=False)
        continue
    say(seq, progress={"done": 1, "total": 2, "note": "writing"})
    text = f"{item['params']['greeting']}, {name}!"
    (pathlib.Path(item["out"]) / "greeting.txt").write_text(text + "\n")
    say(seq, file="greeting.txt")
    say(seq, result={"greeting": text})
