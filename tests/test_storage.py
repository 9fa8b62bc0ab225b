import os
import resource
import signal
import stat
import subprocess
import sys
import threading

import pytest

from tests import ROOT
from twinprob import storage

OLD, NEW = b"old" * 1000, b"new" * 2000


@pytest.fixture
def target(tmp_path):
    path = tmp_path / "file.nc"
    path.write_bytes(OLD)
    return path


def names(folder):
    return sorted(path.name for path in folder.iterdir())


def test_what_is_written_is_what_is_there(target):
    storage.write(target, NEW)
    assert (target.read_bytes(), names(target.parent)) == (NEW, ["file.nc"])


def test_text_is_written_with_its_line_ends(tmp_path):
    storage.write(tmp_path / "table.csv", "µ,1\n")
    assert (tmp_path / "table.csv").read_bytes() == b"\xc2\xb5,1\n"


@pytest.mark.parametrize("mode", [0o600, 0o640, 0o664])
def test_the_mode_of_an_existing_file_is_kept(target, mode):
    target.chmod(mode)
    storage.write(target, NEW)
    assert stat.S_IMODE(target.stat().st_mode) == mode


@pytest.mark.parametrize(("mask", "mode"), [(0o022, 0o644), (0o077, 0o600)])
def test_a_new_file_gets_what_the_umask_leaves(tmp_path, mask, mode):
    before = os.umask(mask)
    try:
        storage.write(tmp_path / "new.nc", NEW)
    finally:
        os.umask(before)
    assert stat.S_IMODE((tmp_path / "new.nc").stat().st_mode) == mode


def test_a_private_file_is_private_while_it_is_written(target, monkeypatch):
    target.chmod(0o600)
    opened = os.open

    def watched(path, flags, mode=0o777):
        descriptor = opened(path, flags, mode)
        if flags & os.O_CREAT:
            assert stat.S_IMODE(os.fstat(descriptor).st_mode) == 0o600
        return descriptor

    monkeypatch.setattr(os, "open", watched)
    storage.write(target, NEW)
    assert target.read_bytes() == NEW


def test_a_symbolic_link_is_followed(target, tmp_path):
    link = tmp_path / "link.nc"
    link.symlink_to(target)
    storage.write(link, NEW)
    assert (link.is_symlink(), target.read_bytes()) == (True, NEW)


def test_a_failed_replacement_leaves_the_old_file_alone(target, monkeypatch):
    monkeypatch.setattr(os, "replace", lambda *paths: (_ for _ in ()).throw(KeyboardInterrupt))
    with pytest.raises(KeyboardInterrupt):
        storage.write(target, NEW)
    assert (target.read_bytes(), names(target.parent)) == (OLD, ["file.nc"])


def test_a_reader_at_any_moment_finds_the_old_file_or_the_new(target, monkeypatch):
    found = []
    for name in ("open", "fsync", "replace"):
        original = getattr(os, name)

        def watched(*arguments, original=original, **options):
            found.append(target.read_bytes())
            return original(*arguments, **options)

        monkeypatch.setattr(os, name, watched)
    storage.write(target, NEW)
    assert set(found) == {OLD, NEW}
    assert found == sorted(found, key=[OLD, NEW].index)


def test_four_writers_of_one_path_leave_one_whole_file(target):
    contents = [bytes([i]) * 300_000 for i in range(4)]
    errors = []

    def work(content):
        try:
            for _ in range(10):
                storage.write(target, content)
        except OSError as error:
            errors.append(error)

    threads = [threading.Thread(target=work, args=(content,)) for content in contents]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert (errors, target.read_bytes() in contents, names(target.parent)) == ([], True, ["file.nc"])


KILLED = """
import os, sys
from twinprob import storage
os.replace = lambda *paths: os.kill(os.getpid(), 9)
storage.write(sys.argv[1], b"half" * 1000)
"""


def test_what_a_killed_writer_left_is_removed_at_the_next_write(target):
    ended = subprocess.run([sys.executable, "-c", KILLED, str(target)], cwd=ROOT, check=False)
    assert (ended.returncode, target.read_bytes(), len(names(target.parent))) == (-signal.SIGKILL, OLD, 2)
    storage.write(target, NEW)
    assert (target.read_bytes(), names(target.parent)) == (NEW, ["file.nc"])


def test_the_partial_of_a_living_writer_is_left_alone(target, monkeypatch):
    replace = os.replace

    def overtaken(partial, path):
        monkeypatch.setattr(os, "replace", replace)
        storage.write(path, NEW)
        assert partial.exists()
        replace(partial, path)

    monkeypatch.setattr(os, "replace", overtaken)
    storage.write(target, b"first")
    assert (target.read_bytes(), names(target.parent)) == (b"first", ["file.nc"])


@pytest.mark.parametrize("name", [".file.nc.12.partial", f".file.nc.12.{'0' * 16}.partial"])
def test_leftovers_of_every_version_are_recognized(target, name):
    target.with_name(name).write_bytes(b"half")
    storage.write(target, NEW)
    assert names(target.parent) == ["file.nc"]


@pytest.mark.parametrize("name", [".file.nc.mine.partial", ".other.nc.12.partial", "file.nc.12.partial"])
def test_files_that_only_look_like_leftovers_stay(target, name):
    target.with_name(name).write_bytes(b"mine")
    storage.write(target, NEW)
    assert names(target.parent) == sorted([name, "file.nc"])


def test_a_full_disk_is_an_error_that_says_what_to_do(target):
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (4096, limits[1]))
    try:
        with pytest.raises(OSError, match=r"`file\.nc` could not be written \(File too large\): free space"):
            storage.write(target, NEW * 10)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert (target.read_bytes(), names(target.parent)) == (OLD, ["file.nc"])


def test_a_folder_that_is_not_there_is_named(tmp_path):
    with pytest.raises(FileNotFoundError, match="make folder `nowhere` first; nothing was left behind"):
        storage.write(tmp_path / "nowhere" / "file.nc", NEW)


def test_a_folder_is_not_replaced(tmp_path):
    with pytest.raises(IsADirectoryError, match="is a folder"):
        storage.write(tmp_path, NEW)


def test_a_pipe_is_not_replaced(tmp_path):
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(OSError, match="is a device or a pipe"):
        storage.write(tmp_path / "pipe", NEW)


def test_a_name_as_long_as_the_system_allows_can_be_written(tmp_path):
    storage.write(tmp_path / ("n" * 255), NEW)
    assert names(tmp_path) == ["n" * 255]
