"""Packages whose names load their modules when they are first used: importing them is cheap."""

from __future__ import annotations

import importlib
from typing import Any, Callable, Mapping


def names_of(package: str, home: Mapping[str, str]) -> Callable[[str], Any]:
    """A package's `__getattr__`.

    Args:
      package: its name.
      home: the module of each public name.
    """

    def find(name: str) -> Any:
        if name not in home:
            raise AttributeError(f"module {package!r} has no attribute {name!r}")
        return getattr(importlib.import_module(f"{package}.{home[name]}"), name)

    return find
