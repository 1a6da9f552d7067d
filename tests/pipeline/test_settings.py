"""luigi.cfg and the command line -> frozen dataclasses; what is unknown or illegal is refused with one clear line."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]


def ask(tmp_path, text, *arguments, **variables):
    """The answer of a `luigi` command under a configuration file with `text`."""
    (tmp_path / "more.cfg").write_text(text)
    command = [sys.executable, "-m", "luigi", "--module", "tests.pipeline.toy", "ToyFirst", "--local-scheduler"]
    settings = {"LUIGI_CONFIG_PATH": str(tmp_path / "more.cfg"), "PYTHONPATH": str(ROOT)}
    quick = {"TCC_EXECUTION_DATA": str(tmp_path / "data"), "TCC_TRAINING_NUM_STEPS": "1"}
    answer = subprocess.run(
        [*command, *arguments],
        cwd=ROOT,
        env={**os.environ, **settings, **quick, **variables},
        capture_output=True,
        text=True,
    )
    return answer.returncode, answer.stderr


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("[trainin]\nseed = 1\n", 'luigi.cfg: no section [trainin]; did you mean "training"?'),
        ("[training]\nlr = 1\n", 'luigi.cfg [training]: no option "lr"'),
        ("[training]\nlearning_rat = 1\n", 'did you mean "learning_rate"?'),
        ("[retcode]\ntask_faild = 1\n", 'luigi.cfg [retcode]: no option "task_faild"; did you mean "task_failed"?'),
        ("[training]\nbatch_size = 1\n", "[training] batch_size: must be at least 2, got 1"),
        ("[training]\nbatch_size = many\n", "[training] batch_size: invalid literal for int"),
        ("[device]\nkind = tpu\n", "[device] kind: must be one of auto, npu, gpu, cpu; got 'tpu'"),
    ],
)
def test_what_is_wrong_is_refused_in_one_line(tmp_path, text, message):
    code, told = ask(tmp_path, text)
    assert code != 0
    assert message in told
    assert "Traceback" not in told


def test_precedence_is_command_line_environment_file_default(tmp_path):
    def fingerprint(*arguments, **variables):
        code, told = ask(tmp_path, "[frames]\nfps = 3\n", *arguments, **variables)
        assert code == 0, told
        return {path.name for path in (tmp_path / "data" / "toy_first").iterdir()}

    from_file = fingerprint()
    assert fingerprint(TCC_FRAMES_FPS="3") == from_file
    from_environment = fingerprint(TCC_FRAMES_FPS="4")
    assert len(from_environment) == 2
    assert fingerprint("--frames-fps", "4", TCC_FRAMES_FPS="9") == from_environment


def test_documents_and_luigi_cfg_agree_with_the_code():
    answer = subprocess.run(
        [sys.executable, str(ROOT / "scripts" / "write_docs.py"), "--check"], capture_output=True, text=True
    )
    assert answer.returncode == 0, answer.stdout
