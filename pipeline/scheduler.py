"""`python -m pipeline scheduler`: Luigi's central scheduler on the loopback, with the history of tasks and their logs.

As luigid, and besides: the page's link of a task shows its log (`/logs/STAGE/TARGET`); the history is an SQLite file under the
root of all targets; nothing is pickled: after a restart workers tell what they have, and targets what is done.
"""

from __future__ import annotations

import importlib.util
import re
from pathlib import Path
from typing import Any, Optional

from pipeline.provenance import LOG

ADDRESS = "127.0.0.1"
_HISTORY = "task_history.db"
_MOST_BYTES = 1 << 20
_NAME = re.compile(r"[A-Za-z0-9._-]+")


def serve(root: Path, port: int) -> None:
    """Serve until the process is stopped."""
    import luigi.server

    make_app = luigi.server.app
    luigi.server.app = lambda scheduler: with_logs(make_app(scheduler), root)
    luigi.server.run(api_port=port, address=ADDRESS, scheduler=make_scheduler(root))


def make_scheduler(root: Path) -> Any:
    """Luigi's scheduler with its settings of luigi.cfg, a history where SQLAlchemy is there, and no state file."""
    import luigi.configuration
    import luigi.scheduler

    has_history = importlib.util.find_spec("sqlalchemy") is not None
    if has_history:
        folder = root.resolve() / ".work"
        folder.mkdir(parents=True, exist_ok=True)
        luigi.configuration.get_config().set("task_history", "db_connection", f"sqlite:///{folder / _HISTORY}")
    scheduler = luigi.scheduler.Scheduler(record_task_history=has_history)
    for method in ("load", "dump"):
        setattr(scheduler, method, lambda: None)
    return scheduler


def with_logs(application: Any, root: Path) -> Any:
    """The scheduler's web application, with the logs of tasks."""
    import tornado.web

    class Log(tornado.web.RequestHandler):  # type: ignore[misc]
        """The log of a task, as text."""

        def get(self, stage: str, name: str) -> None:
            text = log_of(root, stage, name)
            if text is None:
                raise tornado.web.HTTPError(404, "no log yet")
            self.set_header("Content-Type", "text/plain; charset=utf-8")
            self.set_header("X-Content-Type-Options", "nosniff")
            self.write(text)

    application.add_handlers(r".*", [(r"/logs/([^/]+)/([^/]+)", Log)])
    return application


def log_of(root: Path, stage: str, name: str) -> Optional[bytes]:
    """The last part of the log of a task that runs, failed or is done; None if there is none, or the names are no names."""
    if not (_NAME.fullmatch(stage) and _NAME.fullmatch(name)) or {stage, name} & {".", ".."}:
        return None
    for path in (root / ".work" / f"{stage}-{name}" / LOG, root / stage / name / LOG):
        try:
            with open(path, "rb") as file:
                file.seek(0, 2)
                file.seek(max(file.tell() - _MOST_BYTES, 0))
                return file.read()
        except OSError:
            continue
    return None
