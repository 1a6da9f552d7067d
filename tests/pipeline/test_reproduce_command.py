"""The command on the report is understood as the settings that it was made from."""

from __future__ import annotations

import json
import shlex
import subprocess
import sys
from pathlib import Path

from tcc.config import EmbedderConfig, EvaluationConfig, FeaturesConfig, Settings, TrainingConfig, VideosConfig
from tcc.report.sections import COMMAND, reproduce_command

ROOT = Path(__file__).resolve().parents[2]
READ = (
    "import json, sys; from pipeline import settings; from pipeline.__main__ import _take_settings; "
    "_take_settings(sys.argv[1:]); print(json.dumps(settings.current().as_dict()))"
)


def test_the_command_gives_the_settings_back():
    made_from = Settings(
        videos=VideosConfig(name="it's mine"),
        embedder=EmbedderConfig(channels=(16, 8), normalize=True),
        features=FeaturesConfig(center=False),
        training=TrainingConfig(num_steps=7),
        evaluation=EvaluationConfig(train_fractions=(0.5, 1.0)),
    )
    words = shlex.split(reproduce_command(made_from.as_dict()))
    beginning = len(COMMAND.split())
    assert words[:beginning] == COMMAND.split()
    command = [sys.executable, "-W", "ignore", "-c", READ, *words[beginning:]]
    answer = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True)
    assert Settings.from_dict(json.loads(answer.stdout.splitlines()[-1])) == made_from
