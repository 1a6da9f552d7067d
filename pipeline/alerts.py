"""Telling somebody who does not watch that a task failed: by a webhook of [alerts]; by e-mail, Luigi does it ([email]).

The address of a webhook is a secret: it is in no log, no manifest, no message.
"""

from __future__ import annotations

import logging
import socket
from typing import Any

import luigi

from tcc.errors import explain

_log = logging.getLogger("luigi-interface.pipeline")
_SECONDS = 10


def tell_of_failures() -> None:
    """From now on, and in processes forked from this one, post each failure to the webhook, where there is one."""
    luigi.Task.event_handler(luigi.Event.FAILURE)(_post)


def _post(task: Any, error: BaseException) -> None:
    from pipeline import settings

    address = settings.current().alerts.webhook
    if not address:
        return
    import requests

    text = f"{task.task_family} failed on {socket.gethostname()}: {explain(error)}"
    message = {
        "text": text,
        "task": task.task_family,
        "target": getattr(task, "name", ""),
        "host": socket.gethostname(),
    }
    try:
        answer = requests.post(address, json=message, timeout=_SECONDS, allow_redirects=False)
        if not answer.ok:
            _log.warning("the webhook of [alerts] answered %s", answer.status_code)
    except requests.RequestException as problem:
        _log.warning("the webhook of [alerts] was not reached (%s)", type(problem).__name__)
