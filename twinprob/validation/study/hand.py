"""A process of its own that works on one patient at a time, so that one that never ends can be ended.

Run as ``python -m twinprob.validation.study.hand``; what it is told and what it says are frames of JSON and arrays.
"""

import json
import os
import queue
import signal
import struct
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import IO, Any

import numpy as np

from .parts import Part, packed, unpacked

_HEAD = struct.Struct("!QQ")
# One thread a process: the work is split by patient, and no sum depends on how many cores there are.
_QUIET = {
    "OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1", "MKL_NUM_THREADS": "1", "NUMBA_NUM_THREADS": "1",
}  # fmt: skip
_FLAGS = "--xla_cpu_multi_thread_eigen=false intra_op_parallelism_threads=1"


class Gone(Exception):
    """The process ended without an answer."""


class TooLong(Exception):
    """A patient took longer than the limit, and the process was ended."""


def send(stream: IO[bytes], said: Mapping[str, Any], content: bytes = b"") -> None:
    """Write one frame."""
    text = json.dumps(said).encode()
    stream.write(_HEAD.pack(len(text), len(content)) + text + content)
    stream.flush()


def receive(stream: IO[bytes]) -> tuple[dict[str, Any], bytes]:
    """Read one frame.

    Raises
    ------
    EOFError
        If the stream ended.
    """
    sizes = _HEAD.unpack(_exactly(stream, _HEAD.size))
    return json.loads(_exactly(stream, sizes[0])), _exactly(stream, sizes[1])


def _exactly(stream: IO[bytes], size: int) -> bytes:
    found = stream.read(size)
    if len(found) < size:
        raise EOFError("the other end is gone")
    return found


class Hand:
    """One process, started when it is first needed.

    Parameters
    ----------
    protocol : str
        The study as JSON.
    folder : str
        The extract.
    """

    def __init__(self, protocol: str, folder: str):
        self.protocol, self.folder = protocol, folder
        self._process: subprocess.Popen | None = None
        self._heard: queue.Queue = queue.Queue()

    def learn(self) -> Iterator[tuple[dict[str, Any], bytes]]:
        """Yield patient, number of the stay and file of each population."""
        self._ask({"do": "learn"})
        while True:
            said, content = self._answer(None)
            if said["is"] == "learned":
                return
            yield said, content

    def roll(
        self, patient: str, populations: Mapping[int, bytes], limit: float, tell: Callable[[float], None] | None = None
    ) -> Part:
        """Return what a patient's twin said.

        Raises
        ------
        Gone
            If the process died.

        Notes
        -----
        After `limit` s the process is ended, and forecasts that have all failed are returned.
        """
        files = {str(number): np.frombuffer(one, np.uint8) for number, one in populations.items()}
        self._ask({"do": "roll", "patient": patient}, packed(files))
        until, part = time.monotonic() + limit, None
        while True:
            try:
                said, content = self._answer(until)
            except TooLong:
                reason = f"took longer than {limit:g} s"
                lost = {"number": -1, "fate": "failed", "reason": reason}
                if part is None:
                    return Part(patient, "failed", (lost,))
                stays = tuple(
                    {**one, "fate": "failed", "reason": reason} if one["fate"] == "rolled" else one
                    for one in part.stays
                )
                return Part(patient, "failed", stays, part.pairs, part.members)
            if said["is"] == "share":
                if tell:
                    tell(said["share"])
                continue
            part = Part.unpack(said["part"], content)
            if said["is"] == "rolled":
                return part

    def close(self) -> None:
        """End the process, whatever it does."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            for stream in (self._process.stdin, self._process.stdout):
                if stream is not None:
                    try:
                        stream.close()
                    except OSError:  # nobody reads what was still to be written
                        continue
            self._process = None

    def _ask(self, said: Mapping[str, Any], content: bytes = b"") -> None:
        if self._process is None or self._process.poll() is not None:
            self.close()
            self._start()
        process = self._process
        if process is None or process.stdin is None:
            raise Gone("the process did not start")
        try:
            send(process.stdin, said, content)
        except OSError:
            self.close()
            raise Gone("the process ended before it was asked") from None

    def _start(self) -> None:
        command = [sys.executable, "-m", "twinprob.validation.study.hand"]
        # Not in the foreground group: an interrupt is for whoever started the study, who ends the hands.
        self._process = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, env=_environment(), start_new_session=True
        )
        self._heard = queue.Queue()
        threading.Thread(target=_listen, args=(self._process.stdout, self._heard), daemon=True).start()
        if self._process.stdin is not None:
            send(self._process.stdin, {"protocol": self.protocol, "folder": self.folder})
        self._answer(None)

    def _answer(self, until: float | None) -> tuple[dict[str, Any], bytes]:
        try:
            left = None if until is None else max(0.0, until - time.monotonic())
            found = self._heard.get(timeout=left)
        except queue.Empty:
            self.close()
            raise TooLong from None
        if found is None:
            self.close()
            raise Gone("the process ended without an answer")
        said, content = found
        if said["is"] == "error":
            self.close()
            raise {"FileNotFoundError": FileNotFoundError}.get(said["kind"], ValueError)(said["text"])
        return said, content


def _listen(stream: IO[bytes], heard: queue.Queue) -> None:
    try:
        while True:
            heard.put(receive(stream))
    except (EOFError, OSError, ValueError):
        heard.put(None)


def _environment() -> dict[str, str]:
    """Return the environment of a hand: one thread, this package, and one folder of compiled programs for all."""
    import jax

    home = str(Path(__file__).resolve().parents[3])
    paths = [home, *[one for one in os.environ.get("PYTHONPATH", "").split(os.pathsep) if one and one != home]]
    cache = getattr(jax.config, "jax_compilation_cache_dir", None)
    flags = f"{os.environ.get('XLA_FLAGS', '')} {_FLAGS}".strip()
    found = {**os.environ, **_QUIET, "XLA_FLAGS": flags, "PYTHONPATH": os.pathsep.join(paths)}
    if cache:
        found["JAX_COMPILATION_CACHE_DIR"] = str(cache)
        found.setdefault("JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS", "0.2")
    return found


# ---- inside the process ----------------------------------------------------------------------------------------------


def _work(ears: IO[bytes], mouth: IO[bytes]) -> None:
    """Read the extract once, then do what is asked until nobody asks any more."""
    from .cohort import listed
    from .protocol import Protocol
    from .roll import from_bytes, learn, roll, to_bytes

    def share(done: float) -> None:
        send(mouth, {"is": "share", "share": float(done)})

    def known(part: Part) -> None:
        about, content = part.pack()
        send(mouth, {"is": "known", "part": about}, content)

    said, _ = receive(ears)
    protocol = Protocol.model_validate_json(said["protocol"])
    source = listed(protocol.source, Path(said["folder"]))
    send(mouth, {"is": "ready"})
    populations: dict[bytes, Any] = {}
    while True:
        said, content = receive(ears)
        if said["do"] == "learn":
            for (patient, number), population in learn(protocol, source).items():
                send(mouth, {"is": "population", "patient": patient, "number": number}, to_bytes(population))
            send(mouth, {"is": "learned"})
            continue
        files = {int(number): values.tobytes() for number, values in unpacked(content).items()}
        # One for all patients is read once.
        populations = {one: populations.get(one) or from_bytes(one) for one in files.values()}
        taught = {number: populations[one] for number, one in files.items()}
        about, content = roll(protocol, source, said["patient"], taught, known=known, tell=share).pack()
        send(mouth, {"is": "rolled", "part": about}, content)


def main() -> None:
    """Serve whoever started this process; what libraries print goes to the standard error."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    mouth = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)
    try:
        _work(sys.stdin.buffer, mouth)
    except (EOFError, BrokenPipeError):
        return
    except (ValueError, OSError) as error:
        send(mouth, {"is": "error", "kind": type(error).__name__, "text": str(error)})


if __name__ == "__main__":
    main()
