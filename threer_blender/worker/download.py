"""[R] `fetch` downloads one file, whole and checked, or not at all. Stdlib only, so it runs in any Python.

The part that has arrived lies as NAME.partial in a folder of ours beside the target. NAME.partial.json says of which
version of the file it is. So the next call goes on where a broken one stopped (RFC 9110, range requests with If-Range).
The whole file is read from the disk again, and gets its name once its size and hash are right. Only one process at a
time fetches a file: the others wait, and then find it there.
"""

from __future__ import annotations

import errno
import http.client
import json
import os
import re
import shutil
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.error import HTTPError, URLError
from urllib.parse import urlsplit
from urllib.request import HTTPRedirectHandler, Request, build_opener

from .. import __version__
from ..files import digest, removal, whole_file
from ..files.lock import waiting
from ..host import store
from ..model.errors import UserError, quoted

BLOCK = 1 << 18  # bytes that are read at once
SCHEMES = ("http", "https")
WAIT = 0.2  # seconds between two checks whether another process has fetched the file
TIMEOUT = 30.0  # seconds without a byte after which a connection counts as broken
# A call gives up after more than PATIENCE breaks in a row without progress. Progress is ENOUGH bytes more than ever
# before.
PATIENCE = 4
ENOUGH = 1 << 16
MOST_CONNECTIONS = 200  # in one call, however much arrives by each
LARGEST = 1 << 35  # the most bytes of a file whose size is not known
SPARE = 1 << 28  # bytes of the disk that are left free
OK, PARTIAL_CONTENT, UNAUTHORISED, FORBIDDEN, UNSATISFIABLE, TOO_MANY = 200, 206, 401, 403, 416, 429

Progress = Callable[[int, int], None]


@dataclass(frozen=True)
class RemoteFile:
    """The file to fetch. `size` is in bytes, 0 where it is not known; `sha256` is "" where it is not known.

    `token` is sent to the host of `url` only. `terms_url` is the page where a user whom the host refuses can ask for
    access.
    """

    url: str
    size: int = 0
    sha256: str = ""
    token: str = ""
    terms_url: str = ""


class _Broken(Exception):
    """The connection ended before the file did."""


def fetch(file: RemoteFile, target: Path, progress: Progress, pause: float = 1.0, ours: bool = False) -> str:
    """Puts the file at `target` and returns its sha256.

    `progress(arrived, total)` gets bytes, with a total of 0 while it is not known; it may raise to stop. `pause` is the
    number of seconds before the first retry; each further retry in a row waits twice as long. A different file at
    `target` is replaced where `ours` is true, else it is an error. Raises UserError where the file cannot be fetched,
    is not the published one, or cannot be written.
    """
    try:
        partial = _Partial(target)
        with waiting(partial.lock, lambda: _wait(progress, file.size)):
            if os.path.lexists(target):
                if (digest := _wanted_already(file, target)) is not None:
                    return digest
                if not ours:
                    raise UserError(
                        f"{quoted(target)} is in the way, and is not the published file; move it away, or delete it."
                    )
            _arrive(file, partial, progress, pause)
            return partial.finish(file)
    except OSError as error:
        raise UserError(f"{quoted(target)} cannot be written: {error.strerror or error}.") from error


def _wait(progress: Progress, size: int) -> None:
    """Waits for WAIT seconds while another process fetches the same file."""
    progress(0, size)
    time.sleep(WAIT)


def _wanted_already(file: RemoteFile, target: Path) -> str | None:
    """The sha256 of the target where it is the wanted file already, as after another process; else None."""
    if not target.is_file() or file.size not in (0, target.stat().st_size):
        return None
    actual = digest.sha256(target)
    return actual if file.sha256 in ("", actual) else None


def _arrive(file: RemoteFile, partial: _Partial, progress: Progress, pause: float) -> None:
    """Connects until the whole file has arrived. Raises UserError after too many breaks without progress."""
    breaks, most = 0, partial.size()  # breaks in a row without progress; the most bytes that have arrived
    for _ in range(MOST_CONNECTIONS):
        try:
            _go_on(file, partial, progress)
            return
        except (_Broken, OSError, http.client.HTTPException, ValueError) as error:  # ValueError: a bad header
            if isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EDQUOT):
                raise
            reason: Exception = error
            breaks = 1 if partial.size() >= most + ENOUGH else breaks + 1
            most = max(most, partial.size())
            if breaks > PATIENCE:
                break
            time.sleep(pause * 2 ** (breaks - 1))
    raise UserError(_broken_off(partial, reason)) from reason


class _Partial:
    """The part of a file that has arrived, and the note about the version of the file that it belongs to."""

    def __init__(self, target: Path) -> None:
        self.target = target
        folder = removal.claim(target.parent / store.NOTES)
        self.path = folder / f"{target.name}{store.PARTIAL}"
        self.lock = folder / f"{target.name}.lock"
        self._note = folder / f"{target.name}{store.PARTIAL_NOTE}"

    def size(self) -> int:
        """The bytes that have arrived."""
        return self.path.stat().st_size if self.path.is_file() else 0

    def validator(self, url: str) -> str:
        """The ETag of the version to which the part from `url` belongs; "" where none is known."""
        try:
            noted = json.loads(self._note.read_text("utf-8"))
            return str(noted["etag"]) if noted["url"] == url else ""
        except (FileNotFoundError, ValueError, KeyError, TypeError):
            return ""

    def begin(self, url: str, etag: str) -> None:
        """Deletes the part, since the file now arrives from its start, and notes the version.

        A weak ETag (W/) is not noted: it does not promise that the bytes are the same.
        """
        removal.remove_made_file(self.path)
        whole_file.write_text(self._note, json.dumps({"url": url, "etag": "" if etag.startswith("W/") else etag}))

    def drop(self) -> None:
        """Deletes the part and its note."""
        removal.remove_made_file(self.path)
        removal.remove_made_file(self._note)

    def finish(self, file: RemoteFile) -> str:
        """Checks the file on the disk and gives it its name. Returns its sha256.

        Raises UserError where its size or hash is not the published one; it is then deleted.
        """
        size, actual = self.size(), digest.sha256(self.path)
        if not size:
            self.drop()
            raise UserError(f"{_host(file.url)} sent nothing for {self.target.name}. Try again later.")
        if file.size not in (0, size) or file.sha256 not in ("", actual):
            what = "hash" if file.size in (0, size) else "size"
            self.drop()
            raise UserError(
                f"What {_host(file.url)} sent is not the published {self.target.name} (its {what} differs); it was "
                "deleted. Try again later."
            )
        whole_file.put(self.path, self.target)
        removal.remove_made_file(self._note)
        return actual


def _go_on(file: RemoteFile, partial: _Partial, progress: Progress) -> None:
    """Makes one connection, asks for the missing bytes and appends them.

    Raises _Broken or OSError where the connection ends early, and UserError where a retry is of no use.
    """
    have = partial.size()
    if file.size and have == file.size:
        return
    # Without a hash or an ETag, parts of two versions could be joined unnoticed.
    provable = file.sha256 or partial.validator(file.url)
    if have and (not provable or (file.size and have > file.size)):
        partial.drop()
        have = 0
    with _ask(file, partial, have) as response:
        if response.status == UNSATISFIABLE:  # either nothing is missing, or the part is of another version
            if have and _total_of_range(response) == have:
                return
            partial.drop()
            raise _Broken("the part that was there did not fit")
        encoding = response.headers.get("Content-Encoding", "identity").strip().lower()
        if encoding not in ("", "identity"):  # we asked for no compression
            raise UserError(f"{_host(file.url)} sends {partial.target.name} packed ({encoding[:20]}); try again later.")
        if response.status not in (OK, PARTIAL_CONTENT):
            raise _Broken(f"{_host(file.url)} answered {response.status}")
        if response.status == OK or _start_of_range(response) != have:  # this is not the range that we asked for
            if response.status == PARTIAL_CONTENT:
                partial.drop()
                raise _Broken("another part than asked for was sent")
            have = 0
            partial.begin(file.url, response.headers.get("ETag", ""))
        total = _checked_total(file, partial, response, have)
        _append(partial, response, have, total, progress)


def _append(partial: _Partial, response: Any, have: int, total: int, progress: Progress) -> None:
    """Appends the response to the part, which has `have` bytes; `total` is 0 where it is not known.

    Raises _Broken where too much or too little comes, and OSError where the disk is full.
    """
    progress(have, total)
    with partial.path.open("ab") as out:
        while block := response.read(BLOCK):
            if have + len(block) > (total or LARGEST):
                raise _Broken("more was sent than announced")
            if not total and shutil.disk_usage(partial.path.parent).free < SPARE:
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
            out.write(block)
            have += len(block)
            progress(have, total)
        out.flush()
        os.fsync(out.fileno())
    if total and have < total:
        raise _Broken("the connection was closed")


def _checked_total(file: RemoteFile, partial: _Partial, response: Any, have: int) -> int:
    """The size of the whole file, from the server or else from `file`; 0 where neither says.

    Raises UserError where the server's size is not the published one, or where the disk has too little room.
    """
    if response.status == PARTIAL_CONTENT:
        total = _total_of_range(response)
    else:
        total = _size(response.headers.get("Content-Length", ""))
    if file.size and total and total != file.size:
        partial.drop()
        raise UserError(
            f"{_host(file.url)} offers {partial.target.name} with {total:,} bytes, but the published file has "
            f"{file.size:,}; it was not downloaded. Try again later."
        )
    total = total or file.size
    free = shutil.disk_usage(partial.target.parent).free
    if total - have + SPARE > free:
        raise UserError(
            f"{partial.target.name} needs {(total - have) / 1e9:.1f} GB more on the disk of "
            f"{quoted(partial.target.parent)}, which has {free / 1e9:.1f} GB; make room and try again."
        )
    return total


def _ask(file: RemoteFile, partial: _Partial, have: int) -> Any:
    """The server's response to a request for all bytes from `have` on.

    Raises _Broken where a retry may help, and UserError where the server refuses.
    """
    if urlsplit(file.url).scheme not in SCHEMES:
        raise UserError(f"{partial.target.name} has no address on the web: {quoted(file.url)}.")
    headers = {"User-Agent": f"threer_blender/{__version__}", "Accept-Encoding": "identity"}
    if have:
        headers["Range"] = f"bytes={have}-"
        if etag := partial.validator(file.url):
            headers["If-Range"] = etag
    if file.token:
        headers["Authorization"] = f"Bearer {file.token}"
    try:
        return build_opener(SecureRedirects).open(Request(file.url, headers=headers), timeout=TIMEOUT)
    except HTTPError as error:
        if error.code == UNSATISFIABLE:
            return error
        with error:
            if error.code == TOO_MANY or error.code >= 500:
                raise _Broken(f"{_host(file.url)} answered {error.code}") from error
            raise UserError(_refused(file, partial.target.name, error.code)) from error
    except URLError as error:
        raise _Broken(f"{_host(file.url)} cannot be reached ({error.reason})") from error


class SecureRedirects(HTTPRedirectHandler):
    """Follows redirects, but sends the token to no other host, and never goes from https to http."""

    def redirect_request(self, req: Request, fp: Any, code: int, msg: str, headers: Any, newurl: str) -> Request | None:
        old, new = urlsplit(req.full_url), urlsplit(newurl)
        if new.scheme not in SCHEMES or (old.scheme == "https" and new.scheme != "https"):
            raise UserError(f"{old.hostname} sends on to an address that is not secure; nothing was downloaded.")
        made = super().redirect_request(req, fp, code, msg, headers, newurl)
        if made is not None and (old.scheme, old.netloc) != (new.scheme, new.netloc):
            made.remove_header("Authorization")
        return made


def _refused(file: RemoteFile, name: str, code: int) -> str:
    """The sentence for the user about a refusal with this HTTP status."""
    if code not in (UNAUTHORISED, FORBIDDEN):
        return f"{name} is not at its address any more ({file.url} answered {code}); use a file that you have."
    if not file.terms_url:
        return f"{_host(file.url)} refused to send {name} ({code}); try again later."
    if file.token:
        return f"{_host(file.url)} refused your token ({code}): ask for access at {file.terms_url} with its account."
    return f"{name} needs your own token ({code}): ask for access at {file.terms_url}, then enter a token."


def _broken_off(partial: _Partial, error: Exception) -> str:
    """The sentence for the user about a download that broke off."""
    arrived = partial.size()
    rest = f" {arrived / 1e6:,.0f} MB have arrived; the next try goes on from there." if arrived else ""
    return f"Downloading {partial.target.name} broke off ({error}); check the connection and try again.{rest}"


def _host(url: str) -> str:
    return urlsplit(url).hostname or url


def _size(text: str) -> int:
    """The size in bytes in a header's text; 0 where it holds none."""
    return int(text) if text.isascii() and text.isdecimal() and len(text) < 16 else 0


def _start_of_range(response: Any) -> int | None:
    """The first byte of the part that the server sends (Content-Range), counted from 0; None where it does not say."""
    match = re.match(r"bytes (\d{1,15})-", response.headers.get("Content-Range", ""), re.ASCII)
    return int(match[1]) if match else None


def _total_of_range(response: Any) -> int:
    """The size of the whole file in bytes, as Content-Range says; 0 where it does not."""
    match = re.search(r"/(\d{1,15})$", response.headers.get("Content-Range", ""), re.ASCII)
    return int(match[1]) if match else 0
