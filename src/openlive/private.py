"""What nobody but this user may read: files with what was said and with keys, and passwords in addresses."""

from __future__ import annotations

import os
import re
import stat
from contextlib import suppress
from pathlib import Path

MODE = 0o600


class PrivacyError(Exception):
    """A file cannot be kept from others; the message says which and why."""

    plain = property(str)
    """For logs: the message quotes nothing that was said."""


def make_private(path: Path) -> None:
    """Makes an empty file that only this user may read and write, or one that is there so. Raises `PrivacyError` for
    one of another user, a link and what is no file, and `OSError`.

    A file that is there is not opened: a process that closes a file loses all its locks on it, those of SQLite too.
    """
    with suppress(FileExistsError):
        os.close(os.open(path, os.O_CREAT | os.O_EXCL | os.O_WRONLY, MODE))
    restrict_permissions(path)


def restrict_permissions(path: Path) -> None:
    """The same for a file that need not be there."""
    try:
        status = path.lstat()
    except FileNotFoundError:
        return
    if stat.S_ISLNK(status.st_mode):
        raise PrivacyError(f"{path} is a link; name the file itself.")
    if not stat.S_ISREG(status.st_mode):
        raise PrivacyError(f"{path} is no file.")
    if hasattr(os, "getuid") and status.st_uid != os.getuid():
        raise PrivacyError(f"{path} belongs to another user, who could read it.")
    if stat.S_IMODE(status.st_mode) & 0o077:
        path.chmod(MODE)


def readable_by_others(path: Path) -> bool:
    """Whether other users of this machine may read a file."""
    try:
        return os.name == "posix" and bool(path.stat().st_mode & 0o044)
    except OSError:
        return False


_SECRETS = re.compile(r"(?P<scheme>\b[a-zA-Z][\w+.-]*://)(?:[^\s/?#]*@)?(?P<address>[^\s?]*)(?P<query>\?\S*)?")


def without_secrets(text: str) -> str:
    """A text with the addresses in it as they may be shown: no user, no password and no query, where keys stand."""
    if "://" not in text:
        return text
    return _SECRETS.sub(lambda found: found["scheme"] + found["address"] + ("?…" if found["query"] else ""), text)
