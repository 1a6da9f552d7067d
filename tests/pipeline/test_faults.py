"""What goes wrong with disks, files, clocks and places: the toy pipeline, as a user starts it. Mounts need root."""

from __future__ import annotations

import errno
import json
import os
import shutil
import subprocess
import sys
import time

import pytest

from tcc.errors import disk_error
from tests.pipeline.test_stage_task import ROOT, command, environment, manifests, run

AS_ANYBODY = ["setpriv", "--bounding-set=-dac_override,-dac_read_search", "--inh-caps=-dac_override,-dac_read_search"]
COMMANDS = [["status"], ["plan"], ["why", "TrainTask"], ["verify"], ["clean"]]


@pytest.fixture
def disk(tmp_path):
    """A disk of 1 MB, and a function that mounts it with other options."""
    folder = tmp_path / "disk"
    folder.mkdir()
    if subprocess.run(["mount", "-t", "tmpfs", "-o", "size=1m", "none", folder], capture_output=True).returncode != 0:
        pytest.skip("a disk of one's own cannot be mounted here")
    yield folder, lambda options: subprocess.run(["mount", "-o", f"remount,{options}", folder], check=True)
    subprocess.run(["umount", "--lazy", folder], check=True)


def results(data):
    return {name: manifest["result"] for name, manifest in manifests(data).items()}


def last_error(answer):
    assert "Traceback" not in answer.stdout, answer.stdout
    return answer.stdout[answer.stdout.rindex("\nerror: ") :]


def ask(data, words, before=()):
    return subprocess.run(
        [*before, sys.executable, "-m", "pipeline", *words],
        cwd=ROOT,
        env={**environment(data), "PYTHONDONTWRITEBYTECODE": "1"},
        capture_output=True,
        text=True,
    )


def test_a_full_disk_is_said_once_and_with_room_the_run_ends_as_any_other(tmp_path, disk):
    data, mount = disk[0] / "data", disk[1]
    answer = run(data, "ToySecond", TOY_FAULT="fill:1", TCC_EXECUTION_RETRIES="2")
    assert answer.returncode == 30 and "again in" not in answer.stdout
    assert "the disk is full; make room" in last_error(answer) and str(data) in last_error(answer)
    assert not manifests(data)
    mount("size=20m")
    assert run(data, "ToySecond").returncode == 0
    assert run(tmp_path / "other", "ToySecond").returncode == 0
    assert results(data) == results(tmp_path / "other")


def write_records(path):
    import tensorflow as tf

    with tf.io.TFRecordWriter(str(path)) as writer:
        writer.write(bytes(8 << 20))


def write_checkpoint(path):
    import tensorflow as tf

    tf.train.Checkpoint(much=tf.Variable(tf.zeros(2 << 20))).write(str(path))


@pytest.mark.parametrize("write", [write_records, write_checkpoint])
@pytest.mark.parametrize(("options", "said"), [("size=1m", "the disk is full"), ("ro", "the disk is read-only")])
def test_what_tensorflow_says_of_a_disk_is_understood(disk, write, options, said):
    folder, mount = disk
    mount(options)
    with pytest.raises(Exception) as error:
        write(folder / "much")
    assert str(disk_error(error.value)).startswith(f"{folder}/much") and said in str(disk_error(error.value))


def test_on_a_read_only_disk_what_is_done_is_done_and_the_rest_is_refused(disk):
    data, mount = disk[0] / "data", disk[1]
    assert run(data, "ToySecond").returncode == 0
    mount("ro")
    assert run(data, "ToySecond").returncode == 0
    refused = run(data, "ToySecond", TCC_FRAMES_FPS="3")
    assert refused.returncode == 30 and "the disk is read-only; mount it for writing" in last_error(refused)
    for words in COMMANDS:
        answer = ask(data, words)
        assert answer.returncode in (0, 1) and not answer.stderr, answer.stderr
    delete = ask(data, ["clean", "--yes"])
    assert delete.returncode == 2 and delete.stderr.count("\n") == 1 and "read-only" in delete.stderr


@pytest.fixture
def anybody(tmp_path):
    """What to put before a command so that it obeys the rights of files."""
    if os.geteuid() != 0:
        return []
    (tmp_path / "x").touch(mode=0o000)
    os.chown(tmp_path / "x", 65534, 65534)
    try:
        refused = subprocess.run([*AS_ANYBODY, "cat", tmp_path / "x"], capture_output=True).returncode != 0
    except FileNotFoundError:
        refused = False
    if not refused:
        pytest.skip("root cannot give up its rights here")
    return AS_ANYBODY


def give_away(data, rights):
    """To nobody, who is not the test's user if that is root."""
    for path in [data, *data.rglob("*")]:
        if os.geteuid() == 0:
            os.chown(path, 65534, 65534)
        path.chmod((0o111 if path.is_dir() else 0) & rights | rights)


def test_without_permission_one_line_names_the_folder(tmp_path, anybody):
    data = tmp_path / "data"
    assert run(data, "ToySecond").returncode == 0
    give_away(data, 0o555)
    whole = subprocess.run([*anybody, *command("ToySecond")], cwd=ROOT, env=environment(data), capture_output=True)
    assert whole.returncode == 0
    give_away(data, 0o000)
    closed = subprocess.run(
        [*anybody, *command("ToySecond")], cwd=ROOT, env=environment(data), capture_output=True, text=True
    )
    assert closed.returncode == 30 and "Traceback" not in closed.stderr
    assert f"{data}" in closed.stderr.splitlines()[-1] and "may not read or write it" in closed.stderr.splitlines()[-1]
    for words in COMMANDS:
        answer = ask(data, words, anybody)
        assert answer.returncode == 2 and "may not read or write it" in answer.stderr and answer.stderr.count("\n") == 1
    give_away(data, 0o777)


@pytest.mark.slow
def test_a_target_that_was_deleted_is_made_again_only_where_it_is_needed(tmp_path):
    assert run(tmp_path, "ToySecond").returncode == 0
    before = results(tmp_path)
    shutil.rmtree(next(tmp_path.glob("toy_first/*")))
    assert run(tmp_path, "ToySecond").returncode == 0
    assert len(results(tmp_path)) == 1
    assert run(tmp_path, "ToySecond", "--rerun").returncode == 0
    assert results(tmp_path) == before


@pytest.mark.parametrize(
    ("damage", "said"),
    [
        (lambda folder: (folder / "steps").write_text("0\n1\n2\n7\n"), "steps: was changed since it was made"),
        (lambda folder: (folder / "steps").unlink(), "steps: is missing since it was made"),
        (lambda folder: (folder / "manifest.json").write_text("{"), "manifest.json: not a whole manifest"),
    ],
)
def test_a_target_that_was_damaged_is_not_read(tmp_path, damage, said):
    assert run(tmp_path, "ToyFirst").returncode == 0
    (folder,) = tmp_path.glob("toy_first/*")
    damage(folder)
    answer = run(tmp_path, "ToySecond")
    assert answer.returncode == 30 and said in last_error(answer) and "run again" in last_error(answer)
    shutil.rmtree(folder)
    assert run(tmp_path, "ToySecond").returncode == 0


def set_clock_forward(data, seconds):
    """What files look like when the clock was set back since."""
    for path in data.rglob("*"):
        os.utime(path, (time.time() + seconds,) * 2)


@pytest.mark.slow
def test_a_clock_that_was_set_back_changes_nothing(tmp_path):
    assert run(tmp_path, "ToySecond").returncode == 0
    set_clock_forward(tmp_path, 86400)
    before = manifests(tmp_path)
    assert run(tmp_path, "ToySecond").returncode == 0
    assert manifests(tmp_path) == before
    assert run(tmp_path, "ToySecond", "--rerun").returncode == 0
    assert sum(manifests(tmp_path)[name] != before[name] for name in before) == 1
    set_clock_forward(tmp_path, 86400)
    ages = [row["age_seconds"] for row in json.loads(ask(tmp_path, ["status", "--json"]).stdout)["tasks"]]
    assert all(age is None or age >= 0 for age in ages)


def test_a_folder_that_was_moved_or_copied_is_as_it_was(tmp_path):
    assert run(tmp_path / "one", "ToySecond").returncode == 0
    before = manifests(tmp_path / "one")
    (tmp_path / "one").rename(tmp_path / "two")
    shutil.copytree(tmp_path / "two", tmp_path / "three")  # with other times
    for name in ("two", "three"):
        assert run(tmp_path / name, "ToySecond").returncode == 0
        assert manifests(tmp_path / name) == before
    assert str(tmp_path) not in json.dumps(before)


def test_what_a_disk_refuses_is_told_from_other_errors():
    assert "disk is full" in str(disk_error(OSError(errno.ENOSPC, "x")))
    assert str(disk_error(OSError(errno.EROFS, "x", "/a/b"))).startswith("/a/b: the disk is read-only")
    assert "quota" in str(disk_error(OSError(errno.EDQUOT, "x")))
    assert disk_error(FileNotFoundError(errno.ENOENT, "x")) is None
    assert disk_error(ValueError("No space left on device")) is None
