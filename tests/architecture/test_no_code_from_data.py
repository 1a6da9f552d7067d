"""Nothing that lies in a file is run: no pickle of a file, no shell, no text as code."""

from __future__ import annotations

import ast

import pytest

from tests.architecture.test_imports import ROOT, files

SOURCES = [path for folder in ("tcc", "pipeline", "scripts", "benchmarks") for path in files(folder)]
FORBIDDEN_CALLS = {"eval", "exec", "os.system", "os.popen", "subprocess.getoutput", "subprocess.getstatusoutput"}
LOADERS = {"pickle.load", "joblib.load", "torch.load", "marshal.load", "marshal.loads", "shelve.open", "yaml.load"}
MAY_PICKLE = {"tcc/isolation.py"}  # between a process and its own workers, by pipes


def dotted(node):
    return f"{dotted(node.value)}.{node.attr}" if isinstance(node, ast.Attribute) else getattr(node, "id", "?")


def offences(source):
    tree = ast.parse(source)
    for node in ast.walk(tree):
        names = [alias.name for alias in node.names] if isinstance(node, (ast.Import, ast.ImportFrom)) else []
        yield from (name for name in names if name in ("pickle", "cPickle", "dill", "joblib", "marshal", "shelve"))
        if isinstance(node, ast.Call):
            if dotted(node.func) in FORBIDDEN_CALLS | LOADERS:
                yield dotted(node.func)
            for keyword in node.keywords:
                if (keyword.arg, getattr(keyword.value, "value", None)) in (
                    *(("shell", True), ("allow_pickle", True), ("verify", False)),
                ):
                    yield f"{keyword.arg}={keyword.value.value}"


@pytest.mark.parametrize("path", SOURCES, ids=lambda path: str(path.relative_to(ROOT)))
def test_no_source_runs_what_it_reads(path):
    found = list(offences(path.read_text(encoding="utf-8")))
    if str(path.relative_to(ROOT)) in MAY_PICKLE:
        found = [offence for offence in found if offence != "pickle"]
    assert not found


@pytest.mark.parametrize(
    "source",
    [
        "import pickle",
        "from os import path\nimport joblib",
        "os.system('ls')",
        "eval(text)",
        "subprocess.run(command, shell=True)",
        "numpy.load(path, allow_pickle=True)",
        "requests.get(url, verify=False)",
    ],
)
def test_what_is_looked_for_is_found(source):
    assert list(offences(source))
