"""The scheduler's page: a task's link to its log, and the messages that are sent to it from there."""

from __future__ import annotations

import contextlib
import threading
from typing import Any, Callable, Dict, Iterator

STOP, CHECKPOINT = "stop", "checkpoint"
_SECONDS_BETWEEN_LOOKS = 0.2


def show_log_link(task: Any) -> None:
    """Link the task on the page of a central scheduler to its log, which `python -m pipeline scheduler` serves.

    `task.set_tracking_url` alone would take the page's button for messages away: Luigi resets what is not repeated. What lies
    behind it is private, so it is used where it is as known, and else there is no link.
    """
    reporter = getattr(task.set_tracking_url, "__self__", None)
    scheduler, worker = getattr(reporter, "_scheduler", None), getattr(reporter, "_worker_id", None)
    address = getattr(scheduler, "_url", None)
    if scheduler is None or not address or worker is None:  # the scheduler of one run alone has no page
        return
    scheduler.add_task(
        task_id=task.task_id,
        worker=worker,
        status="RUNNING",
        tracking_url=f"{address.rstrip('/')}/logs/{task.stage}/{task.name}",
        accepts_messages=task.accepts_messages,
    )


@contextlib.contextmanager
def obeying_messages(task: Any, do: Dict[str, Callable[[], str]]) -> Iterator[None]:
    """While the task runs, do what messages from the page ask for, and answer them.

    Args: do: word -> what is done; its result is the answer. Other words are answered with those that are known.
    """
    messages = task.scheduler_messages
    if messages is None:
        yield
        return
    done = threading.Event()
    thread = threading.Thread(target=_listen, args=(messages, do, done), daemon=True)
    thread.start()
    try:
        yield
    finally:
        done.set()
        thread.join()


def _listen(messages: Any, do: Dict[str, Callable[[], str]], done: threading.Event) -> None:
    while not done.wait(_SECONDS_BETWEEN_LOOKS):
        while not messages.empty():
            message = messages.get()
            act = do.get(str(message.content).strip().lower())
            message.respond(act() if act else f"not understood; send one of: {', '.join(do)}")
