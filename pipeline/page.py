"""The scheduler's page: a task's link to its log, and the messages that are sent to it from there."""

from __future__ import annotations

import contextlib
import threading
from typing import Any, Callable, Dict, Iterator

import luigi.configuration

STOP, CHECKPOINT = "stop", "checkpoint"
_SECONDS_BETWEEN_LOOKS = 0.2


def show_log_link(task: Any) -> None:
    """Link the task on the page to its log, which `python -m pipeline scheduler` serves."""
    if task.set_tracking_url is None:  # not run by a worker of Luigi
        return
    config = luigi.configuration.get_config()
    host = config.get("core", "scheduler_host", "127.0.0.1")
    port = config.get("core", "scheduler_port", "8082")
    _set_link(task, f"http://{host}:{port}/logs/{task.stage}/{task.name}")


def _set_link(task: Any, address: str) -> None:
    """`set_tracking_url` alone would take the page's button for messages away: Luigi resets what it does not repeat."""
    reporter = getattr(task.set_tracking_url, "__self__", None)
    scheduler, worker = getattr(reporter, "_scheduler", None), getattr(reporter, "_worker_id", None)
    if scheduler is None or worker is None:
        task.set_tracking_url(address)
        return
    scheduler.add_task(
        task_id=task.task_id,
        worker=worker,
        status="RUNNING",
        tracking_url=address,
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
