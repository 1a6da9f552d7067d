"""Write luigi.cfg and docs/configuration.md from tcc/config.py, where every setting stands once with its comment.

python scripts/write_docs.py            writes both
python scripts/write_docs.py --check    exit code 1 if one of them is out of date
"""

from __future__ import annotations

import ast
import dataclasses
import inspect
import re
import sys
from pathlib import Path
from typing import Any, Dict

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

from tcc.config import SECTIONS  # noqa: E402

MODULES_START = "<!-- modules: written by scripts/write_docs.py from their docstrings -->"
MODULES_END = "<!-- end of modules -->"
LUIGI_PART = """\
# Every setting of the pipeline, with its default. Change it here, give another file by LUIGI_CONFIG_PATH=FILE (read after
# this one), set TCC_<SECTION>_<OPTION> in the environment, or give --<section>-<option> on the command line.
# Written by scripts/write_docs.py from tcc/config.py; docs/configuration.md explains each option.

# ---- Luigi's own ----

[core]
# without luigid (the central scheduler with the web page), add --local-scheduler to the command
scheduler_host = 127.0.0.1
# lines of the run: DEBUG, INFO, WARNING
log_level = INFO
# several runs may work on one data folder; targets are locked one by one
no_lock = true
# Luigi's range tasks are not used here
autoload_range = false

[worker]
# seconds between signs of life to the central scheduler
ping_interval = 1.0

[scheduler]
# for luigid started in this folder: a killed worker's tasks are free again after about 15 s
worker_disconnect_delay = 10
prune_on_get_work = true
# --rerun seconds after the last run
stable_done_cooldown_secs = 0
# what failed is not tried again by itself; what was killed is, by `retries` of [execution] and as runs go on
retry_delay = -1

[resources]
# so many tasks at once decode videos, and work on NPUs or GPUs; of all machines under one scheduler
decode = 2
npu = 1
gpu = 1

[retcode]
# without these a failed task leaves exit code 0
already_running = 10
missing_data = 20
not_run = 25
task_failed = 30
scheduling_error = 35
unhandled_exception = 40

# ---- the pipeline's ----
"""

DOCS_HEAD = """\
# Configuration

Every option of `luigi.cfg`. The defaults stand in `tcc/config.py`; this page and `luigi.cfg` are written from there by
`python scripts/write_docs.py`, and a test compares them.

An option can be given in four places; the first that has it wins:

1. the command line: `luigi --module pipeline RunAll --training-num-steps 200`
2. the environment: `TCC_TRAINING_NUM_STEPS=200`
3. a file: `luigi.cfg`, and after it the one named by `LUIGI_CONFIG_PATH` (`examples/recipes/*.cfg`)
4. the default below

An unknown section or option is refused, with a suggestion. Lists are separated by commas. Options of `[device]` and
`[execution]` are in no fingerprint: changing them makes no target stale. The same holds for `log_every` and
`frame_memory_mb` of `[training]`.
"""


def describe(dataclass: Any) -> Dict[str, str]:
    """Option -> the comment behind it in the source."""
    source = inspect.getsource(dataclass)
    return dict(re.findall(r"^    (\w+): [^\n#]*?  # (.*)$", source, re.M))


def show(value: Any) -> str:
    """A default as it is written in luigi.cfg."""
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, tuple):
        return ", ".join(str(one) for one in value)
    return str(value)


def luigi_cfg() -> str:
    """The text of luigi.cfg."""
    parts = [LUIGI_PART]
    for section, dataclass in SECTIONS.items():
        comments = describe(dataclass)
        title = " ".join(dataclass.__doc__.split()).split("] ", 1)[1]
        lines = [f"\n[{section}]", f"# {title}"]
        for field in dataclasses.fields(dataclass):
            lines += [f"# {comments[field.name]}", f"{field.name} = {show(field.default)}".rstrip()]
        parts.append("\n".join(lines) + "\n")
    return "".join(parts)


def configuration_md() -> str:
    """The text of docs/configuration.md."""
    parts = [DOCS_HEAD]
    for section, dataclass in SECTIONS.items():
        comments = describe(dataclass)
        title = " ".join(dataclass.__doc__.split()).split("] ", 1)[1]
        rows = [
            f"| `{field.name}` | `{show(field.default)}` | {comments[field.name]} |"
            if show(field.default)
            else f"| `{field.name}` | (empty) | {comments[field.name]} |"
            for field in dataclasses.fields(dataclass)
        ]
        table = "\n".join(["| option | default | meaning |", "| --- | --- | --- |", *rows])
        parts.append(f"\n## [{section}]\n\n{title}\n\n{table}\n")
    return "".join(parts)


def architecture_md() -> str:
    """The text of docs/architecture.md with its list of modules renewed."""
    lines = []
    for package in ("pipeline", "tcc"):
        for path in sorted((ROOT / package).rglob("*.py")):
            doc = ast.get_docstring(ast.parse(path.read_text(encoding="utf-8"))) or ""
            if path.name != "__init__.py":
                lines.append(f"- `{path.relative_to(ROOT).as_posix()}`: {' '.join(doc.split(chr(10) * 2)[0].split())}")
    text = (ROOT / "docs" / "architecture.md").read_text(encoding="utf-8")
    head, rest = text.split(MODULES_START, 1)
    return "\n".join([head + MODULES_START, "", *lines, "", MODULES_END + rest.split(MODULES_END, 1)[1]])


def main() -> int:
    """Write the files, or with --check compare them."""
    texts = {
        ROOT / "luigi.cfg": luigi_cfg(),
        ROOT / "docs" / "configuration.md": configuration_md(),
        ROOT / "docs" / "architecture.md": architecture_md(),
    }
    if "--check" not in sys.argv[1:]:
        for path, text in texts.items():
            path.write_text(text, encoding="utf-8")
        return 0
    stale = [path for path, text in texts.items() if not path.exists() or path.read_text(encoding="utf-8") != text]
    for path in stale:
        print(f"{path.relative_to(ROOT)} is out of date: run python scripts/write_docs.py")
    return 1 if stale else 0


if __name__ == "__main__":
    sys.exit(main())
