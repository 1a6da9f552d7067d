"""A file from the network is absent or whole, whatever the network, the server or a kill does."""

from __future__ import annotations

import hashlib
import json
import os
import random
import re
import resource
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tcc.download import Fetched, download_file
from tcc.errors import DownloadError, SettingsError
from tcc.progress import Interrupted
from tests.tcc.download_server import FileServer, Plan

ROOT = Path(__file__).resolve().parents[2]
CONTENT = random.Random(0).getrandbits(8 * 300_000).to_bytes(300_000, "little")
OTHER = CONTENT[::-1]
SHA256 = hashlib.sha256(CONTENT).hexdigest()
MD5 = hashlib.md5(CONTENT).hexdigest()
CUT = Plan(cut_after=200_000)
# What is left of a cut: bytes arrive in pieces, and an unfinished piece may be lost.
LEAST_KEPT = 131_072


@pytest.fixture(autouse=True)
def no_proxy_of_this_machine(monkeypatch):
    for name in ("http_proxy", "https_proxy", "all_proxy", "no_proxy"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.upper(), raising=False)


@pytest.fixture
def target(tmp_path):
    return tmp_path / "data" / "clips.tfrecord"


def fetch(urls, target, *, attempts=3, timeout_seconds=10.0, waits=None, **more):
    waits = [] if waits is None else waits
    urls = [urls] if isinstance(urls, str) else urls
    return download_file(urls, target, attempts=attempts, timeout_seconds=timeout_seconds, wait=waits.append, **more)


def failure_of(*args, **more):
    with pytest.raises(DownloadError) as caught:
        fetch(*args, **more)
    return str(caught.value)


def stop_once_begun(fraction, status):
    if fraction > 0:
        raise Interrupted


def begin(server, target, **more):
    """Leave the beginning of the server's file, as a run that was stopped does."""
    with pytest.raises(Interrupted):
        fetch(server.url, target, progress=stop_once_begun, **more)
    assert 0 < part_of(target).stat().st_size < len(server.content) and not target.exists()
    return part_of(target).stat().st_size


def part_of(target):
    return target.with_name(f"{target.name}.part")


def assert_whole(target, content=CONTENT):
    """The file is there, right, and alone."""
    assert target.read_bytes() == content
    assert list(target.parent.iterdir()) == [target]


def assert_nothing(target):
    assert not target.parent.exists() or list(target.parent.iterdir()) == []


def test_a_file_comes_whole_with_its_checksum(target):
    with FileServer(CONTENT) as server:
        fetched = fetch(server.url, target)
    assert fetched == Fetched(target, len(CONTENT), SHA256, server.url, checked=False, resumed_from=0)
    assert_whole(target)
    assert server.requests[0]["accept-encoding"] == "identity"
    assert server.asked_ranges == [""]


@pytest.mark.parametrize("expected", [{"sha256": SHA256.upper()}, {"md5": MD5}, {"sha256": SHA256, "md5": MD5}])
def test_a_checksum_that_agrees_is_said_to_be_checked(target, expected):
    with FileServer(CONTENT) as server:
        assert fetch(server.url, target, **expected, size=len(CONTENT)).checked
    assert_whole(target)


def test_an_empty_file_is_a_file(target):
    with FileServer(b"") as server:
        assert fetch(server.url, target).bytes == 0
    assert_whole(target, b"")


def test_progress_tells_how_much_is_there_and_how_fast(target):
    said = []
    with FileServer(CONTENT * 10) as server:
        fetch(server.url, target, progress=lambda *what: said.append(what))
    assert [fraction for fraction, _ in said] == sorted(fraction for fraction, _ in said)
    assert said[0][0] < 0.5 and said[-1][0] == 1.0
    assert len(said) < 20  # of 46 pieces: a few times a second
    assert re.fullmatch(r"clips\.tfrecord: 3\.0 of 3\.0 MB, \d+\.\d MB/s", said[-1][1])


def test_the_bytes_are_on_disk_before_the_name_and_the_name_before_the_answer(target, monkeypatch):
    events = []
    fsync, replace = os.fsync, os.replace
    monkeypatch.setattr(os, "fsync", lambda descriptor: (events.append(inode(descriptor)), fsync(descriptor)))
    monkeypatch.setattr(os, "replace", lambda *names: (events.append("renamed"), replace(*names)))
    with FileServer(CONTENT) as server:
        fetch(server.url, target)
    assert events == [inode(target), "renamed", inode(target.parent)]


def inode(of):
    return os.stat(of).st_ino


def test_a_redirection_is_followed(target):
    with FileServer(CONTENT, Plan(status=302, headers={"Location": "/moved"})) as server:
        assert fetch(server.url, target).url == server.url
        assert server.requests[1]["path"] == "/moved"
        assert_whole(target)
        target.unlink()
        server.plan = Plan(status=302, headers={"Location": "/moved"})
        assert f"{server.url}: TooManyRedirects: Exceeded 30 redirects.\n" in failure_of(server.url, target)
    assert_nothing(target)


def test_a_cut_transfer_goes_on_where_it_was(target):
    waits = []
    with FileServer(CONTENT, CUT) as server:
        fetched = fetch(server.url, target, waits=waits)
    assert LEAST_KEPT <= fetched.resumed_from <= 200_000
    assert fetched.sha256 == SHA256
    assert server.asked_ranges == ["", f"bytes={fetched.resumed_from}-"]
    assert server.requests[1]["if-range"] == '"one"'
    assert waits == [1]
    assert_whole(target)


@pytest.mark.parametrize("checksum", ["", SHA256])
def test_a_stopped_download_is_gone_on_with_by_the_next_run(target, checksum):
    with FileServer(CONTENT) as server:
        kept = begin(server, target)
        fetched = fetch(server.url, target, sha256=checksum)
    assert (fetched.resumed_from, fetched.sha256) == (kept, SHA256)
    assert server.asked_ranges == ["", f"bytes={kept}-"]
    assert_whole(target)


def test_a_killed_download_is_gone_on_with_by_the_next_run(target):
    code = (
        "import sys; from pathlib import Path; from tcc.download import download_file; "
        "download_file([sys.argv[1]], Path(sys.argv[2]), attempts=1, timeout_seconds=60)"
    )
    with FileServer(CONTENT, Plan(stall_after=200_000)) as server:
        process = subprocess.Popen([sys.executable, "-c", code, server.url, str(target)], cwd=ROOT)
        end = time.monotonic() + 30
        while not (part_of(target).exists() and part_of(target).stat().st_size >= LEAST_KEPT):
            assert process.poll() is None and time.monotonic() < end
            time.sleep(0.01)
        process.kill()
        process.wait()
        assert not target.exists()
        fetched = fetch(server.url, target)
    assert LEAST_KEPT <= fetched.resumed_from <= 200_000
    assert_whole(target)


def test_what_was_all_there_when_killed_is_not_fetched_again(target):
    with FileServer(CONTENT) as server:
        with pytest.raises(Interrupted):
            fetch(server.url, target, progress=stop_at_the_end)
        fetched = fetch(server.url, target, sha256=SHA256)
    assert (fetched.resumed_from, fetched.url, fetched.checked) == (len(CONTENT), server.url, True)
    assert len(server.requests) == 1
    assert_whole(target)


def stop_at_the_end(fraction, status):
    if fraction == 1:
        raise Interrupted


def test_a_server_without_ranges_sends_it_all_again(target):
    with FileServer(CONTENT, CUT) as server:
        server.ranges = False
        fetched = fetch(server.url, target)
    assert (fetched.resumed_from, fetched.sha256) == (0, SHA256)
    assert server.asked_ranges[1] != ""
    assert_whole(target)


@pytest.mark.parametrize("if_range", [True, False])
def test_a_file_that_changed_meanwhile_starts_afresh(target, if_range):
    """A server that heeds If-Range sends the whole; one that does not shows it by the ETag of the part it sends."""
    with FileServer(OTHER) as server:
        begin(server, target)
        server.content, server.etag, server.if_range = CONTENT, '"two"', if_range
        assert fetch(server.url, target).resumed_from == 0
    assert len(server.requests) == (2 if if_range else 3)
    assert_whole(target)


def test_a_file_that_became_shorter_starts_afresh(target):
    """What is asked for lies behind its end: HTTP 416."""
    with FileServer(OTHER) as server:
        kept = begin(server, target)
        server.content = CONTENT[:1000]
        fetch(server.url, target)
    assert server.asked_ranges[1:] == [f"bytes={kept}-", ""]
    assert_whole(target, CONTENT[:1000])


def test_a_file_that_became_longer_starts_afresh(target):
    with FileServer(OTHER) as server:
        begin(server, target)
        server.content = CONTENT * 2
        fetch(server.url, target)
    assert_whole(target, CONTENT * 2)


def test_a_part_that_begins_elsewhere_is_not_taken(target):
    with FileServer(CONTENT) as server:
        begin(server, target)
        server.plans = [Plan(headers={"Content-Range": f"bytes 7-{len(CONTENT) - 1}/{len(CONTENT)}"})]
        assert fetch(server.url, target).resumed_from == 0
    assert server.asked_ranges[2] == ""
    assert_whole(target)


@pytest.mark.parametrize("etag", ["", 'W/"weak"'])
def test_without_a_way_to_see_a_change_only_a_checksum_lets_a_download_go_on(target, etag):
    with FileServer(CONTENT, etag=etag) as server:
        begin(server, target)
        assert fetch(server.url, target).resumed_from == 0
        target.unlink()
        kept = begin(server, target)
        assert fetch(server.url, target, sha256=SHA256).resumed_from == kept
    assert_whole(target)


def test_the_date_stands_in_for_a_missing_etag(target):
    dated = Plan(headers={"Last-Modified": "Wed, 21 Oct 2015 07:28:00 GMT"})
    with FileServer(CONTENT, plan=dated, etag="") as server:
        server.if_range = False
        kept = begin(server, target)
        assert fetch(server.url, target).resumed_from == kept
    assert server.requests[1]["if-range"] == "Wed, 21 Oct 2015 07:28:00 GMT"
    assert_whole(target)


@pytest.mark.parametrize("damage", ["", "{", "[]", '{"url": 1}'])
def test_a_beginning_that_nobody_knows_is_not_gone_on_with(target, damage):
    with FileServer(CONTENT) as server:
        begin(server, target)
        part_of(target).write_bytes(OTHER[:1000])
        target.with_name(f"{target.name}.part.json").write_text(damage)
        assert fetch(server.url, target).resumed_from == 0
    assert_whole(target)


def test_bytes_damaged_on_disk_are_fetched_again(target):
    with FileServer(CONTENT) as server:
        kept = begin(server, target)
        part_of(target).write_bytes(OTHER[:kept])
        assert fetch(server.url, target, sha256=SHA256).resumed_from == 0
    assert_whole(target)


def test_a_busy_server_is_asked_again_after_growing_waits(target):
    waits = []
    with FileServer(CONTENT, *[Plan(status=503)] * 2) as server:
        fetch(server.url, target, waits=waits)
    assert waits == [1, 2] and len(server.requests) == 3
    assert_whole(target)


def test_waits_grow_to_half_a_minute_and_the_last_try_ends_them(target):
    waits, said = [], []
    with FileServer(CONTENT, plan=Plan(status=500)) as server:
        text = failure_of(server.url, target, attempts=8, waits=waits, progress=lambda *what: said.append(what))
    assert waits == [1, 2, 4, 8, 16, 30, 30]
    assert said[1] == (0.0, "clips.tfrecord: HTTP 500 Internal Server Error; next try in 2 s")
    assert f"{server.url}: HTTP 500 Internal Server Error (the last of 8 tries)" in text
    assert_nothing(target)


def test_a_server_says_how_long_to_wait(target):
    asked = ["7", "3600", "Wed, 21 Oct 2015 07:28:00 GMT", "-5"]
    plans = [Plan(status=429, headers={"Retry-After": value}) for value in asked]
    waits = []
    with FileServer(CONTENT, *plans) as server:
        fetch(server.url, target, attempts=5, waits=waits)
    assert waits == [7, 60, 4, 8]
    assert_whole(target)


@pytest.mark.parametrize("status", [403, 404, 204])
def test_what_an_address_does_not_have_is_sought_at_the_next_at_once(target, status):
    waits = []
    with FileServer(OTHER, plan=Plan(status=status)) as first, FileServer(CONTENT) as second:
        fetched = fetch([first.url, second.url], target, waits=waits)
    assert (fetched.url, waits, len(first.requests)) == (second.url, [], 1)
    assert_whole(target)


def test_a_wrong_checksum_sends_to_the_mirror(target):
    with FileServer(OTHER) as first, FileServer(CONTENT) as second:
        fetched = fetch([first.url, second.url], target, sha256=SHA256)
    assert (fetched.url, fetched.resumed_from, len(first.requests)) == (second.url, 0, 1)
    assert_whole(target)


@pytest.mark.parametrize("name, found", [("sha256", hashlib.sha256(OTHER)), ("md5", hashlib.md5(OTHER))])
def test_a_wrong_checksum_everywhere_says_expected_and_got(target, name, found):
    expected = {"sha256": SHA256, "md5": MD5}[name]
    with FileServer(OTHER) as first, FileServer(OTHER) as second:
        text = failure_of([first.url, second.url], target, **{name: expected})
    label = {"sha256": "SHA-256", "md5": "MD5"}[name]
    for server in (first, second):
        assert f"{server.url}: {label} is {found.hexdigest()}, expected {expected}\n" in text
    assert_nothing(target)


@pytest.mark.parametrize("chunked", [False, True])
def test_a_wrong_size_says_expected_and_got(target, chunked):
    said = []
    with FileServer(CONTENT[:600], plan=Plan(chunked=chunked)) as server:
        text = failure_of(server.url, target, size=1000, progress=lambda *what: said.append(what))
    assert f"{server.url}: size is 600 bytes, expected 1000\n" in text
    assert bool(said) == chunked  # what is announced is refused before it comes
    assert_nothing(target)


def test_a_beginning_of_a_file_of_the_wrong_size_is_removed(target):
    with FileServer(CONTENT) as server:
        begin(server, target)
        assert "size is 300000 bytes, expected 1000" in failure_of(server.url, target, size=1000)
    assert_nothing(target)


def test_a_file_that_is_shorter_than_announced_never_appears(target):
    liar = Plan(headers={"Content-Length": 2 * len(CONTENT)})
    with FileServer(CONTENT, plan=liar, etag="") as server:
        text = failure_of(server.url, target, attempts=2)
    assert len(server.requests) == 2 and not target.exists()
    assert "(the last of 2 tries)" in text and "IncompleteRead" in text
    kept = part_of(target).stat().st_size
    assert kept >= LEAST_KEPT and f"{kept} bytes are kept in {part_of(target)}; the next run goes on from there" in text


def test_chunks_tell_a_cut_from_an_end(target):
    with FileServer(CONTENT, Plan(chunked=True, cut_after=200_000), plan=Plan(chunked=True)) as server:
        fetched = fetch(server.url, target)
    assert len(server.requests) == 2 and fetched.sha256 == SHA256
    assert_whole(target)


def test_a_length_that_is_told_late_is_used(target):
    said = []
    with FileServer(CONTENT, Plan(chunked=True, cut_after=200_000)) as server:
        fetch(server.url, target, progress=lambda *what: said.append(what))
    assert (said[0][0], said[-1][0]) == (0.0, 1.0)
    assert_whole(target)


def test_where_no_length_is_told_a_size_or_a_checksum_must_be(target):
    untold = Plan(headers={"Content-Length": None, "Connection": "close"})
    with FileServer(CONTENT, plan=untold) as server:
        assert "tells no length, so a cut transfer would look whole; give a size or" in failure_of(server.url, target)
        assert_nothing(target)
        fetch(server.url, target, sha256=SHA256)
        target.unlink()
        fetch(server.url, target, size=len(CONTENT))
        assert_whole(target)
        target.unlink()
        server.plans = [Plan(headers=untold.headers, cut_after=200_000)]
        assert fetch(server.url, target, size=len(CONTENT)).resumed_from >= LEAST_KEPT
    assert_whole(target)


def test_a_file_sent_in_another_form_is_taken_only_if_a_checksum_agrees(target):
    """Some servers label a file that is itself compressed; its bytes as sent are the file."""
    with FileServer(CONTENT, plan=Plan(headers={"Content-Encoding": "gzip"})) as server:
        assert "sends the file in another form (Content-Encoding: gzip)" in failure_of(server.url, target)
        fetch(server.url, target, sha256=SHA256)
    assert_whole(target)


def test_a_server_that_stalls_is_given_up_and_asked_again(target):
    with FileServer(CONTENT, Plan(stall_after=200_000)) as server:
        start = time.monotonic()
        fetched = fetch(server.url, target, timeout_seconds=0.3)
        assert time.monotonic() - start < 5
    assert fetched.resumed_from >= LEAST_KEPT
    assert_whole(target)


def test_a_server_that_never_answers_is_named_with_the_reason(target):
    with FileServer(CONTENT) as server:
        url = server.url
    text = failure_of(url, target, attempts=2)
    assert f"{url}: ConnectionError: " in text and "refused" in text and "(the last of 2 tries)" in text


def test_when_all_addresses_fail_the_error_says_why_and_what_to_do(target):
    with FileServer(CONTENT, plan=Plan(status=404)) as server:
        secret = server.url.replace("://", "://me:secret@")
        text = failure_of([secret, "ftp://host/x", "clips.tfrecord", f"file://{target.parent}/none"], target)
    assert text.startswith("clips.tfrecord: no address gave the file as it should be\n")
    assert f"{server.url}: HTTP 404 Not Found" in text and "secret" not in text
    assert "ftp://host/x: InvalidSchema: No connection adapters were found" in text
    assert "clips.tfrecord: MissingSchema: Invalid URL 'clips.tfrecord'" in text
    assert f"{target.parent}/none is no file that can be read; the form is file:///folder/file" in text
    assert "Check the addresses, the network and the proxy (http_proxy, https_proxy, no_proxy) and run again" in text
    assert f"put it at {target}; or add another address, which may be a folder of yours (file:///...)" in text


@pytest.mark.parametrize(
    "form", ["file://{}/x%20y%231.tfrecord", "file://{}/x y#1.tfrecord", "file://localhost{}/x y#1.tfrecord"]
)
def test_a_file_of_this_machine_is_an_address_too(tmp_path, target, form):
    (tmp_path / "x y#1.tfrecord").write_bytes(CONTENT)
    url = form.format(tmp_path)
    assert fetch(url, target, sha256=SHA256).url == url
    assert_whole(target)


def test_copying_a_file_is_gone_on_with_unless_it_changed(tmp_path, target):
    source = tmp_path / "mirror.tfrecord"
    source.write_bytes(OTHER)
    for change, content in ((False, OTHER), (True, CONTENT)):
        with pytest.raises(Interrupted):
            fetch(source.as_uri(), target, progress=stop_once_begun)
        if change:
            source.write_bytes(CONTENT)
        assert (fetch(source.as_uri(), target).resumed_from > 0) != change
        assert_whole(target, content)
        target.unlink()


def test_a_source_that_grows_while_it_is_copied_is_copied_again(tmp_path, target):
    source = tmp_path / "mirror.tfrecord"
    source.write_bytes(OTHER)

    def grow(fraction, status):
        if source.stat().st_size == len(OTHER):
            source.write_bytes(OTHER + CONTENT)

    waits = []
    fetch(source.as_uri(), target, progress=grow, waits=waits)
    assert waits == [1]
    assert_whole(target, OTHER + CONTENT)


def test_a_beginning_longer_than_the_file_is_not_taken(tmp_path, target):
    source = tmp_path / "mirror.tfrecord"
    source.write_bytes(CONTENT)
    with pytest.raises(Interrupted):
        fetch(source.as_uri(), target, progress=stop_once_begun)
    part_of(target).write_bytes(CONTENT * 2)
    waits = []
    assert fetch(source.as_uri(), target, waits=waits).resumed_from == 0
    assert waits == []
    assert_whole(target)


def test_the_mirror_whose_beginning_is_here_goes_first(target):
    with FileServer(CONTENT) as first, FileServer(CONTENT) as second:
        kept = begin(second, target)
        fetched = fetch([first.url, second.url], target)
    assert (fetched.url, fetched.resumed_from, first.requests) == (second.url, kept, [])
    assert_whole(target)


def test_a_beginning_from_elsewhere_is_not_gone_on_with(target):
    with FileServer(OTHER) as first, FileServer(CONTENT) as second:
        begin(first, target)
        assert fetch(second.url, target, sha256=SHA256).resumed_from == 0
    assert second.asked_ranges == [""]
    assert_whole(target)


@pytest.mark.parametrize("expected", [{}, {"sha256": SHA256}, {"md5": MD5}, {"size": len(CONTENT)}])
def test_a_file_that_is_there_is_taken_without_the_network(target, expected):
    target.parent.mkdir()
    target.write_bytes(CONTENT)
    part_of(target).write_bytes(CONTENT[:5])
    checked = bool(expected.keys() - {"size"})
    expected_answer = Fetched(target, len(CONTENT), SHA256, url="", checked=checked, resumed_from=0)
    assert fetch([], target, **expected) == expected_answer
    assert_whole(target)


@pytest.mark.parametrize(
    "expected, problem",
    [({"sha256": SHA256}, f"SHA-256 is .*, expected {SHA256}"), ({"size": 7}, "size is 5 bytes, expected 7")],
)
def test_another_file_in_its_place_is_refused_and_kept(target, expected, problem):
    target.parent.mkdir()
    target.write_bytes(b"other")
    with pytest.raises(DownloadError, match=rf"clips\.tfrecord: is there already, but {problem}; it is not overwr"):
        fetch([], target, **expected)
    assert_whole(target, b"other")


@pytest.mark.parametrize("name, digits", [("sha256", 64), ("md5", 32)])
def test_a_malformed_checksum_is_refused_before_anything_is_fetched(target, name, digits):
    message = f"{name} of clips.tfrecord: {digits} hexadecimal digits expected, got 'abc'"
    with pytest.raises(SettingsError, match=message):
        fetch([], target, **{name: "ABC"})


def test_a_full_disk_is_said_and_what_came_is_kept(target):
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    with FileServer(CONTENT) as server:
        resource.setrlimit(resource.RLIMIT_FSIZE, (200_000, hard))
        try:
            with pytest.raises(OSError, match="File too large"):
                fetch(server.url, target)
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
        assert not target.exists()
        assert fetch(server.url, target).resumed_from >= LEAST_KEPT
    assert_whole(target)


def test_a_proxy_named_in_the_environment_is_used(target, monkeypatch):
    with FileServer(CONTENT) as proxy:
        monkeypatch.setenv("http_proxy", proxy.url)
        fetched = fetch("http://files.invalid/clips.tfrecord", target, sha256=SHA256)
    assert fetched.url == proxy.requests[0]["path"] == "http://files.invalid/clips.tfrecord"
    assert_whole(target)


def test_no_proxy_excepts_addresses_from_the_proxy(target, monkeypatch):
    with FileServer(OTHER) as proxy, FileServer(CONTENT) as server:
        monkeypatch.setenv("http_proxy", proxy.url)
        monkeypatch.setenv("no_proxy", "127.0.0.1")
        fetch(server.url, target)
    assert proxy.requests == []
    assert_whole(target)


def test_the_note_beside_a_beginning_names_the_file_and_keeps_no_password(target):
    with FileServer(CONTENT) as server, pytest.raises(Interrupted):
        fetch(server.url.replace("://", "://me:secret@"), target, progress=stop_once_begun)
    note = json.loads(target.with_name(f"{target.name}.part.json").read_text())
    assert note == {"url": server.url, "etag": '"one"', "last_modified": "", "total": len(CONTENT)}


def test_a_file_with_a_fault_is_thrown_away_and_the_next_address_tried(target):
    """A page for signing in that comes instead of the file must not stay under its name."""

    def find_fault(path):
        return "it is a page" if path.read_bytes().startswith(b"<html") else ""

    with FileServer(b"<html>sign in</html>") as page, FileServer(CONTENT) as server:
        fetched = fetch([page.url, server.url], target, find_fault=find_fault)
        assert_whole(target)
        assert fetched.url == server.url
        target.unlink()
        assert "it is a page" in failure_of(page.url, target, find_fault=find_fault)
        assert_nothing(target)
