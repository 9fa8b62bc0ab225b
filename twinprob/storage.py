"""Where the bundled data lie, and the one way to write a file: whole or not at all.

What is written is made in memory first, so that no library writes to a disk that may be full. It goes to a partial
with a random name beside its target, and takes the target's place once the disk has it.
"""

import contextlib
import errno
import os
import re
import secrets
import stat
import time
from pathlib import Path

try:
    import fcntl
except ImportError:  # Windows: leftovers are told by their age alone
    fcntl = None  # type: ignore[assignment]

__all__ = ["bundled", "write"]

_ABANDONED = 86400.0  # s, setting: older partials are leftovers even where nobody can ask for their lock
_SHOWN = 40  # characters of the target in the name of a partial, of which a file system takes 255 bytes


def bundled() -> Path:
    """Return the folder of the bundled data: inside an installed wheel, else of the checkout around this file.

    Raises
    ------
    FileNotFoundError
        If the package was installed without its data.
    """
    here = Path(__file__).resolve().parent
    for folder in (here / "datasets", here.parent / "datasets"):
        if folder.is_dir():
            return folder
    raise FileNotFoundError("The bundled datasets are missing: install twinprob again, from its wheel or its checkout.")


def write(path: str | os.PathLike[str], content: bytes | str) -> None:
    """Write one file, whole or not at all.

    An existing file keeps its permissions, a symbolic link its place: the file it leads to is replaced. Two writers of
    one path leave the file of one of them. What a killed writer left behind is removed at the next write.

    Parameters
    ----------
    path : str or Path
        Replaced if it exists.
    content : bytes or str
        Text is written as UTF-8, with its line ends as they are.

    Raises
    ------
    OSError
        If it cannot be written: no such folder, no permission, a full disk. What was there before is untouched.
    """
    data = content.encode("utf-8") if isinstance(content, str) else content
    target = Path(os.path.realpath(path))
    mode = _mode(target)
    try:
        _remove_leftovers(target)
        partial, descriptor = _partial(target, 0o666 if mode is None else 0o600)
        try:
            with os.fdopen(descriptor, "wb") as file:
                file.write(data)
                file.flush()
                if mode is not None:
                    _dress(file.fileno(), target, mode)
                os.fsync(file.fileno())
                if fcntl is None:  # Windows moves no open file; elsewhere the lock is held until the name is gone
                    file.close()
                os.replace(partial, target)
        except BaseException:
            partial.unlink(missing_ok=True)
            raise
        _settle(target.parent)
    except OSError as error:
        raise _explained(error, target) from None


def _mode(target: Path) -> int | None:
    """Return the permissions of the file that will be replaced, None where there is none."""
    try:
        found = target.stat()
    except OSError:
        return None
    if stat.S_ISDIR(found.st_mode):
        raise IsADirectoryError(f"`{target.name}` is a folder; give the path of a file.")
    if not stat.S_ISREG(found.st_mode):
        raise OSError(f"`{target.name}` is a device or a pipe, not a file that can be replaced; give another path.")
    return stat.S_IMODE(found.st_mode)


def _partial(target: Path, mode: int) -> tuple[Path, int]:
    """Open a new file beside the target and hold its lock, by which others know that its writer lives."""
    while True:
        partial = target.with_name(f".{target.name[:_SHOWN]}.{os.getpid()}.{secrets.token_hex(8)}.partial")
        descriptor = os.open(partial, os.O_WRONLY | os.O_CREAT | os.O_EXCL | getattr(os, "O_BINARY", 0), mode)
        # Another writer may have taken it for a leftover before the lock was held.
        if _held(descriptor) and partial.exists():
            return partial, descriptor
        os.close(descriptor)


def _held(descriptor: int) -> bool:
    """Take the lock of an open file, and tell whether nobody else has it; it falls with the process."""
    if fcntl is None:
        return True
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    except OSError:  # a file system without locks
        return True
    return True


def _remove_leftovers(target: Path) -> None:
    """Remove the partials of writers that were killed; those of version 0.1 had no random part."""
    pattern = re.compile(rf"\.({re.escape(target.name[:_SHOWN])})\.\d+(\.[0-9a-f]{{16}})?\.partial")
    with contextlib.suppress(OSError):
        for name in os.listdir(target.parent):
            if pattern.fullmatch(name):
                with contextlib.suppress(OSError):
                    _remove_if_abandoned(target.with_name(name))


def _remove_if_abandoned(partial: Path) -> None:
    old = time.time() - partial.stat().st_mtime > _ABANDONED
    if fcntl is None:
        if old:
            partial.unlink()
        return
    descriptor = os.open(partial, os.O_WRONLY | os.O_NOFOLLOW | os.O_NONBLOCK)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        partial.unlink()
    finally:
        os.close(descriptor)


def _dress(descriptor: int, target: Path, mode: int) -> None:
    """Give a new file the owner and the permissions of the one it replaces."""
    if hasattr(os, "fchown"):
        there, here = target.stat(), os.fstat(descriptor)
        if (there.st_uid, there.st_gid) != (here.st_uid, here.st_gid):
            with contextlib.suppress(OSError):  # only the superuser may give files away
                os.fchown(descriptor, there.st_uid, there.st_gid)
        os.fchmod(descriptor, mode)


def _settle(folder: Path) -> None:
    """Ask the disk to keep the new name, where the system lets folders be opened."""
    with contextlib.suppress(OSError):
        descriptor = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)


def _explained(error: OSError, target: Path) -> OSError:
    """Return the error with a sentence that says what was not written, why, and what is there now."""
    full = error.errno in (errno.ENOSPC, errno.EFBIG, getattr(errno, "EDQUOT", errno.ENOSPC))
    if error.errno == errno.ENOENT:
        remedy = f"make folder `{target.parent.name}` first"
    else:
        remedy = "free space or choose another place, then write again" if full else "choose another place"
    kept = "the file that was there is untouched" if target.exists() else "nothing was left behind"
    explained = type(error)(f"`{target.name}` could not be written ({error.strerror or error}): {remedy}; {kept}.")
    explained.errno = error.errno
    return explained
