"""How fast the MIMIC demo is read, all domains and stays, and how much memory a chart ten times as long takes."""

import gzip
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from tests import ROOT
from tests.validation import Result, shared_data
from twinprob.readers import mimic

TITLE = "Reading the MIMIC-III demo, all domains and stays; a chart ten times as long"
BAR = "≤ 1.2 × the sum of the three readers before; ≤ 500 MB on a table ten times as long"
# CPU seconds of the three separate readers, loading and reading all 136 stays, measured on the same machine before
# they became one (11.8 and 11.9 in two runs): a ratio to it means something on this machine only.
BEFORE = 11.8
TIMES = 10
MEGABYTE = 1024.0  # kilobytes, as the kernel counts
PROBE = """
import re, sys
from twinprob.readers import mimic
def peak():
    # That of this program alone: what `resource` says is inherited from the process that started it.
    return re.search(r"VmHWM:\\s*(\\d+)", open("/proc/self/status").read())[1]
before = peak()
tables = mimic.load(sys.argv[1])
print(before, peak(), len(tables.chart))
"""


def measure() -> Result:
    """Time the whole in CPU seconds, for the machine may be shared; measure memory in a process of its own."""
    folder = shared_data("mimic-iii-demo")
    began = time.process_time()
    tables = mimic.load(folder)
    read = 0
    for stay in tables.stays["stay"]:
        try:
            mimic.read(tables, int(stay))
            read += 1
        except ValueError:  # nothing was measured in it
            continue
    seconds = time.process_time() - began
    with tempfile.TemporaryDirectory() as place:
        command = [sys.executable, "-c", PROBE, str(longer(folder, Path(place)))]
        said = subprocess.run(command, cwd=ROOT, check=True, stdout=subprocess.PIPE, text=True).stdout.split()
    before, peak, rows = (int(word) for word in said)
    ratio, memory = seconds / BEFORE, peak / MEGABYTE
    return Result(
        f"{seconds:.1f} s of CPU for {read} stays, {ratio:.2f} × before; {memory:.0f} MB at most with a chart "
        f"{TIMES} times as long ({before / MEGABYTE:.0f} MB of it before anything is read)",
        ratio <= 1.2 and memory <= 500.0,
        {"seconds": seconds, "before": BEFORE, "peak MB": memory, "imports MB": before / MEGABYTE, "rows kept": rows},
    )


def longer(folder: Path, place: Path) -> Path:
    """Write the demo with its chart repeated."""
    for path in folder.glob("*.csv.gz"):
        if not path.name.startswith("chartevents"):
            shutil.copy(path, place)
    with (
        gzip.open(folder / "chartevents.csv.gz") as source,
        gzip.open(place / "chartevents.csv.gz", "wb", compresslevel=1) as target,
    ):
        target.write(source.readline())
        body = source.read()
        for _ in range(TIMES):
            target.write(body)
    return place
