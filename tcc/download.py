"""Files from the network: absent or whole, resumed where a transfer broke off, from the first mirror that has them."""

from __future__ import annotations

import contextlib
import dataclasses
import hashlib
import json
import os
import re
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Callable, Dict, Iterator, List, Mapping, Optional, Sequence, Tuple
from urllib.parse import unquote

import requests
import urllib3

from tcc.errors import DownloadError, SettingsError
from tcc.progress import Progress, silent

_CHUNK_BYTES = 1 << 16
_MAX_WAIT_SECONDS = 30.0
_MAX_RETRY_AFTER_SECONDS = 60.0
_SECONDS_BETWEEN_REPORTS = 0.5
_HEX_DIGITS = {"sha256": 64, "md5": 32}
_MALFORMED = "cannot be read as an address, or the proxy's cannot; in a password write /, # and @ as %2F, %23 and %40"
_NAMES = {"sha256": "SHA-256", "md5": "MD5"}


@dataclass(frozen=True)
class Fetched:
    """One file that is there, whole.

    Attributes:
      path: the file.
      bytes: its size.
      sha256: of its content, in hexadecimal.
      url: the address that gave it, without user name and password; empty if the file was there already.
      checked: a checksum was expected, and agreed.
      resumed_from: bytes that an earlier try had left, and that were not transferred again.
    """

    path: Path
    bytes: int
    sha256: str
    url: str
    checked: bool
    resumed_from: int


def download_file(
    urls: Sequence[str],
    target: Path,
    *,
    sha256: str = "",
    md5: str = "",
    size: int = 0,
    attempts: int,
    timeout_seconds: float,
    progress: Progress = silent,
    wait: Callable[[float], None] = time.sleep,
    find_fault: Callable[[Path], str] = lambda path: "",
) -> Fetched:
    """Fetch one file from the first of its addresses that gives it; it appears as `target` only when whole and checked.

    Bytes are collected in `<target>.part`, and `<target>.part.json` says which file they are the beginning of. Whatever
    ends the work, also a kill or a full disk, a later call goes on from there, if the file at that address is still the
    same (ETag or Last-Modified) or a checksum will tell. One call at a time per target. A target that is there already is
    taken without asking the network, and never overwritten.

    Args:
      urls: full addresses of the same file, tried in turn (http, https, file); one whose beginning is here is tried first.
      target: where the file goes; its folder is made.
      sha256, md5: expected checksums in hexadecimal; empty: not checked.
      size: expected bytes; 0: whatever the server announces.
      attempts: tries per address for what may pass: broken connections, timeouts, HTTP 429 and 5xx. Anything else sends
        to the next address at once.
      timeout_seconds: without an answer or a byte for so long, a try has failed.
      progress: told a few times a second, and before each wait; may raise tcc.progress.Interrupted to stop the work.
      wait: called with the seconds between two tries: 1, 2, 4 ... 30, or what the server asks for, at most 60.
      find_fault: looks into the whole file before it gets its name and says what is wrong with it, as a page for signing in
        that came instead; empty: nothing. A file with a fault is thrown away and the next address tried.
    Raises: DownloadError if no address gives the file, or if another file is there as `target`; SettingsError for a
      malformed checksum; OSError if the disk is full.
    """
    checksums = {"sha256": sha256.lower(), "md5": md5.lower()}
    known = {name: value for name, value in checksums.items() if value}
    wanted = _Wanted(Path(target), known, size, timeout_seconds, progress, find_fault)
    wanted.check_settings()
    if wanted.target.exists():
        return _existing(wanted)
    wanted.target.parent.mkdir(parents=True, exist_ok=True)
    reasons = []
    with requests.Session() as session:
        for url in _begun_first(urls, wanted):
            try:
                return _from_address(session, url, wanted, attempts, wait)
            except _Failed as failure:
                tries = f" (the last of {attempts} tries)" if isinstance(failure, _MayPass) and attempts > 1 else ""
                reasons.append(f"{_shown(url)}: {failure}{tries}")
    raise DownloadError(_advice(wanted, reasons))


class _Failed(Exception):
    """This address does not give the file; the message is the reason."""


class _MayPass(_Failed):
    """Trying again may help; `seconds` is how long the server asks to wait, if it does."""

    def __init__(self, reason: str, seconds: Optional[float] = None) -> None:
        super().__init__(reason)
        self.seconds = seconds


@dataclass(frozen=True)
class _Wanted:
    """What is asked of every address."""

    target: Path
    checksums: Mapping[str, str]
    size: int
    timeout_seconds: float
    progress: Progress
    find_fault: Callable[[Path], str]

    @property
    def part(self) -> Path:
        return self.target.with_name(f"{self.target.name}.part")

    @property
    def note(self) -> Path:
        return self.target.with_name(f"{self.target.name}.part.json")

    def check_settings(self) -> None:
        for name, value in self.checksums.items():
            digits = _HEX_DIGITS[name]
            if not re.fullmatch(f"[0-9a-f]{{{digits}}}", value):
                raise SettingsError(
                    f"{name} of {self.target.name}: {digits} hexadecimal digits expected, got {value!r}"
                )

    def digests(self, path: Optional[Path] = None) -> Dict[str, Any]:
        """The running checksums by name; over a file's content so far, if one is given."""
        digests: Dict[str, Any] = {"sha256": hashlib.sha256()}
        if "md5" in self.checksums:
            digests["md5"] = hashlib.md5(usedforsecurity=False)
        if path is not None:
            with open(path, "rb") as file:
                for chunk in iter(lambda: file.read(_CHUNK_BYTES), b""):
                    _update(digests, chunk)
        return digests

    def problem(self, count: int, digests: Mapping[str, Any]) -> str:
        """What is wrong with a file of `count` bytes; empty if nothing."""
        if self.size and count != self.size:
            return f"size is {count} bytes, expected {self.size}"
        for name, expected in self.checksums.items():
            found = digests[name].hexdigest()
            if found != expected:
                return f"{_NAMES[name]} is {found}, expected {expected}"
        return ""


@dataclass(frozen=True)
class _Note:
    """What `<target>.part.json` remembers: which file the .part is the beginning of."""

    url: str
    etag: str
    last_modified: str
    total: Optional[int]

    @property
    def validator(self) -> str:
        """What If-Range may carry: RFC 9110 allows no weak ETag there."""
        return self.last_modified if not self.etag or self.etag.startswith("W/") else self.etag


@dataclass(frozen=True)
class _Held:
    """The bytes of a .part that may be gone on with."""

    count: int
    note: _Note


@dataclass(frozen=True)
class _Answer:
    """What an address sends: bytes from `start` on.

    Attributes:
      total: bytes of the whole file; None if not announced.
      has_end: a cut is told from the end, also where no total is announced.
    """

    start: int
    note: _Note
    has_end: bool
    chunks: Iterator[bytes]

    @property
    def total(self) -> Optional[int]:
        return self.note.total


def _existing(wanted: _Wanted) -> Fetched:
    digests = wanted.digests(wanted.target)
    count = wanted.target.stat().st_size
    problem = wanted.problem(count, digests) or wanted.find_fault(wanted.target)
    if problem:
        raise DownloadError(
            f"{wanted.target}: is there already, but {problem}; it is not overwritten: delete it or move it away to "
            "have it fetched again, or correct what is expected"
        )
    _discard_part(wanted)
    return Fetched(wanted.target, count, digests["sha256"].hexdigest(), "", bool(wanted.checksums), 0)


def _begun_first(urls: Sequence[str], wanted: _Wanted) -> List[str]:
    note = _read_note(wanted)
    return sorted(urls, key=lambda url: note is None or note.url != _shown(url))


def _from_address(
    session: requests.Session, url: str, wanted: _Wanted, attempts: int, wait: Callable[[float], None]
) -> Fetched:
    for attempt in range(1, attempts):
        try:
            return _try_once(session, url, wanted)
        except _MayPass as failure:
            grown = min(2.0 ** (attempt - 1), _MAX_WAIT_SECONDS)
            seconds = grown if failure.seconds is None else failure.seconds
            wanted.progress(_fraction(wanted), f"{wanted.target.name}: {failure}; next try in {seconds:g} s")
            wait(seconds)
    return _try_once(session, url, wanted)


def _try_once(session: requests.Session, url: str, wanted: _Wanted) -> Fetched:
    held = _held_part(url, wanted)
    # Read before asking: a server does not wait for ever while gigabytes are read.
    digests = wanted.digests(wanted.part if held else None)
    if held and held.count == held.note.total:
        return _publish(url, wanted, digests, held.count, held.count)
    with contextlib.ExitStack() as stack:
        is_file = url.lower().startswith("file:")
        answer = _open_file(url, wanted, held) if is_file else _open_http(stack, session, url, wanted, held)
        _check_length(answer, wanted)
        if not answer.start:
            digests = wanted.digests()
            _begin_part(wanted, answer.note)
        count = _pour(answer, digests, wanted)
    return _publish(url, wanted, digests, count, answer.start)


def _check_length(answer: _Answer, wanted: _Wanted) -> None:
    if answer.total is not None and wanted.size and answer.total != wanted.size:
        if answer.start:
            _discard_part(wanted)
        raise _Failed(f"size is {answer.total} bytes, expected {wanted.size}")
    if answer.total is None and not (answer.has_end or wanted.size or wanted.checksums):
        raise _Failed("tells no length, so a cut transfer would look whole; give a size or a checksum")


def _pour(answer: _Answer, digests: Mapping[str, Any], wanted: _Wanted) -> int:
    """Append what comes to the .part; returns the bytes that it holds then."""
    total = answer.total
    if total is None and wanted.size and not answer.has_end:
        total = wanted.size
    done = answer.start
    report = _reporter(wanted, done, total)
    with open(wanted.part, "ab") as file:
        for chunk in answer.chunks:
            file.write(chunk)
            _update(digests, chunk)
            done += len(chunk)
            report(done)
    if total is not None and done != total:
        raise _MayPass(f"{done} of {total} bytes came")
    return done


def _publish(url: str, wanted: _Wanted, digests: Mapping[str, Any], count: int, resumed_from: int) -> Fetched:
    """Give a .part that is all there its name, once it is seen to be right."""
    problem = wanted.problem(count, digests) or wanted.find_fault(wanted.part)
    if problem:
        _discard_part(wanted)
        # After a resume the fault may lie in the bytes of an earlier try; without them it may come right.
        raise _MayPass(problem) if resumed_from else _Failed(problem)
    _sync(wanted.part)
    os.replace(wanted.part, wanted.target)
    _discard_part(wanted)
    _sync(wanted.target.parent)
    found = digests["sha256"].hexdigest()
    return Fetched(wanted.target, count, found, _shown(url), bool(wanted.checksums), resumed_from)


def _held_part(url: str, wanted: _Wanted) -> Optional[_Held]:
    """The .part, if it is the beginning of the file at this address as far as can be told."""
    note, count = _read_note(wanted), _size_of(wanted.part)
    if note is None or note.url != _shown(url) or not count:
        return None
    if not note.validator and not wanted.checksums:
        return None
    if note.total is not None and count > note.total:
        return None
    return _Held(count, note)


def _begin_part(wanted: _Wanted, note: _Note) -> None:
    """An empty .part. The note comes between the old bytes and the new; torn by a kill, it cannot be read as a note."""
    _discard_part(wanted)
    wanted.note.write_text(json.dumps(dataclasses.asdict(note)), encoding="utf-8")
    wanted.part.touch()


def _read_note(wanted: _Wanted) -> Optional[_Note]:
    try:
        return _Note(**json.loads(wanted.note.read_text(encoding="utf-8")))
    except (OSError, ValueError, TypeError):
        return None


def _discard_part(wanted: _Wanted) -> None:
    for path in (wanted.part, wanted.note):
        path.unlink(missing_ok=True)


def _open_http(
    stack: contextlib.ExitStack, session: requests.Session, url: str, wanted: _Wanted, held: Optional[_Held]
) -> _Answer:
    response = stack.enter_context(_get(session, url, wanted, held))
    if held and response.status_code in (206, 416):
        note = _continued(response, held)
        if note is None:
            return _open_http(stack, session, url, wanted, None)
        start = held.count
    else:
        _check_status(response)
        note, start = _note_of(response, url), 0
    _check_encoding(response, wanted)
    return _Answer(start, note, note.total is not None or _is_chunked(response), _received(response))


def _get(session: requests.Session, url: str, wanted: _Wanted, held: Optional[_Held]) -> requests.Response:
    headers = {"Accept-Encoding": "identity"}  # lengths and ranges are to be those of the file itself
    if held:
        headers["Range"] = f"bytes={held.count}-"
        if held.note.validator:
            headers["If-Range"] = held.note.validator
    try:
        return session.get(url, headers=headers, stream=True, timeout=wanted.timeout_seconds)
    except requests.RequestException as error:
        # The ValueErrors among them, and redirects in a circle, are a matter of the address, not of the moment.
        lasting = isinstance(error, (ValueError, requests.TooManyRedirects))
        # What cannot be read as an address is not repeated: a password may be in it.
        reason = _MALFORMED if isinstance(error, requests.exceptions.InvalidURL) else _reason(error)
        raise (_Failed if lasting else _MayPass)(reason) from error


def _note_of(response: requests.Response, url: str) -> _Note:
    length = response.headers.get("Content-Length", "")
    total = int(length) if length.isdecimal() else None
    return _Note(_shown(url), *_validators(response), total)


def _continued(response: requests.Response, held: _Held) -> Optional[_Note]:
    """The note of the file that a partial answer goes on with; None if it does not go on where the .part ends."""
    found = re.fullmatch(r"bytes (\d+)-\d+/(\d+)", response.headers.get("Content-Range", "").strip())
    if not found or int(found[1]) != held.count or held.note.total not in (None, int(found[2])):
        return None
    # Some servers ignore If-Range.
    before = (held.note.etag, held.note.last_modified)
    same = all(old == new for old, new in zip(before, _validators(response)) if old and new)
    return dataclasses.replace(held.note, total=int(found[2])) if same else None


def _validators(response: requests.Response) -> Tuple[str, str]:
    return response.headers.get("ETag", ""), response.headers.get("Last-Modified", "")


def _is_chunked(response: requests.Response) -> bool:
    return bool(response.headers.get("Transfer-Encoding", "").lower() == "chunked")


def _check_status(response: requests.Response) -> None:
    status = f"HTTP {response.status_code} {response.reason or ''}".rstrip()
    if response.status_code == 429 or response.status_code >= 500:
        asked = response.headers.get("Retry-After", "").strip()
        raise _MayPass(status, min(float(asked), _MAX_RETRY_AFTER_SECONDS) if asked.isdecimal() else None)
    if response.status_code != 200:
        raise _Failed(status)


def _check_encoding(response: requests.Response, wanted: _Wanted) -> None:
    encoding = response.headers.get("Content-Encoding", "identity")
    if encoding.lower() != "identity" and not wanted.checksums:
        raise _Failed(
            f"sends the file in another form (Content-Encoding: {encoding}); give a checksum to take it as sent"
        )


def _received(response: requests.Response) -> Iterator[bytes]:
    """The bytes as sent, never decoded: they are counted and hashed as the file's own."""
    try:
        yield from response.raw.stream(_CHUNK_BYTES, decode_content=False)
    except (urllib3.exceptions.HTTPError, OSError) as error:
        raise _MayPass(_reason(error)) from error


def _open_file(url: str, wanted: _Wanted, held: Optional[_Held]) -> _Answer:
    path = Path(unquote(re.sub(r"^file:(//(localhost)?(?=/))?", "", url, flags=re.IGNORECASE)))
    if not (path.is_absolute() and path.is_file() and os.access(path, os.R_OK)):
        raise _Failed(f"{path} is no file that can be read; the form is file:///folder/file")
    status = path.stat()
    note = _Note(_shown(url), f"{status.st_mtime_ns}-{status.st_size}", "", status.st_size)
    start = held.count if held and held.note == note else 0
    return _Answer(start, note, True, _read_from(path, start))


def _read_from(path: Path, start: int) -> Iterator[bytes]:
    try:
        with open(path, "rb") as file:
            file.seek(start)
            yield from iter(lambda: file.read(_CHUNK_BYTES), b"")
    except OSError as error:
        raise _MayPass(_reason(error)) from error


def _reporter(wanted: _Wanted, start: int, total: Optional[int]) -> Callable[[int], None]:
    """Tells progress the bytes there are, now and then and at the end; the speed is that of this try."""
    started = time.monotonic()
    next_time = started

    def report(done: int) -> None:
        nonlocal next_time
        now = time.monotonic()
        if now >= next_time or done == total:
            next_time = now + _SECONDS_BETWEEN_REPORTS
            whole = f" of {total / 1e6:.1f}" if total else ""
            speed = (done - start) / max(now - started, 1e-3) / 1e6
            status = f"{wanted.target.name}: {done / 1e6:.1f}{whole} MB, {speed:.1f} MB/s"
            wanted.progress(done / total if total else 0.0, status)

    return report


def _fraction(wanted: _Wanted) -> float:
    """How much of the file is here."""
    note = _read_note(wanted)
    total = note.total if note else None
    return _size_of(wanted.part) / total if total else 0.0


def _advice(wanted: _Wanted, reasons: Sequence[str]) -> str:
    name, count = wanted.target.name, _size_of(wanted.part)
    lines = [f"{name}: no address gave the file as it should be", *(f"  {reason}" for reason in reasons)]
    if count:
        lines.append(f"  {count} bytes are kept in {wanted.part}; the next run goes on from there")
    lines.append(
        "Check the addresses, the network and the proxy (http_proxy, https_proxy, no_proxy) and run again; or download the "
        f"file by hand and put it at {wanted.target}; or add another address, which may be a folder of yours (file:///...)"
    )
    return "\n".join(lines)


def _update(digests: Mapping[str, Any], chunk: bytes) -> None:
    for digest in digests.values():
        digest.update(chunk)


def _size_of(path: Path) -> int:
    try:
        return path.stat().st_size
    except FileNotFoundError:
        return 0


def _sync(path: Path) -> None:
    """Have a file, or the names in a folder, on disk."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _shown(url: str) -> str:
    """The address without user name and password: it gets into messages and manifests."""
    return re.sub(r"(?<=://)[^/?#]*@", "", url, count=1)


def _reason(error: BaseException) -> str:
    """The innermost of what requests and urllib3 wrap around each other."""
    if isinstance(error, OSError) and error.strerror:
        return f"{type(error).__name__}: {error.strerror}"
    inner = error.args[0] if error.args else error
    return _shown(f"{type(error).__name__}: {getattr(inner, 'reason', inner)}")
