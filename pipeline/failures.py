"""What is told of tasks that fail: errors of our own family without traceback, and every error again in the last lines.

Luigi prints a traceback where a task fails, then goes on with what does not need it, then prints a summary: what the user
has to do would stand far above the end.
"""

from __future__ import annotations

import atexit
import errno
import json
import logging
import os
import re
import shlex
import sys
import tempfile
from typing import Any, Dict, List, Optional, Sequence, Set

import luigi
import luigi.rpc

from pipeline import alerts, run_log
from tcc.errors import TccError, explain

FAILURE = "failure.json"  # in a work folder: how the last attempt failed

_SECRET = ("--alerts-webhook", "--smtp-password", "--sendgrid-apikey")
_PASSWORD = re.compile(r"(?<=://)[^/?#\s]*@")
_DOTS = "..."
_luigi = logging.getLogger("luigi-interface")
_failures: Optional[int] = None  # file descriptor: Luigi's worker processes inherit it, and its position
_errors_of_luigi: List[str] = []


class StageFailed(TccError):
    """The work of a stage failed; the message is the child's error, `details` are for who looks into it.

    Attributes:
      may_pass: whether the same work may well succeed a little later.
    """

    def __init__(self, message: str, details: str = "", *, may_pass: bool = False) -> None:
        super().__init__(message)
        self.details = details
        self.may_pass = may_pass


# A network or a file server that does not answer, or is busy. Not: a full or read-only disk, a missing file or right.
_PASSING = (
    *(errno.EAGAIN, errno.EBUSY, errno.EINTR, errno.EIO, errno.ESTALE, errno.ETIMEDOUT),
    *(errno.ECONNREFUSED, errno.ECONNRESET, errno.ECONNABORTED, errno.EPIPE),
    *(errno.ENETDOWN, errno.ENETUNREACH, errno.EHOSTDOWN, errno.EHOSTUNREACH),
)


def may_pass(error: BaseException) -> bool:
    """Whether an error is of the kind that goes away by itself: input, output, network."""
    if isinstance(error, TccError):  # said by us, after attempts of our own
        return error.__cause__ is not None and may_pass(error.__cause__)
    return isinstance(error, OSError) and error.errno in _PASSING


def tell_clearly() -> None:
    """From now on, and in processes forked from this one, tell failures as this module does."""
    global _failures
    _failures, path = tempfile.mkstemp()
    os.unlink(path)
    _luigi.addFilter(_without_traceback)
    luigi.Task.event_handler(luigi.Event.SUCCESS)(_note)
    luigi.Task.event_handler(luigi.Event.FAILURE)(_note)
    luigi.Task.event_handler(luigi.Event.BROKEN_TASK)(_note)
    alerts.tell_of_failures()
    run_log.begin()
    atexit.register(_tell, os.getpid())


def are_told() -> bool:
    """Whether `tell_clearly` was called."""
    return _failures is not None


def told() -> List[str]:
    """Of each task whose last attempt failed in this run, what is to be told."""
    return [text for text in _last().values() if text]


def succeeded() -> Set[str]:
    """Identifiers of the tasks that this run did."""
    return {task for task, text in _last().items() if not text}


def luigi_failed() -> bool:
    """Whether Luigi itself ended by an error."""
    return bool(_errors_of_luigi)


def _note(task: Any, error: Optional[BaseException] = None) -> None:
    """Note how a task ended: by an error, or without one, which takes back that of an earlier attempt."""
    if _failures is not None:
        text = "" if error is None else _of_task(task, error)
        os.write(_failures, json.dumps([task.task_id, text]).encode() + b"\n")


def _last() -> Dict[str, str]:
    """Task -> how its last attempt ended: its error, or nothing."""
    if _failures is None:
        return {}
    size = os.lseek(_failures, 0, os.SEEK_CUR)
    lines = os.pread(_failures, size, 0).splitlines()
    return dict(json.loads(line) for line in lines)


def _of_task(task: Any, error: BaseException) -> str:
    text = _in_words(error)
    named = text.startswith(f"{task.task_family}: ") or isinstance(error, luigi.rpc.RPCError)
    return text if named else f"{task.task_family}: {text}"


def _in_words(error: BaseException) -> str:
    if isinstance(error, luigi.rpc.RPCError):
        return f"{error.args[0]}: start it (make scheduler), or add --local-scheduler to the command"
    return explain(error)


def _without_traceback(record: logging.LogRecord) -> bool:
    error = record.exc_info[1] if record.exc_info else None
    if error is not None and record.funcName == "run_with_retcodes":  # what ends Luigi
        _errors_of_luigi.append(_in_words(error))
    if isinstance(error, luigi.rpc.RPCError):
        record.msg, record.args = _in_words(error), ()
        record.exc_info = record.exc_text = None
    if isinstance(error, TccError):
        texts = [record.getMessage(), str(error), getattr(error, "details", "")]
        record.msg, record.args = "\n".join(filter(None, texts)), ()
        record.exc_info = record.exc_text = None
    return True


def _tell(process: int) -> None:
    if os.getpid() != process:
        return
    texts = list(dict.fromkeys([*_errors_of_luigi, *told()]))
    if texts:
        print(f"what is done is kept; once the cause is gone, this continues: {_command()}", file=sys.stderr)
    for text in texts:
        print(f"error: {text}", file=sys.stderr)


def _command() -> str:
    """The command line of this process, as a user would type it."""
    program = "luigi" if os.path.basename(sys.argv[0]) in ("luigi", "__main__.py") else sys.argv[0]
    config = os.environ.get("LUIGI_CONFIG_PATH")
    before = f"LUIGI_CONFIG_PATH={shlex.quote(config)} " if config else ""
    return before + " ".join(shlex.quote(word) for word in [program, *_without_secrets(sys.argv[1:])])


def _without_secrets(words: Sequence[str]) -> List[str]:
    """The words of a command line, dots in place of an option's value that nobody may read."""
    return [_DOTS if before in _SECRET else _masked(word) for before, word in zip(["", *words], words)]


def _masked(word: str) -> str:
    option, equals, _ = word.partition("=")
    return f"{option}={_DOTS}" if equals and option in _SECRET else _PASSWORD.sub(f"{_DOTS}@", word)
