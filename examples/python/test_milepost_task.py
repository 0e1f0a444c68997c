"""Tests of milepost_task.py: each starts a worker and talks to it as Milepost does."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
import textwrap
import unittest
from pathlib import Path
from typing import Any, Dict, List

HERE = Path(__file__).resolve().parent


class Worker:
    """A worker whose function has this body."""

    def __init__(self, body: str, head: str = "def work(item):") -> None:
        self.folder = tempfile.TemporaryDirectory()
        source = (
            "import os, sys, threading\nfrom milepost_task import Fail, File, Item, Retry, task\n"
            f"@task\n{head}\n{textwrap.indent(textwrap.dedent(body), '    ')}\n"
            "if __name__ == '__main__': work.run()\n"
        )
        script = Path(self.folder.name, "worker.py")
        script.write_text(source)
        environment = {**os.environ, "PYTHONPATH": str(HERE)}
        self.process = subprocess.Popen(
            [sys.executable, str(script)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            env=environment,
        )
        self.seq = 0

    def run(self, given: Any = "x", **params: Any) -> List[Dict[str, Any]]:
        """All that is said of one item, its answer last."""
        self.seq += 1
        out = Path(self.folder.name, f"out-{self.seq}")
        out.mkdir()
        line = {"v": 1, "batch": "b", "seq": self.seq, "attempt": 1, "input": given, "params": params}
        line.update(out=str(out), deadline_ms=60_000)
        assert self.process.stdin and self.process.stdout
        self.process.stdin.write(json.dumps(line).encode() + b"\n")
        self.process.stdin.flush()
        said: List[Dict[str, Any]] = []
        while not said or not {"result", "error"} & set(said[-1]):
            answer = self.process.stdout.readline()
            if not answer:
                raise AssertionError(f"the worker ended: {self.process.stderr.read()!r}")  # type: ignore[union-attr]
            answer.decode("utf-8")
            said.append(json.loads(answer, parse_constant=lambda word: self.refuse(word)))
            if said[-1]["seq"] != self.seq:
                raise AssertionError(f"a line of another item: {said[-1]}")
        return said

    @staticmethod
    def refuse(word: str) -> None:
        raise AssertionError(f"{word} is no JSON")

    def close(self) -> str:
        _out, err = self.process.communicate(timeout=20)
        self.folder.cleanup()
        return err.decode()


class Answers(unittest.TestCase):
    def worker(self, body: str, head: str = "def work(item):") -> Worker:
        worker = Worker(body, head)
        self.addCleanup(worker.close)
        return worker

    def logs(self, said: List[Dict[str, Any]]) -> List[str]:
        return [line["log"] for line in said if "log" in line]

    def test_item_after_item(self) -> None:
        worker = self.worker("return {'in': item.input, 'width': item.params['width'], 'seq': item.seq}")
        for text in ("a", "é\n\u2028\U0001f600", ""):
            said = worker.run(text, width=4)
            self.assertEqual(said[-1]["result"], {"in": text, "width": 4, "seq": worker.seq})

    def test_what_json_does_not_have_fails_in_words_and_the_next_item_runs(self) -> None:
        bodies = {
            "nan": "float('nan')",
            "inf": "[float('inf')]",
            "set": "{1}",
            "bytes": "b'x'",
            "surrogate": "'K\\udcf6ln'",
            "key": "{(1, 2): 3}",
            "circle": "circle",
            "deep": "deep",
        }
        cases = ",".join(f"{name!r}: {value}" for name, value in bodies.items())
        worker = self.worker(
            "circle = []; circle.append(circle)\ndeep = []\nfor _ in range(100_000): deep = [deep]\n"
            f"return {{{cases}}}.get(item.input, 'fine')"
        )
        for name in bodies:
            said = worker.run(name)[-1]
            self.assertIn("The result cannot be written as JSON", said["error"], name)
            self.assertIs(said["retry"], False)
        self.assertEqual(worker.run("other")[-1]["result"], "fine")

    def test_errors(self) -> None:
        worker = self.worker(
            """
            if item.input == "fail": raise Fail("bad K\\udcf6ln")
            if item.input == "retry": raise Retry("later")
            if item.input == "exit": sys.exit(3)
            if item.input == "empty": raise Fail()
            raise KeyError("a\\nb")
            """
        )
        self.assertEqual(worker.run("fail")[-1], {"seq": 1, "error": "bad K\\udcf6ln", "retry": False})
        self.assertEqual(worker.run("retry")[-1], {"seq": 2, "error": "later", "retry": True})
        self.assertEqual(worker.run("exit")[-1]["error"], "SystemExit: 3")
        self.assertEqual(worker.run("empty")[-1]["error"], "Fail")
        said = worker.run("other")
        self.assertEqual((said[-1]["error"], said[-1]["retry"]), ("KeyError: 'a\\nb'", True))
        self.assertTrue(any("Traceback" in line for line in self.logs(said)), said)

    def test_prints_are_log_whoever_prints(self) -> None:
        worker = self.worker(
            """
            print('{"result": "printed"}')
            sys.stdout.buffer.write(b"raw \\xff\\n")
            os.write(1, b'{"result": "by a descriptor"}\\n')
            os.system("echo '{\\"result\\": \\"by a child\\"}'; cat > /dev/null")
            print("K\\udcf6ln", end="")
            return "returned"
            """
        )
        said = worker.run()
        self.assertEqual(said[-1]["result"], "returned")
        self.assertEqual(self.logs(said), ['{"result": "printed"}', "raw \ufffd", "K\\udcf6ln"])
        self.assertEqual(worker.run()[-1]["result"], "returned")
        err = worker.close()
        self.assertIn("by a descriptor", err)
        self.assertIn("by a child", err)

    def test_progress_log_and_files(self) -> None:
        worker = self.worker(
            """
            for at in range(10_000): item.progress(at, 10_000, note="n\\udcf6")
            item.progress(1, 1)
            item.progress(float("nan"))
            item.log("one\\ntwo", level="warn")
            item.file("a/b.txt").write_text("x")
            item.file("never-written.txt")
            for bad in ("../x", "/etc/passwd", "", "a\\0b"):
                try: item.file(bad)
                except ValueError: continue
                raise Fail(bad)
            try: item.log("x", level="loud")
            except ValueError: return None
            """
        )
        said = worker.run()
        self.assertIsNone(said[-1]["result"])
        self.assertLess(len(said), 100)
        self.assertEqual(said[0]["progress"], {"done": 0, "total": 10_000, "note": "n\\udcf6"})
        self.assertEqual([line["log"] for line in said if line.get("level") == "warn"], ["one", "two"])
        self.assertEqual([line["file"] for line in said if "file" in line], ["a/b.txt"])

    def test_a_file_is_a_file_and_a_record_is_not(self) -> None:
        worker = self.worker("return [type(item.input).__name__, getattr(item.input, 'name', None)]")
        file = {"file": "/x/y", "name": "a.png", "bytes": 3, "type": "image/png"}
        self.assertEqual(worker.run(file)[-1]["result"], ["File", "a.png"])
        self.assertEqual(worker.run({**file, "file": "relative"})[-1]["result"], ["dict", None])
        self.assertEqual(worker.run({"file": "/x"})[-1]["result"], ["dict", None])

    def test_async_functions_and_late_threads(self) -> None:
        worker = self.worker("return item.input", head="async def work(item):")
        self.assertEqual(worker.run("a")[-1]["result"], "a")
        worker = self.worker(
            """
            before = globals().get("last")
            globals()["last"] = item
            if before is not None:
                before.log("too late"); before.progress(1)
            return 1
            """
        )
        for _item in range(3):
            self.assertEqual(worker.run(), [{"seq": worker.seq, "result": 1}])

    def test_it_ends_with_its_input(self) -> None:
        worker = Worker("return 1")
        worker.run()
        worker.close()
        self.assertEqual(worker.process.returncode, 0)


if __name__ == "__main__":
    unittest.main()
