"""What reads files that others wrote, and how bytes become nearly such a file: used by fuzz.py and by the tests."""

from __future__ import annotations

import contextlib
import copy
import io
import json
import os
import struct
import sys
import tempfile
import zipfile
from dataclasses import dataclass
from pathlib import Path
from random import Random
from typing import Any, Callable, Dict, Iterator, List, Tuple

import numpy as np

from tcc.errors import TccError

ODD_VALUES = (
    None, True, False, 0, -1, 1, 2, 1 << 31, 1 << 63, 10**400, -0.0, 0.5, 1e308, float("nan"), float("inf"), "", "0", "a",
    "../../x", "/dev/zero", "\0", "\ud800", "é", "x" * 3000, [], {}, [[]], [None], {"": None}, {"0": [0, 1]}, [1, 0], [1e30, 2],
)  # fmt: skip
TOKENS = (
    b"", b",", b"\n", b"\r", b'"', b"'", b"=", b"[", b"]", b"%", b"%(x)s", b"#", b";", b"nan", b"inf", b"-1", b"0", b"1e999",
    b"9" * 400, b"\0", b"\xff", b"\xef\xbb\xbf", b"train", b"clip", b"phase", b"frame", b"true", b" ", b"\t", b"../../x",
    b"/dev/zero", b"a" * 5000,
)  # fmt: skip
_INTERESTING = (0, 1, 0x7F, 0x80, 0xFF, 0x7FFF, 0xFFFF, 0x7FFFFFFF, 0x80000000, 0xFFFFFFFF)
_PIXELS = 32
_FRAMES = 12


@dataclass(frozen=True)
class Reader:
    """Something that reads a file.

    Attributes:
      file: the name of the file.
      seeds: whole files of the kind.
      read: reads a file; may raise a TccError, and nothing else.
      mutate: makes a file nearly of the kind from one that is, or nearly is.
      isolated: it is read in a process of its own, whose crash or hang is one of our errors.
      writes: it needs files beside, and looks itself whether there are others.
    """

    file: str
    seeds: Callable[[], List[bytes]]
    read: Callable[[Path], Any]
    mutate: Callable[[bytes, Random], bytes]
    isolated: bool = False
    writes: bool = False


class Escaped(Exception):
    """Something was written that is none of the reader's business."""


def feed(reader: Reader, data: bytes, folder: Path) -> str:
    """Give one file to a reader, in an empty folder: "a result", or the name of one of our errors.

    Raises: whatever else it raises; Escaped if anything was written.
    """
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / reader.file
    path.write_bytes(data)
    try:
        with contextlib.nullcontext() if reader.writes else _nothing_written():
            reader.read(path)
        outcome = "a result"
    except TccError as error:
        outcome = type(error).__name__
    if os.listdir(folder) != [reader.file] or path.read_bytes() != data:
        raise Escaped(f"left in the folder: {sorted(os.listdir(folder))}")
    return outcome


_written: List[str] = []
_watching = False
_hooked: List[bool] = []
_WRITES = os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_TRUNC
_CHANGES = ("mkdir", "rename", "remove", "rmdir", "link", "symlink", "truncate", "system")
_EVENTS = ("subprocess.Popen", *(f"os.{change}" for change in _CHANGES))


def _hook(event: str, arguments: Any) -> None:
    if not _watching:
        return
    opened = event == "open" and isinstance(arguments[2], int) and arguments[2] & _WRITES
    if (opened and arguments[0] != os.devnull) or event in _EVENTS:
        _written.append(f"{event} {arguments[0]}")


@contextlib.contextmanager
def _nothing_written() -> Iterator[None]:
    global _watching
    if not _hooked:
        sys.addaudithook(_hook)
        _hooked.append(True)
    _written.clear()
    _watching = True
    try:
        yield
    finally:
        _watching = False
    if _written:
        raise Escaped(f"written: {_written}")


# --- mutations


def mutate_bytes(data: bytes, random: Random, end: int = 0) -> bytes:
    """One change of some bytes, before `end` if that is given."""
    changed, end = bytearray(data), min(end, len(data)) or len(data)
    at = random.randrange(end) if end else 0
    how = random.randrange(6)
    if how == 0 and changed:
        changed[at] ^= 1 << random.randrange(8)
    elif how == 1:
        width = random.choice((1, 2, 4, 8))
        number = random.choice(_INTERESTING) & (1 << 8 * width) - 1
        changed[at : at + width] = number.to_bytes(width, random.choice(("little", "big")))
    elif how == 2:
        del changed[at : at + random.choice((1, 2, 4, 16, 200))]
    elif how == 3:
        changed[at:at] = changed[random.randrange(end) if end else 0 :][: random.choice((1, 4, 16, 200))]
    elif how == 4:
        changed[at:at] = bytes(random.randrange(256) for _ in range(random.choice((1, 4, 16))))
    elif random.randrange(4) == 0:
        del changed[at:]
    return bytes(changed)


def mutate_text(data: bytes, random: Random) -> bytes:
    """One change of bytes, or of a word or line to another or to something odd."""
    if random.randrange(3) == 0:
        return mutate_bytes(data, random)
    separator = random.choice((b"\n", b",", b" = "))
    parts = data.split(separator)
    at = random.randrange(len(parts))
    parts[at] = random.choice((random.choice(TOKENS), random.choice(parts), parts[at] + random.choice(TOKENS)))
    return separator.join(parts)


def mutate_json(data: bytes, random: Random) -> bytes:
    """One value, key or absence instead of another; now and then a change of bytes."""
    try:
        value = json.loads(data)
    except (ValueError, RecursionError):
        return mutate_bytes(data, random)
    if random.randrange(5) == 0:
        return mutate_bytes(data, random)
    places = list(_places(value))
    if not places:
        return json.dumps(random.choice(ODD_VALUES)).encode()
    holder, key = random.choice(places)
    how = random.randrange(6)
    if how == 0:
        del holder[key]
    elif how == 1 and isinstance(holder, dict):
        holder[random.choice(("", "0", "00", "../x", "/etc/x", "files", str(key) * 2))] = holder.pop(key)
    elif how == 2:
        other, other_key = random.choice(places)
        with contextlib.suppress(LookupError):  # it may have gone with what it lay in
            holder[key] = copy.deepcopy(other[other_key])
    else:
        holder[key] = random.choice(ODD_VALUES)
    return json.dumps(value).encode()


def _places(value: Any) -> Iterator[Tuple[Any, Any]]:
    keys = list(value) if isinstance(value, dict) else range(len(value)) if isinstance(value, list) else ()
    for key in keys:
        yield value, key
        yield from _places(value[key])


def mutate_records(data: bytes, random: Random) -> bytes:
    """Change what a TFRecord's checksums cover, and correct these; or any bytes."""
    payloads = list(_payloads(data))
    if not payloads or random.randrange(4) == 0:
        return mutate_bytes(data, random)
    at = random.randrange(len(payloads))
    payloads[at] = mutate_bytes(payloads[at], random, end=random.choice((40, 400, 0)))
    return _records(payloads)


def _payloads(data: bytes) -> Iterator[bytes]:
    at = 0
    while at + 12 <= len(data):
        (length,) = struct.unpack_from("<Q", data, at)
        if length > len(data):
            return
        yield data[at + 12 : at + 12 + length]
        at += 16 + length


def _records(payloads: List[bytes]) -> bytes:
    from tcc.video.tfrecord import write_record

    file = io.BytesIO()
    for payload in payloads:
        write_record(file, len(payload), [payload])
    return file.getvalue()


def mutate_zip(data: bytes, random: Random) -> bytes:
    """Change, drop, double or compress a member of an archive, whose checksums are then right; or any bytes."""
    try:
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            members = [(info.filename, archive.read(info)) for info in archive.infolist()]
    except Exception:
        members = []
    if not members or random.randrange(4) == 0:
        return mutate_bytes(data, random)
    at, how = random.randrange(len(members)), random.randrange(8)
    name, content = members[at]
    if how == 0:
        del members[at]
    elif how == 1:
        members[at] = (random.choice(("../x.npy", "a.npy", "names.npy", "labels", name[1:])), content)
    elif how == 2:
        members[at] = (name, random.choice(members)[1])
    else:
        members[at] = (name, mutate_bytes(content, random, end=random.choice((64, 128, 0))))
    file = io.BytesIO()
    method = random.choice((zipfile.ZIP_STORED, zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED))
    with zipfile.ZipFile(file, "w", method) as archive:
        for name, content in members:
            archive.writestr(zipfile.ZipInfo(name), content)
    return file.getvalue()


def mutate_mp4(data: bytes, random: Random) -> bytes:
    """Change bytes of the headers, which come first; now and then any."""
    start_of_pictures = data.find(b"mdat")
    return mutate_bytes(data, random, end=start_of_pictures if start_of_pictures > 0 and random.randrange(8) else 0)


# --- readers


def _read_settings(path: Path) -> None:
    from luigi.configuration.cfg_parser import LuigiConfigParser

    from pipeline import settings

    before = LuigiConfigParser._instance, LuigiConfigParser._config_paths
    LuigiConfigParser._instance, LuigiConfigParser._config_paths = None, [str(path)]
    try:
        with settings.using(None):
            settings.current()
    finally:
        LuigiConfigParser._instance, LuigiConfigParser._config_paths = before


def _settings_seeds() -> List[bytes]:
    root = Path(__file__).resolve().parent.parent
    return [path.read_bytes() for path in (root / "luigi.cfg", *sorted((root / "examples" / "recipes").glob("*.cfg")))]


def _read_labels(path: Path) -> None:
    from tcc.video.labels import read_labels, read_splits

    for bad_labels in ("refuse", "drop"):
        with contextlib.suppress(TccError):
            labels = read_labels(path, bad_labels=bad_labels)
            for clip in (*labels.lines, "one.mp4"):
                with contextlib.suppress(TccError):
                    labels.label_frames(clip, np.arange(5) / 2, np.arange(5))
    if path.suffix == ".csv":
        with contextlib.suppress(TccError):
            read_splits(path)
    read_labels(path)


def _csv_seeds() -> List[bytes]:
    return [
        b"clip,start_seconds,end_seconds,phase,split\na.mp4,0,1.5,reach,train\na.mp4,1.5,3,lift,train\nb/c.mp4,0,2,reach,val\n",
        b'clip,start_seconds,phase,group\n"a, b.mp4",0,0,g1\n"a, b.mp4",1.25,1,g1\nc.mp4,0.5,1,g2\n',
        b"clip,frame,phase\na.mp4,0,reach\na.mp4,1,reach\na.mp4,2,lift\nb.mp4,0,lift\n",
        b"clip,split,group\na.mp4,train,1\nb.mp4,val,2\nc.mp4,test,3\n",
    ]


def _json_seeds() -> List[bytes]:
    of_one = {"0": [0, 1000000], "1": [1000000, 2500000], "2": [2500000, 4000000]}
    return [
        json.dumps(
            {"a.mp4": {"x": of_one, "y": {"0": [0, 900000], "1": [1000000, 2600000]}}, "b.mp4": {"x": of_one}}
        ).encode(),
        json.dumps({"one": {"": {"0": [0, 1]}}}).encode(),
    ]


def _read_shard(path: Path) -> None:
    from tcc.video.ready_made import shard_fault
    from tcc.video.shards import decode_jpegs, read_records
    from tcc.video.stored_frames import stored_records

    shard_fault(path)
    with contextlib.suppress(TccError):
        for record in stored_records(path):
            decode_jpegs(record.frames[:2])
    for record in read_records(path):
        decode_jpegs(record.frames[:2])


def _shard_seeds() -> List[bytes]:
    import simplejpeg

    from tcc.video.shards import ClipRecord, write_records

    rng = np.random.default_rng(0)
    images = [simplejpeg.encode_jpeg(one) for one in rng.integers(0, 256, (3, 16, 16, 3), np.uint8)]
    whole = ClipRecord(
        "a.mp4", images, np.arange(3) / 10, np.array([0, 1, 1]), 2, 29.97, "00" * 32, "pyav", np.arange(3), 200.0
    )
    with tempfile.TemporaryDirectory() as folder:
        write_records(Path(folder) / "x", [whole, ClipRecord("b", images[:1], np.zeros(1), np.array([-1]))])
        return [(Path(folder) / "x").read_bytes()]


def _read_npz(path: Path) -> None:
    from tcc.sequences import load_sequences
    from tcc.weights import files as weights

    for in_memory in (True, False):
        with contextlib.suppress(TccError):
            for clip in load_sequences(path, in_memory=in_memory)[0]:
                np.asarray(clip.values)
    weights.load(path)


def _npz_seeds() -> List[bytes]:
    from tcc.sequences import ClipSequence, save_sequences
    from tcc.weights import files as weights

    clips = [
        ClipSequence(name, np.arange(n) / 10.0, np.zeros(n, np.int64), np.ones((n, 2), np.float32))
        for name, n in (("a", 3), ("b", 2))
    ]
    with tempfile.TemporaryDirectory() as folder:
        save_sequences(Path(folder) / "sequences", clips, phases=["reach", "lift"])
        weights.save(Path(folder) / "weights", {"conv/kernel": np.ones((2, 2)), "conv/bias": np.zeros(2)})
        return [path.read_bytes() for path in sorted(Path(folder).iterdir())]


_H5_SHAPES: Dict[str, Tuple[int, ...]] = {"conv1/kernel": (2, 3), "conv1/bias": (3,)}


def _read_h5(path: Path) -> None:
    from tcc.weights.h5 import read_keras

    read_keras(path, _H5_SHAPES, network="a network")


def _h5_seeds() -> List[bytes]:
    import h5py

    seeds = []
    with tempfile.TemporaryDirectory() as folder:
        for version in ("earliest", "latest"):
            with h5py.File(Path(folder) / "x", "w", libver=version) as file:
                file.attrs["layer_names"] = [b"input", b"conv1"]
                file.create_group("input").attrs["weight_names"] = []
                group = file.create_group("conv1")
                group.attrs["weight_names"] = [b"conv1/kernel:0", b"conv1/bias:0"]
                group["conv1/kernel:0"], group["conv1/bias:0"] = np.ones((2, 3), np.float32), np.ones(3, np.float32)
            seeds.append((Path(folder) / "x").read_bytes())
    return seeds


def _read_manifest(path: Path) -> None:
    """As if every target had this manifest: every command that reads manifests, then the reader alone."""
    from pipeline import settings
    from pipeline.base import tasks_in_order
    from pipeline.run_all import last_tasks
    from tcc.config import ExecutionConfig, Settings
    from tcc.manifest import MANIFEST, read_manifest
    from tcc.report import as_text, compare_runs, read_run

    with tempfile.TemporaryDirectory() as root, settings.using(Settings(execution=ExecutionConfig(data=root))):
        tasks = tasks_in_order(*last_tasks().values())
        for task in tasks:
            folder = Path(root) / task.stage / f"{task.name[: -len(task.fingerprint)]}00000000"
            folder.mkdir(parents=True, exist_ok=True)
            (folder / MANIFEST).write_bytes(path.read_bytes())
        before = _contents(root)
        _ask_everything(tasks, Path(root))
        with contextlib.suppress(TccError):
            as_text(compare_runs([read_run(one) for one in (Path(root) / "evaluations").iterdir()] * 2))
        if _contents(root) != before:
            raise Escaped(f"changed: {set(_contents(root)) ^ set(before)}")
    read_manifest(path.parent)


def _ask_everything(tasks: Any, root: Path) -> None:
    from pipeline.commands.clean import clean
    from pipeline.commands.plan import plan
    from pipeline.commands.status import status
    from pipeline.commands.targets import Targets
    from pipeline.commands.verify import verify
    from pipeline.commands.why import why

    targets = Targets(root)
    answers = [status(tasks, targets, {}), plan(tasks, targets), why(tasks, targets), verify(targets)]
    answers.append(clean(tasks, targets, keep=1, really=False))
    for answer in answers:
        json.dumps(answer.data)


def _contents(root: str) -> List[str]:
    return sorted(str(path) for path in Path(root).rglob("*"))


def _manifest_seeds() -> List[bytes]:
    from pipeline.base import tasks_in_order
    from pipeline.run_all import last_tasks

    seeds = []
    for task in tasks_in_order(*last_tasks().values()):
        result = {
            **task.described(),
            "counts": {"in": 3, "out": 2, "skipped": 1},
            "skipped": [{"clip": "a.mp4", "reason": "too short"}],
            "files": {"a.json": "00" * 32},
        }
        run = {"started": "2026-01-01T00:00:00+00:00", "seconds": 1.5, "host": "h", "versions": {"python": "3.11.7"}}
        seeds.append(json.dumps({"result": result, "run": run}).encode())
    return [seed for seed in seeds if len(seed) < 20000]


def _read_video(path: Path) -> None:
    from tcc.config import FramesConfig
    from tcc.errors import VideoError
    from tcc.video.decode import sample_pictures
    from tcc.video.probe import probe_clip

    info = probe_clip(path)
    if info.problem:
        raise VideoError(info.problem)
    config = FramesConfig(fps=10, image_pixels=_PIXELS, max_frames=30)
    for sample in sample_pictures(path, config, decoder=info.decoder):
        sample.picture.jpeg(90, "420")


def _video_seeds() -> List[bytes]:
    import av

    seeds = []
    with tempfile.TemporaryDirectory() as folder:
        for codec, options in (("mpeg4", {}), ("libx264", {"bf": "2", "g": "6"})):
            path = f"{folder}/x.mp4"
            with av.open(path, "w", options={"movflags": "faststart"}) as container:
                stream = container.add_stream(codec, rate=25, options=options)
                stream.width = stream.height = _PIXELS
                stream.pix_fmt = "yuv420p"
                for index in range(_FRAMES):
                    image = np.full((_PIXELS, _PIXELS, 3), 20 * index, np.uint8)
                    container.mux(stream.encode(av.VideoFrame.from_ndarray(image, "bgr24")))
                container.mux(stream.encode())
            seeds.append(Path(path).read_bytes())
    return seeds


READERS: Dict[str, Reader] = {
    "settings": Reader("luigi.cfg", _settings_seeds, _read_settings, mutate_text),
    "label-csv": Reader("labels.csv", _csv_seeds, _read_labels, mutate_text),
    "label-json": Reader("labels.json", _json_seeds, _read_labels, mutate_json),
    "tfrecord": Reader("pouring-train-0-0.tfrecord", _shard_seeds, _read_shard, mutate_records),
    "npz": Reader("weights.npz", _npz_seeds, _read_npz, mutate_zip),
    "h5": Reader("weights.h5", _h5_seeds, _read_h5, mutate_bytes, isolated=True),
    "manifest": Reader("manifest.json", _manifest_seeds, _read_manifest, mutate_json, writes=True),
    "mp4": Reader("clip.mp4", _video_seeds, _read_video, mutate_mp4),
}
