"""Files that are written whole or not at all.

Whatever the package writes goes through :func:`write`, in four steps:

1. beside the target a folder ``.msem-draft-...`` is made, with a file ``lock`` that is locked as
   long as its process lives: the system frees the lock even of a process that was killed;
2. the contents go to ``new`` in it, and from there to the disk (fsync);
3. ``new`` takes the place of the target. A file does so in one step. A folder cannot: what stands
   there moves to ``old`` first;
4. the draft is removed.

Invariants
----------
- At every moment the old or the new contents are whole, at the target or, between the two moves of
  step 3, in ``old``.
- A draft that nobody locks is what a killed process left. The next :func:`write` into the same
  folder, or the next :func:`recover`, moves ``old`` back if its place is empty, and removes the
  rest. A folder that holds anything but ``lock``, ``new`` and ``old`` is not a draft of ours.
"""

from __future__ import annotations

import contextlib
import errno
import os
import re
import secrets
import shutil
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path

from bayes_msem.errors import FileError

__all__ = ["as_path", "check_free", "check_suffix", "recover", "write"]

Contents = Sequence[bytes | memoryview] | Mapping[str, bytes | memoryview]

_PREFIX = ".msem-draft-"
_DRAFT = re.compile(re.escape(_PREFIX) + r"[0-9a-f]{16}")
_LOCK, _NEW, _OLD = "lock", "new", "old"
_BLOCK = 1 << 24  # bytes per call: some systems refuse to write more than 2 GiB at once

# Paths ------------------------------------------------------------------------------------------


def as_path(path: object) -> Path:
    """Return ``path`` as a path that the system can look up.

    Parameters
    ----------
    path
        What the user gave.

    Raises
    ------
    FileError
        It is not text or a path, is empty, or no file can have this name.
    """
    try:
        text = os.fspath(path)  # type: ignore[call-overload]
    except TypeError:
        text = None
    if not isinstance(text, str):
        raise FileError(
            f"a path must be text or a pathlib.Path, got {type(path).__name__}; "
            "pass for example 'fit.nc'"
        )
    if not text:
        raise FileError("the path is empty; pass for example 'fit.nc'")
    try:
        os.lstat(text)
    except (FileNotFoundError, NotADirectoryError):
        pass  # it is for others to say whether something must be there
    except OSError as error:  # too long, not permitted, a broken disk
        raise FileError(f"cannot use the path '{_shown(text)}': {error.strerror}") from error
    except ValueError as error:  # NUL, or characters that file names cannot have
        raise FileError(
            f"cannot use the path {_shown(ascii(text))}: {error}; leave that character out"
        ) from error
    return Path(text)


def check_suffix(path: Path, allowed: Sequence[str], otherwise: str) -> str:
    """Return the suffix of ``path`` in small letters; raise FileError unless it is allowed.

    Parameters
    ----------
    path
        Where to write.
    allowed
        Suffixes, with their dots.
    otherwise
        What to do for other formats, one sentence.
    """
    suffix = path.suffix.lower()
    if suffix in allowed:
        return suffix
    ending = f"ends in '{path.suffix}'" if path.suffix else "has no suffix"
    raise FileError(
        f"'{_shown(str(path))}' {ending}, and the suffix decides the format; use "
        f"{' or '.join(repr(a) for a in allowed)}. {otherwise}"
    )


def check_free(path: Path, overwrite: bool) -> None:
    """Raise FileError if ``path`` cannot be written to, as far as can be told before writing.

    Parameters
    ----------
    path
        Where to write.
    overwrite
        Whether to replace what stands there.
    """
    recover(path)
    target = _target(path)
    if os.path.lexists(target):
        if not overwrite:
            raise FileError(f"'{path}' exists; choose another path, or pass overwrite=True")
        if not target.is_dir() and not target.is_file():
            raise FileError(f"cannot write '{path}': it is neither a file nor a folder")
    elif not target.parent.is_dir():
        raise FileError(
            f"cannot write '{path}': there is no folder '{target.parent}'; make it first"
        )


def _shown(text: str) -> str:
    """Shorten what would fill the screen."""
    return text if len(text) <= 120 else f"{text[:80]}...{text[-30:]}"


def _target(path: Path) -> Path:
    """Follow links: what they point at is replaced, and they stay."""
    return Path(os.path.realpath(path))


# Writing ----------------------------------------------------------------------------------------


def write(
    path: Path,
    contents: Contents,
    *,
    overwrite: bool,
    check_folder: Callable[[Path], None] | None = None,
) -> None:
    """Write a file or a folder; on any failure what stood there before stands there still.

    Parameters
    ----------
    path
        Where to write.
    contents
        Blocks of one file in their order, or the files of a folder: relative path -> content.
    overwrite
        Whether to replace what stands there.
    check_folder
        Called with a folder that stands at ``path`` and would be replaced by a folder; raises if
        it must not be. None: folders are never replaced.

    Raises
    ------
    FileError
        Something stands there, or the place cannot be written to.
    """
    check_free(path, overwrite)
    target = _target(path)
    if target.is_dir():
        if check_folder is None or not isinstance(contents, Mapping):
            raise FileError(f"cannot write '{path}': it is a folder; choose another path")
        check_folder(target)
    try:
        with _draft(target) as draft:
            new = draft / _NEW
            if isinstance(contents, Mapping):
                _fill_folder(new, contents)
            else:
                _fill_file(new, contents)
            if os.path.lexists(target) and target.is_dir() == new.is_dir():
                shutil.copymode(target, new)
            _replace(target, new, draft / _OLD)
    except OSError as error:
        raise FileError(
            f"cannot write '{path}': {error.strerror or error}; nothing was changed"
        ) from error
    with contextlib.suppress(OSError):  # it is there, and if power fails now the old one is
        _sync_folder(target.parent)


def recover(path: Path) -> None:
    """Clear away what killed processes left beside ``path``, and put back what they moved.

    Parameters
    ----------
    path
        A file or folder that is about to be read or written.
    """
    try:
        with os.scandir(_target(path).parent) as entries:
            found = [Path(entry.path) for entry in entries if _DRAFT.fullmatch(entry.name)]
    except OSError:
        return  # there is nothing to be found, or nothing to be seen
    for draft in found:
        # drafts of others, and places that may only be read, stay as they are
        with contextlib.suppress(OSError, FileError):
            if not set(os.listdir(draft)) - {_LOCK, _NEW, _OLD}:
                _clear(draft)


# Drafts -----------------------------------------------------------------------------------------


@contextlib.contextmanager
def _draft(target: Path) -> Iterator[Path]:
    """Make a draft beside ``target``, and take it away in the end."""
    draft, lock = _start(target.parent)
    try:
        os.write(lock, os.fsencode(target.name))
        os.fsync(lock)
        yield draft
    finally:
        try:
            _settle(draft)
        except KeyboardInterrupt:  # what has begun must end all the same
            _settle(draft)
            raise
        finally:
            _unlock(draft, lock)


def _start(folder: Path) -> tuple[Path, int]:
    """Make a draft and lock it."""
    while True:
        draft = folder / f"{_PREFIX}{secrets.token_hex(8)}"
        try:
            draft.mkdir()
            lock = os.open(draft / _LOCK, os.O_RDWR | os.O_CREAT, 0o600)
            _lock(lock, wait=True)
            if (draft / _LOCK).exists():
                return draft, lock
            os.close(lock)
        except FileNotFoundError:
            if not folder.is_dir():
                raise
        except BaseException:
            shutil.rmtree(draft, ignore_errors=True)
            raise
        # another process took it for a left one, since it had no lock yet: once more


def _clear(draft: Path) -> None:
    """Settle a draft unless its process lives."""
    lock = os.open(draft / _LOCK, os.O_RDWR | os.O_CREAT, 0o600)
    try:
        if _lock(lock, wait=False):
            _settle(draft)
    finally:
        _unlock(draft, lock)


def _settle(draft: Path) -> None:
    """Put back what was moved away unless something new took its place; remove the draft."""
    old = draft / _OLD
    if os.path.lexists(old):
        target = draft.parent / Path(os.fsdecode((draft / _LOCK).read_bytes())).name
        if not os.path.lexists(target):
            try:
                old.rename(target)
            except OSError as error:
                raise FileError(
                    f"cannot put '{target}' back after a failure ({error.strerror}); it is whole, "
                    f"and lies at '{old}'"
                ) from error
    # While it is locked, so that nobody else begins; what stays now is left to the next writer.
    # The lock, which holds the name, goes last.
    shutil.rmtree(old, ignore_errors=True)
    shutil.rmtree(draft, ignore_errors=True)


def _lock(descriptor: int, *, wait: bool) -> bool:
    """Lock an open file until it is closed; False if that is impossible."""
    try:
        if sys.platform == "win32":
            import msvcrt

            os.lseek(descriptor, 1 << 20, os.SEEK_SET)  # beyond the name, which others may read
            msvcrt.locking(descriptor, msvcrt.LK_LOCK if wait else msvcrt.LK_NBLCK, 1)
            os.lseek(descriptor, 0, os.SEEK_SET)
        else:
            import fcntl

            fcntl.flock(descriptor, fcntl.LOCK_EX | (0 if wait else fcntl.LOCK_NB))
    except OSError:  # someone holds it, or this file system has no locks: then nothing is cleared
        return False
    return True


def _unlock(draft: Path, lock: int) -> None:
    os.close(lock)
    if sys.platform == "win32":  # where _settle cannot remove it, since it was open
        with contextlib.suppress(OSError):
            if os.listdir(draft) == [_LOCK]:
                (draft / _LOCK).unlink()
                draft.rmdir()


# Contents ---------------------------------------------------------------------------------------


def _fill_file(path: Path, blocks: Sequence[bytes | memoryview]) -> None:
    with path.open("xb", buffering=0) as file:
        for block in blocks:
            rest = memoryview(block).cast("B")
            while rest:
                rest = rest[file.write(rest[:_BLOCK]) :]
        os.fsync(file.fileno())


def _fill_folder(path: Path, files: Mapping[str, bytes | memoryview]) -> None:
    path.mkdir()
    folders = {path}
    for name, content in files.items():
        place = path.joinpath(*name.split("/"))
        place.parent.mkdir(parents=True, exist_ok=True)
        folders |= {place.parent, *(p for p in place.parents if path in p.parents)}
        _fill_file(place, [content])
    for folder in folders:
        _sync_folder(folder)


def _replace(target: Path, new: Path, old: Path) -> None:
    if new.is_dir() and os.path.lexists(target):
        target.rename(old)
    new.replace(target)


def _sync_folder(path: Path) -> None:
    """Bring the names in a folder to the disk, where the system can be asked to."""
    if sys.platform == "win32":
        return
    try:
        descriptor = os.open(path, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
    except OSError as error:  # folders one may write to but not read, and file systems without it
        if error.errno not in (errno.EACCES, errno.EINVAL, errno.ENOTSUP):
            raise
