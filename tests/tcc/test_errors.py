"""The texts that people read when something is wrong."""

from __future__ import annotations

import pytest

from tcc import errors
from tcc.errors import ShapeError, explain
from tcc.shapes import check_rank, check_same_axis


def test_a_missing_library_of_opencv_names_the_packages():
    text = explain(ImportError("libGL.so.1: cannot open shared object file: No such file or directory"))
    assert "libGL.so.1" in text and "apt-get install libgl1 libglib2.0-0" in text


def test_other_errors_keep_their_kind():
    assert explain(ImportError("No module named 'x'")) == "ImportError: No module named 'x'"
    assert explain(errors.VideoError("a.mp4: empty")) == "a.mp4: empty"


def test_the_docstring_draws_every_error():
    family = [name for name, one in vars(errors).items() if isinstance(one, type) and issubclass(one, errors.TccError)]
    assert len(family) > 5
    assert all(name in errors.__doc__ for name in family)


def test_checks_of_shape_say_what_came():
    import numpy as np

    with pytest.raises(ShapeError, match=r"embeddings: expected \[B, T, D\], got shape \[2, 3\]"):
        check_rank("embeddings", np.zeros((2, 3)), 3, axes="B T D")
    with pytest.raises(ShapeError, match=r"a and b differ in channels: got shapes \[2, 3\] and \[2, 4\]"):
        check_same_axis("a", np.zeros((2, 3)), "b", np.zeros((2, 4)), axis=1, what="channels")
