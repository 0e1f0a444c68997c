"""Write a Milepost worker as a Python function. Copy this file beside yours: it needs nothing but Python 3.9.

    from milepost_task import Fail, Item, task

    @task
    def greet(item: Item) -> object:
        name = item.input.get("name")
        if not name:
            raise Fail("The record has no name.")
        return {"greeting": f"{item.params['greeting']}, {name}!"}

    if __name__ == "__main__":
        greet.run()

What the function returns is the item's result. An exception fails the item: ``Fail`` for good, ``Retry`` and every
other one until its attempts are spent. What it prints is log. A result that JSON does not have (NaN, a set, bytes, half
of a surrogate pair) fails the item and says why.
"""

from __future__ import annotations

import asyncio
import inspect
import io
import json
import os
import sys
import threading
import time
import traceback
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any, Callable, Dict, List, Mapping, Optional, Union

__all__ = ["Fail", "File", "Item", "Retry", "Task", "task"]

# Seconds between two reports of progress of one item: what is said in between is not sent.
_PROGRESS_SECONDS = 0.05
_LEVELS = ("info", "warn", "error")


class Fail(Exception):
    """Fails the item for good: another attempt would find the same."""


class Retry(Exception):
    """Fails this attempt: another one may succeed. Any exception but ``Fail`` does."""


@dataclass(frozen=True)
class File:
    """The input of a task with ``input = "file"``. Read ``path``, do not change it."""

    path: Path
    name: str
    bytes: int
    type: str


class _Channel:
    """Lines to Milepost, each written whole."""

    def __init__(self, stream: IO[bytes]) -> None:
        self._stream = stream
        self._lock = threading.RLock()

    def send(self, said: Mapping[str, object]) -> None:
        """Raises ``ValueError`` or ``TypeError``, and sends nothing, where ``said`` is no JSON in Unicode text."""
        line = json.dumps(said, ensure_ascii=False, allow_nan=False, separators=(",", ":")).encode() + b"\n"
        with self._lock:
            self._stream.write(line)
            self._stream.flush()


class Item:
    """One item: what came in, and how to say how it goes. Its methods may be called from any thread."""

    batch: str
    seq: int
    attempt: int
    #: A text or number, a record as ``dict``, or a :class:`File`.
    input: Any
    params: Dict[str, Any]
    #: A folder for files, empty at first.
    out: Path
    #: Time for the attempt, in milliseconds.
    deadline_ms: int

    def __init__(self, line: Mapping[str, Any], channel: _Channel) -> None:
        self.batch = line["batch"]
        self.seq = line["seq"]
        self.attempt = line["attempt"]
        self.params = line["params"]
        self.out = Path(line["out"])
        self.deadline_ms = line["deadline_ms"]
        given = line["input"]
        # A record may have any columns: a file has exactly these, and its path is absolute.
        if isinstance(given, dict) and set(given) == {"file", "name", "bytes", "type"} and _is_path(given["file"]):
            given = File(Path(given["file"]), given["name"], given["bytes"], given["type"])
        self.input = given
        self._channel = channel
        self._files: List[str] = []
        self._is_open = True
        self._reported = 0.0

    def progress(self, done: float, total: float = 1.0, note: Optional[str] = None) -> None:
        """Says how far the item is: ``done`` of ``total``. Call it as often as you like."""
        now = time.monotonic()
        if now - self._reported < _PROGRESS_SECONDS and done < total:
            return
        self._reported = now
        said: Dict[str, object] = {"done": _finite(done), "total": _finite(total)}
        if note is not None:
            said["note"] = _legible(note)
        self._say({"progress": said})

    def log(self, text: object, level: str = "info") -> None:
        """Adds a line to the item's log; ``level`` is ``info``, ``warn`` or ``error``."""
        if level not in _LEVELS:
            raise ValueError(f"level: expected one of {', '.join(_LEVELS)}, not {level!r}")
        for line in str(text).splitlines() or [""]:
            self._say({"log": _legible(line), "level": level})

    def file(self, name: str) -> Path:
        """A path to write a file of the item to; ``name`` may have folders. What is there when the function returns
        becomes a file of the item."""
        path = Path(name)
        if not path.parts or path.is_absolute() or ".." in path.parts or "\0" in name:
            raise ValueError(f"a name inside the item's folder is expected, not {name!r}")
        whole = self.out / path
        whole.parent.mkdir(parents=True, exist_ok=True)
        if path.as_posix() not in self._files:
            self._files.append(path.as_posix())
        return whole

    def _say(self, said: Mapping[str, object]) -> None:
        # What a thread says after the item has ended is of no item.
        if self._is_open:
            self._channel.send({"seq": self.seq, **said})

    def _left(self) -> List[str]:
        return [name for name in self._files if (self.out / name).exists()]


class Task:
    """A function as a worker. Calling it calls the function."""

    def __init__(self, function: Callable[[Item], object]) -> None:
        self.function = function
        self.__doc__ = function.__doc__
        self.__name__ = getattr(function, "__name__", "task")

    def __call__(self, item: Item) -> object:
        return self.function(item)

    def run(self) -> None:
        """Takes items until there are no more. Standard input and output are Milepost's: what the function prints is
        log, and so is what its C code and its child processes write."""
        items, channel = _take_streams()
        printed = _Printed()
        sys.stdout = io.TextIOWrapper(
            io.BufferedWriter(printed), encoding="utf-8", errors="backslashreplace", line_buffering=True
        )
        try:
            for line in items:
                item = Item(json.loads(line), channel)
                printed.item = item
                self._answer(item, channel, printed)
        except BrokenPipeError:
            # The server is gone, and nobody waits for an answer.
            os._exit(1)

    def _answer(self, item: Item, channel: _Channel, printed: _Printed) -> None:
        try:
            result = self.function(item)
            if inspect.isawaitable(result):
                result = asyncio.run(_awaited(result))
            answer = {"seq": item.seq, "result": result}
        except Fail as error:
            answer = _error(item, error, retry=False)
        except Retry as error:
            answer = _error(item, error, retry=True)
        except BrokenPipeError as error:
            if error.filename is None and not _is_writable(channel):
                raise
            answer = _failed(item, error)
        except (Exception, SystemExit) as error:
            answer = _failed(item, error)
        _flush(sys.stdout)
        _flush(sys.stderr)
        printed.end_line()
        item._is_open = False
        if "result" in answer:
            try:
                for name in item._left():
                    channel.send({"seq": item.seq, "file": name})
                channel.send(answer)
                return
            except (TypeError, ValueError, RecursionError) as error:
                why = f"The result cannot be written as JSON: {_words(error)}"
                answer = {"seq": item.seq, "error": _legible(why), "retry": False}
        channel.send(answer)


def task(function: Callable[[Item], object]) -> Task:
    """Makes ``function`` a worker; it may be ``async``. Start it with ``.run()``."""
    return Task(function)


async def _awaited(result: Any) -> object:
    return await result


class _Printed(io.RawIOBase):
    """What the function prints, as lines of its log."""

    def __init__(self) -> None:
        self.item: Optional[Item] = None
        self._line = b""

    def writable(self) -> bool:
        return True

    def write(self, data: Any) -> int:
        whole = bytes(data)
        *lines, self._line = (self._line + whole).split(b"\n")
        for line in lines:
            self._log(line)
        return len(whole)

    def end_line(self) -> None:
        """A line without its end is a line all the same."""
        if self._line:
            self._log(self._line)
            self._line = b""

    def _log(self, line: bytes) -> None:
        if self.item is not None:
            self.item._say({"log": line.decode(errors="replace").rstrip("\r"), "level": "info"})


def _take_streams() -> "tuple[IO[bytes], _Channel]":
    """Standard input and output for Milepost alone: whatever else writes to descriptor 1 writes to standard error, which
    is log, and whatever reads descriptor 0 reads nothing."""
    items, answers = os.fdopen(os.dup(0), "rb"), os.fdopen(os.dup(1), "wb")
    nothing = os.open(os.devnull, os.O_RDONLY)
    os.dup2(nothing, 0)
    os.close(nothing)
    os.dup2(2, 1)
    return items, _Channel(answers)


def _is_writable(channel: _Channel) -> bool:
    try:
        channel.send({"log": "a pipe of the task broke", "level": "warn"})
    except BrokenPipeError:
        return False
    return True


def _flush(stream: Any) -> None:
    try:
        stream.flush()
    except (OSError, ValueError):
        pass


def _is_path(value: object) -> bool:
    return isinstance(value, str) and os.path.isabs(value)


def _finite(number: float) -> Union[int, float]:
    # Of what is no number (or has no end) nothing can be said.
    return number if isinstance(number, int) or abs(number) < float("inf") else 0


def _legible(text: str) -> str:
    """``text`` with what is no character spelled out."""
    return text.encode("utf-8", "backslashreplace").decode()


def _words(error: BaseException) -> str:
    try:
        return str(error)
    except Exception:
        return ""


def _error(item: Item, error: BaseException, *, retry: bool) -> Dict[str, object]:
    message = _legible(_words(error)) or type(error).__name__
    return {"seq": item.seq, "error": message, "retry": retry}


def _failed(item: Item, error: BaseException) -> Dict[str, object]:
    item.log("".join(traceback.format_exception(type(error), error, error.__traceback__)), "error")
    words = _words(error)
    message = f"{type(error).__name__}: {words}" if words else type(error).__name__
    return {"seq": item.seq, "error": _legible(message), "retry": True}
