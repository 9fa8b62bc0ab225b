"""The verb: a study run over all patients, on this machine or on a cluster, gone on with where it was left."""

import queue
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import replace
from os import PathLike, cpu_count
from pathlib import Path
from typing import Any

from ...patient.require import require_count
from ...patient.units import minutes
from . import protocol
from .cohort import fingerprint, listed
from .figures import Study
from .gather import gather
from .hand import Gone, Hand
from .parts import Part
from .protocol import Protocol
from .store import Store

Progress = Callable[[str, float, float], None]
Keep = Callable[[Part, float], None]
Files = Mapping[tuple[str, int], bytes]
_HANDS: dict[tuple[str, str, int], Hand] = {}  # of a worker of a cluster, by its threads


def study(
    plan: str | PathLike[str] | Protocol,
    *,
    data: str | PathLike[str],
    store: str | PathLike[str],
    workers: int | None = None,
    client: Any = None,
    progress: Progress | None = None,
) -> Study:
    """Run a retrospective study, or go on with one: build the cohort, roll every twin forward, keep what it said.

    At every origin a twin knows the past alone, as in `evaluate`. Work is split by patient; each patient has a key of
    its own, so that results depend neither on order nor on the number of workers. What is done is kept as it is done:
    after an interrupt, a killed process or a full disk the same call goes on where it was.

    Parameters
    ----------
    plan : path, name or Protocol
        A study file, or one that ships: "glucose", "plateau", "pressure".
    data : path
        The folder of the extract.
    store : path
        A Zarr store, made where there is none. One that is there must be of this study and this extract.
    workers : int, optional
        Processes on this machine; by default one a core.
    client : distributed.Client, optional
        A cluster in place of this machine's processes. Its workers must see `data` under the same path.
    progress : function of (stage, fraction, seconds left), optional
        Called after every patient.

    Returns
    -------
    Study

    Raises
    ------
    FileNotFoundError
        If there is no such study, extract or population.
    ValueError
        If the study file is wrong (naming file, line, field and remedy), a table cannot be read, the store is of
        another study or extract, the population was learned on the study's own patients, or no stay can be forecast.
    ImportError
        If the extra ``twinprob[study]`` is not installed.

    Notes
    -----
    A patient who takes longer than the study's `time_limit` is ended, and its forecasts have failed; so have those of
    one whose process died twice. They stay among the pairs that are scored.
    """
    stated = plan if isinstance(plan, Protocol) else protocol.read(plan)
    folder = Path(data).resolve()
    if workers is not None:
        require_count("workers", workers, 1, 4096)
    source = listed(stated.source, folder)
    kept = Store.open(Path(store), stated, fingerprint(folder))
    text = stated.model_dump_json()
    files = _taught(kept, text, str(folder), progress)
    done = set(kept.done())
    waiting = [patient for patient in source.patients if patient not in done]
    limit = 60.0 * minutes(stated.time_limit)
    told = _Told(progress, len(source.patients), len(done))

    def keep(part: Part, seconds: float) -> None:
        kept.write(_whole(part, len(source.patients[part.patient])), seconds)
        told(part)

    if client is None:
        _here(keep, waiting, files, text, str(folder), limit, workers or cpu_count() or 1)
    else:
        _there(client, keep, waiting, files, text, str(folder), limit)
    return gather(kept)


def _taught(kept: Store, text: str, folder: str, progress: Progress | None) -> Files:
    """Return the populations that were kept, or learn them once."""
    found = kept.populations()
    if found is not None or kept.protocol.population is None:
        return found or {}
    if progress:
        progress("learn populations", 0.0, 0.0)
    hand = Hand(text, folder)
    try:
        files = {(said["patient"], said["number"]): content for said, content in hand.learn()}
    except Gone:
        raise RuntimeError("The process that learned the populations died; is there memory enough?") from None
    finally:
        hand.close()
    kept.keep_populations(files)
    return files


def _of(files: Files, patient: str) -> dict[int, bytes]:
    return {number: content for (one, number), content in files.items() if one in ("", patient)}


class _Told:
    """Says how far the study is and how long it will take, by what was done in this run."""

    def __init__(self, progress: Progress | None, every: int, done: int):
        self.progress, self.every, self.done, self.run = progress, every, done, 0
        self.began = time.monotonic()

    def __call__(self, part: Part) -> None:
        self.done, self.run = self.done + 1, self.run + 1
        if self.progress:
            passed = time.monotonic() - self.began
            left = passed / self.run * (self.every - self.done)
            self.progress(f"{part.status}, {self.done} of {self.every} patients", self.done / self.every, left)


# ---- one machine -----------------------------------------------------------------------------------------------------


def _here(keep: Keep, waiting, files: Files, text: str, folder: str, limit: float, workers: int) -> None:
    """Let processes take patients in turn; only this one writes."""
    todo: queue.Queue = queue.Queue()
    for patient in waiting:
        todo.put(patient)
    came: queue.Queue = queue.Queue()
    hands = [Hand(text, folder) for _ in range(min(workers, len(waiting)))]
    stopped = threading.Event()

    def take(hand: Hand) -> None:
        while not stopped.is_set():
            try:
                patient = todo.get_nowait()
            except queue.Empty:
                return
            try:
                came.put(_one(hand, patient, _of(files, patient), limit, stopped))
            except BaseException as error:  # noqa: BLE001  raised again where the study was started
                came.put(error)
                return

    threads = [threading.Thread(target=take, args=(hand,), daemon=True) for hand in hands]
    try:
        for thread in threads:
            thread.start()
        for _ in waiting:
            found = came.get()
            if isinstance(found, BaseException):
                raise found
            keep(*found)
    finally:
        stopped.set()
        for hand in hands:
            hand.close()


def _one(hand: Hand, patient: str, populations: Mapping[int, bytes], limit: float, stopped=None) -> tuple[Part, float]:
    """Return what a patient's twin said and the seconds it took; a process that dies is tried once more."""
    began = time.monotonic()
    for again in (False, True):
        try:
            return hand.roll(patient, populations, limit), time.monotonic() - began
        except Gone:
            if again or (stopped is not None and stopped.is_set()):
                break
    return _lost(patient, "the process that held this patient died twice"), time.monotonic() - began


def _whole(part: Part, stays: int) -> Part:
    """Return a part in which a patient who was lost as a whole has a row for every stay."""
    if not part.stays or part.stays[0]["number"] >= 0:
        return part
    return replace(part, stays=tuple({**part.stays[0], "number": number} for number in range(stays)))


def _lost(patient: str, reason: str) -> Part:
    return Part(patient, "failed", ({"number": -1, "fate": "failed", "reason": reason},))


# ---- a cluster -------------------------------------------------------------------------------------------------------


def _there(client, keep: Keep, waiting, files: Files, text: str, folder: str, limit: float) -> None:
    """Hand patients to a cluster, a few more at a time than it has threads; what comes back is written here."""
    came: queue.Queue = queue.Queue()
    left, held = iter(waiting), {}

    def submit() -> None:
        for patient in left:
            future = client.submit(_remote, text, folder, patient, _of(files, patient), limit, pure=False)
            held[future] = patient
            future.add_done_callback(came.put)
            return

    try:
        for _ in range(2 * max(1, sum(client.nthreads().values()))):
            submit()
        for _ in waiting:
            future = came.get()
            try:
                about, content, seconds = future.result()
                part = Part.unpack(about, content)
            except Exception as error:
                if type(error).__name__ != "KilledWorker":
                    raise
                part, seconds = _lost(held[future], "every worker that held this patient died"), 0.0
            del held[future]
            keep(part, seconds)
            submit()
    finally:
        if held:
            client.cancel(list(held))


def _remote(text: str, folder: str, patient: str, populations: dict[int, bytes], limit: float):
    """Work on one patient on a cluster's worker, in a process of its own that stays for the next."""
    place = (text, folder, threading.get_ident())
    if place not in _HANDS:
        _HANDS[place] = Hand(text, folder)
    part, seconds = _one(_HANDS[place], patient, populations, limit)
    return (*part.pack(), seconds)
