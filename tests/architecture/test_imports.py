"""Who may import whom, and that importing does nothing. Arrows never turn back."""

from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
FOUNDATION = (
    "tcc.config",
    "tcc.errors",
    "tcc.shapes",
    "tcc.sequences",
    "tcc.stored_values",
    "tcc.progress",
    "tcc.manifest",
    "tcc.isolation",
    "tcc.lazy",
)
HEAVY = ("tensorflow", "luigi")
ALLOWED = {
    "tcc/losses": ("tcc.losses", "tcc.shapes", "tcc.errors"),
    "tcc/evaluation": ("tcc.evaluation", "tcc.alignment", *FOUNDATION),
    "tcc/alignment": ("tcc.alignment", *FOUNDATION),
    "tcc/video": ("tcc.video", *FOUNDATION),
    "tcc/rendering": ("tcc.rendering", "tcc.video", *FOUNDATION),
    "tcc/weights": ("tcc.weights", *FOUNDATION),
    "tcc/report": ("tcc.report", "tcc.figures", "tcc.fonts", "tcc.alignment", "tcc.evaluation", *FOUNDATION),
    "tcc/models": ("tcc.models", "tcc.device", "tcc.video.shards", *FOUNDATION),
    "tcc/dataset": ("tcc.dataset", "tcc.video.shards", *FOUNDATION),
    "tcc/ascend_port": ("tcc.ascend_port", "tcc.device", "tcc.npu_options", "tcc.video.files", *FOUNDATION),
}
WITHOUT_TENSORFLOW = (
    *("tcc/report", "tcc/evaluation", "tcc/alignment", "tcc/video", "tcc/rendering", "tcc/weights"),
    "tcc/ascend_port",
)


def imports(path):
    """(module, whether at module level) of each import of a file."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    top = {id(node) for node in tree.body}
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from ((alias.name, id(node) in top) for alias in node.names)
        if isinstance(node, ast.ImportFrom) and node.level == 0:
            for alias in node.names:
                inner = f"{node.module}.{alias.name}"
                known = (ROOT / inner.replace(".", "/")).with_suffix(".py").exists()
                yield (inner if known else str(node.module)), id(node) in top


def files(folder):
    return sorted((ROOT / folder).rglob("*.py"))


def within(module, packages):
    return any(module == package or module.startswith(f"{package}.") for package in packages)


@pytest.mark.parametrize("folder", sorted(ALLOWED))
def test_a_package_imports_only_what_it_may(folder):
    for path in files(folder):
        for module, _ in imports(path):
            if within(module, ("tcc", "pipeline")):
                assert within(module, ALLOWED[folder]), f"{path.relative_to(ROOT)} imports {module}"


@pytest.mark.parametrize("folder", WITHOUT_TENSORFLOW)
def test_no_tensorflow_where_none_is_needed(folder):
    for path in files(folder):
        assert not [m for m, _ in imports(path) if within(m, ("tensorflow",))], path.relative_to(ROOT)


def test_the_foundation_needs_the_standard_library_and_numpy_alone():
    for name in (
        "config",
        "errors",
        "shapes",
        "sequences",
        "stored_values",
        "progress",
        "manifest",
        "isolation",
        "lazy",
    ):
        modules = {m.split(".")[0] for m, _ in imports(ROOT / "tcc" / f"{name}.py")}
        assert modules - {"tcc", "numpy"} <= set(sys.stdlib_module_names if sys.version_info >= (3, 10) else modules)


def test_the_library_knows_nothing_of_luigi_or_the_pipeline():
    for path in files("tcc"):
        assert not [m for m, _ in imports(path) if within(m, ("luigi", "pipeline"))], path.relative_to(ROOT)


def test_no_keras_in_the_library_or_the_pipeline():
    for path in [*files("tcc"), *files("pipeline")]:
        assert not [m for m, _ in imports(path) if "keras" in m], path.relative_to(ROOT)


def test_only_the_device_module_knows_the_plugin():
    for path in [*files("tcc"), *files("pipeline")]:
        if path.name != "device.py":
            assert not [m for m, _ in imports(path) if within(m, ("npu_device", "npu_bridge"))], path.relative_to(ROOT)


def test_importing_the_pipeline_is_quiet_and_light():
    code = (
        "import sys, pipeline; "
        "heavy = {'tensorflow', 'sklearn', 'matplotlib', 'av', 'cv2'} & set(sys.modules); assert not heavy, heavy"
    )
    answer = subprocess.run([sys.executable, "-W", "ignore", "-c", code], cwd=ROOT, capture_output=True, text=True)
    assert (answer.returncode, answer.stdout, answer.stderr) == (0, "", "")


def test_every_module_says_what_it_is_for():
    for path in [*files("tcc"), *files("pipeline")]:
        tree = ast.parse(path.read_text(encoding="utf-8"))
        assert ast.get_docstring(tree), path.relative_to(ROOT)


def test_no_module_is_called_utils():
    assert not [path for path in [*files("tcc"), *files("pipeline")] if "util" in path.stem]
