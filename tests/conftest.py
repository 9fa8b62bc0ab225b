import zlib
from collections import defaultdict
from pathlib import Path

import hypothesis
import jax
import pytest

from tests import shared_data_folder
from tests.versions import VERSIONS

jax.config.update("jax_enable_x64", True)

# Derandomized, so that a test that passes here passes everywhere; compilation makes the first example slow.
hypothesis.settings.register_profile("twinprob", deadline=None, derandomize=True, max_examples=50, print_blob=True)
hypothesis.settings.load_profile("twinprob")

DATA_ABSENT = "open data absent"
# Linux grants 65 530; the library lets its own programs go from a fifth of these on.
MAPS, MOST_MAPS = Path("/proc/self/maps"), 10_000
APART = {"test_docs", "test_notebooks"}
# Files that take longest, which begin first, so that at the end no worker waits for one.
LONGEST = (
    "test_notebooks", "test_docs", "test_population", "test_models", "test_smith", "test_structural", "test_interrupt",
    "test_update", "test_updated_twin", "test_cli", "test_identify", "test_compare", "test_filter",
)  # fmt: skip


@pytest.fixture
def key(request):
    """A random key that depends on the test's name alone."""
    return jax.random.key(zlib.crc32(request.node.name.encode()) & 0x7FFFFFFF)


@pytest.fixture(scope="session")
def shared_data():
    """The folder of open data kept outside the project."""
    folder = shared_data_folder()
    if folder is None:
        pytest.skip(f"{DATA_ABSENT}: set TWINPROB_SHARED_DATA to the folder that holds it")
    return folder


@pytest.fixture(scope="module", autouse=True)
def forget_programs():
    """Let go of compiled programs once many are held: those of all tests together exhaust a process's memory maps."""
    yield
    if MAPS.exists() and MAPS.read_bytes().count(b"\n") > MOST_MAPS:
        jax.clear_caches()


def pytest_collection_modifyitems(items):
    for item in items:
        if item.nodeid.startswith(VERSIONS):
            item.add_marker(pytest.mark.versions)
    begin = {stem: place for place, stem in enumerate(LONGEST)}
    items.sort(key=lambda item: begin.get(item.path.stem, len(LONGEST)))
    gpu_items = [item for item in items if item.get_closest_marker("gpu")]
    if gpu_items and jax.default_backend() == "cpu":
        for item in gpu_items:
            item.add_marker(pytest.mark.skip(reason="no accelerator on this machine"))


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config, log):
    """Give each worker whole files, whose tests share fixtures and programs; pages and notebooks go one by one."""
    from xdist.scheduler import LoadScopeScheduling

    class ByFile(LoadScopeScheduling):
        def _split_scope(self, nodeid):
            file = nodeid.split("::")[0]
            return nodeid if Path(file).stem in APART else file

    return ByFile(config, log)


def wing_of(nodeid):
    """Return the wing that a test belongs to, or its file where it belongs to the whole package."""
    parts = nodeid.split("::")[0].split("/")
    return f"{parts[1]}/" if len(parts) > 2 else parts[-1]


def pytest_terminal_summary(terminalreporter):
    seconds: dict[str, float] = defaultdict(float)
    tests: dict[str, set[str]] = defaultdict(set)
    for reports in terminalreporter.stats.values():
        for report in reports:
            if hasattr(report, "duration"):
                seconds[wing_of(report.nodeid)] += report.duration
                tests[wing_of(report.nodeid)].add(report.nodeid)
    if len(seconds) > 1:
        terminalreporter.section("time by wing")
        for wing in sorted(seconds, key=lambda wing: -seconds[wing]):
            terminalreporter.write_line(f"{seconds[wing]:8.1f} s {len(tests[wing]):5} tests  {wing}")
    skipped = terminalreporter.stats.get("skipped", [])
    absent = sum(DATA_ABSENT in str(report.longrepr) for report in skipped)
    if absent:
        terminalreporter.write_line(
            f"{absent} tests did not run because of {DATA_ABSENT}: set TWINPROB_SHARED_DATA", red=True, bold=True
        )
