"""luigi.cfg and the command line -> the frozen dataclasses of tcc.config; unknown sections and options are refused.

Each section of `tcc.config.SECTIONS` is a `luigi.Config` class of the same name, so that `--training-num-steps 200` works
on the command line. Order of precedence: command line, environment (`TCC_TRAINING_NUM_STEPS`), luigi.cfg, the default in
`tcc.config`.
"""

from __future__ import annotations

import configparser
import contextlib
import dataclasses
import difflib
import os
import re
from typing import Any, Callable, Dict, Iterator, List, Optional, Tuple

import luigi
import luigi.cmdline_parser
import luigi.configuration
import luigi.task_register
from luigi.parameter import ParameterVisibility

from tcc.config import SECTIONS, Settings
from tcc.errors import SettingsError, config_file_error

ENVIRONMENT_PREFIX = "TCC_"
_LUIGI_SECTIONS = (
    *("DEFAULT", "core", "cors", "email", "batch_notifier", "execution_summary", "logging", "loggers", "handlers"),
    *("formatters", "resources", "retcode", "scheduler", "sendgrid", "smtp", "task_history", "worker", "metrics"),
    *("datadog", "prometheus"),
)
_LUIGI_EXTRA_OPTIONS = {
    "core": (
        *("autoload_range", "default_scheduler_host", "default_scheduler_port", "email_sender"),
        *("rpc_connect_timeout", "rpc_retry_attempts", "rpc_retry_wait", "rpc_log_retries"),
    )
}
_FREE_SECTIONS = {"DEFAULT", "resources", "logging", "loggers", "handlers", "formatters"}

_current: Optional[Settings] = None
_when_changed: List[Callable[[], None]] = []


class TupleParameter(luigi.Parameter):
    """Numbers separated by commas, as in `channels = 128, 128`; empty for none."""

    def __init__(self, element: Callable[[str], Any], **keywords: Any) -> None:
        super().__init__(**keywords)
        self._element = element

    def parse(self, text: str) -> Tuple[Any, ...]:
        return tuple(self._element(part.strip()) for part in text.split(",") if part.strip())

    def serialize(self, value: Tuple[Any, ...]) -> str:
        return ", ".join(str(part) for part in value)


def current() -> Settings:
    """The settings of this process: read once, checked whole."""
    global _current
    if _current is None:
        _current = _read()
    return _current


@contextlib.contextmanager
def using(settings: Optional[Settings]) -> Iterator[None]:
    """Use these settings instead of the files' for a while (a stage's child process, tests); None: read the files again."""
    before = _current
    _replace(settings)
    try:
        yield
    finally:
        _replace(before)


def on_change(callback: Callable[[], None]) -> None:
    """Call `callback` whenever the settings of this process are replaced (memories that depend on them)."""
    _when_changed.append(callback)


def _replace(settings: Optional[Settings]) -> None:
    global _current
    _current = settings
    for callback in _when_changed:
        callback()


def _read() -> Settings:
    try:
        config = luigi.configuration.get_config()
        _refuse_unknown(config)
        _apply_environment(config)
    except (configparser.Error, UnicodeDecodeError) as error:
        raise config_file_error(error) from error
    return Settings(**{section: _section(section) for section in SECTIONS})


def _section(section: str) -> Any:
    try:
        values = CONFIG_CLASSES[section]()
    except (ValueError, luigi.parameter.ParameterException) as error:
        option = re.search(r"'(\w+)'", str(error).rsplit("Error when ", 1)[-1])
        where = f"[{section}] {option[1]}" if option else f"[{section}]"
        raise SettingsError(f"{where}: {error.__context__ or error}") from error
    fields = dataclasses.fields(SECTIONS[section])
    try:
        return SECTIONS[section](**{field.name: getattr(values, field.name) for field in fields})
    except SettingsError as error:
        raise SettingsError(f"[{section}] {error}") from error


def _refuse_unknown(config: Any) -> None:
    for section in config.sections():
        if section not in SECTIONS and section not in _LUIGI_SECTIONS:
            raise SettingsError(f"luigi.cfg: no section [{section}]{_suggest(section, [*SECTIONS, *_LUIGI_SECTIONS])}")
        known = _known_options(section)
        for option in config.options(section):
            if known is not None and option.replace("-", "_") not in known and option not in config.defaults():
                raise SettingsError(f'luigi.cfg [{section}]: no option "{option}"{_suggest(option, known)}')


def _known_options(section: str) -> Optional[List[str]]:
    if section in SECTIONS:
        return [field.name for field in dataclasses.fields(SECTIONS[section])]
    if section in _FREE_SECTIONS:
        return None
    try:
        parameters = luigi.task_register.Register.get_task_cls(section).get_params()
    except luigi.task_register.TaskClassException:
        return None
    return [name for name, _ in parameters] + list(_LUIGI_EXTRA_OPTIONS.get(section, ()))


def _apply_environment(config: Any) -> None:
    options = {
        f"{ENVIRONMENT_PREFIX}{section}_{field.name}".upper(): (section, field.name)
        for section, dataclass in SECTIONS.items()
        for field in dataclasses.fields(dataclass)
    }
    for variable, value in os.environ.items():
        if variable in options:
            config.set(*options[variable], value.replace("%", "%%"))


def _suggest(name: str, known: Any) -> str:
    close = difflib.get_close_matches(name, list(known), n=1, cutoff=0.4)
    return f'; did you mean "{close[0]}"?' if close else f"; known are: {', '.join(known)}"


def _parameter(default: Any) -> Any:
    keywords: Dict[str, Any] = {"default": default, "visibility": ParameterVisibility.PUBLIC}
    if isinstance(default, bool):
        return luigi.BoolParameter(parsing=luigi.BoolParameter.EXPLICIT_PARSING, **keywords)
    if isinstance(default, int):
        return luigi.IntParameter(**keywords)
    if isinstance(default, float):
        return luigi.FloatParameter(**keywords)
    if isinstance(default, tuple):
        return TupleParameter(type(default[0]) if default else str, **keywords)
    return luigi.Parameter(**keywords)


def _config_class(section: str) -> type:
    dataclass = SECTIONS[section]
    members = {field.name: _parameter(field.default) for field in dataclasses.fields(dataclass)}
    return type(section, (luigi.Config,), {"__doc__": dataclass.__doc__, "__module__": __name__, **members})


CONFIG_CLASSES = {section: _config_class(section) for section in SECTIONS}
