"""Which checkpoint a rule chooses: the best, of equal ones the earlier, never one without a score."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest

from tcc.config import LOWER_IS_BETTER, SELECTION_RULES, EmbeddingConfig, EvaluationConfig, SelectionConfig, Settings
from tcc.device import open_device
from tcc.embedding import embed_clips
from tcc.errors import CheckpointError
from tcc.evaluation import measure_metric
from tcc.selection import Candidates, _choose, select_checkpoint
from tcc.training.checkpoints import restore_encoder
from tests.tcc.training_samples import SAMPLING, TRAINING, sample_clips, sample_encoder, train_here

PHASES = ["a", "b"]
EVALUATION = EvaluationConfig(train_fractions=(1.0,), few_shot_videos=(1, 2), few_shot_episodes=2)


@pytest.fixture(autouse=True, scope="module")
def device():
    open_device("cpu")


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    directory = tmp_path_factory.mktemp("training")
    train_here(directory, 7)
    return directory


def labelled(*, seed):
    clips = sample_clips(seed=seed)
    halves = [np.arange(len(labels)) * 2 // len(labels) for labels in clips.labels]
    for index, half in enumerate(halves):
        clips.labels[index][:] = half
    return clips


def settings_of(rule, **training):
    return Settings(
        sampling=SAMPLING,
        training=dataclasses.replace(TRAINING, **training),
        selection=SelectionConfig(rule=rule, frame_stride=1),
        embedding=EmbeddingConfig(batch_frames=16),
        evaluation=EVALUATION,
    )


def candidates_in(directory, **changes):
    own = {
        "directory": directory,
        "encoder": sample_encoder(),
        "head": None,
        "validation": labelled(seed=1),
        "phases": PHASES,
        "training_clips": labelled(seed=0),
    }
    return Candidates(**{**own, **changes})


@pytest.mark.parametrize("rule", SELECTION_RULES)
def test_every_rule_chooses_the_best_of_its_own_scores(trained, rule):
    chosen = select_checkpoint(candidates_in(trained), settings_of(rule))
    assert [score["step"] for score in chosen["scores"]] == [3, 6, 7]
    losses = [score["validation_loss"] for score in chosen["scores"]]
    assert np.isfinite(losses).all() and len(set(losses)) == 3
    if rule == "last":
        assert (chosen["step"], chosen["why"]) == (7, "the last checkpoint")
        return
    values = [score["value"] for score in chosen["scores"]]
    if rule == "validation_loss":
        assert values == losses
    best = min(values) if rule in (*LOWER_IS_BETTER, "validation_loss") else max(values)
    assert chosen["step"] == [3, 6, 7][values.index(best)]


def test_a_score_is_the_metric_of_that_checkpoint_s_embeddings(trained):
    chosen = select_checkpoint(candidates_in(trained), settings_of("phase_progression"))
    for score in chosen["scores"]:
        encoder = sample_encoder(seed=9)
        restore_encoder(trained, score["step"], encoder)
        train, test = (embed_clips(labelled(seed=seed), encoder, sampling=SAMPLING, batch_frames=16) for seed in (0, 1))
        own = measure_metric("phase_progression", train, test, phases=PHASES, split="val", config=EVALUATION)
        assert score["value"] == pytest.approx(own["value"], rel=1e-6)


def scores_of(*values):
    return [{"step": step, "value": value, "reason": "no reason"} for step, value in enumerate(values)]


@pytest.mark.parametrize(
    ("rule", "values", "step"),
    [
        ("kendalls_tau", (0.1, 0.5, 0.5, 0.2), 1),
        ("boundary_transfer", (0.3, None, 0.2, 0.2), 2),
        ("validation_loss", (0.3, 0.1, 0.1), 1),
        ("phase_agreement", (None, 0.0, None), 1),
        ("last", (0.9, 0.1), 1),
    ],
)
def test_ties_go_to_the_earlier_one_and_undefined_scores_are_never_chosen(tmp_path, rule, values, step):
    assert _choose(scores_of(*values), rule, candidates_in(tmp_path))["step"] == step


def test_why_names_the_metric_as_people_do(tmp_path):
    why = _choose(scores_of(0.25), "kendalls_tau", candidates_in(tmp_path))["why"]
    assert why == "highest Kendall's tau on the validation split (0.2500)"


def test_no_defined_score_is_an_error(trained, tmp_path):
    with pytest.raises(
        CheckpointError, match="kendalls_tau is undefined for every checkpoint: no reason; choose another"
    ):
        _choose(scores_of(None, None), "kendalls_tau", candidates_in(tmp_path))
    with pytest.raises(CheckpointError, match=r"validation_loss is undefined for every .*: 1 clips, and a batch takes"):
        select_checkpoint(candidates_in(trained, validation=sample_clips(num_clips=1)), settings_of("validation_loss"))
    with pytest.raises(CheckpointError, match="no checkpoint to choose from"):
        select_checkpoint(candidates_in(tmp_path), settings_of("last"))


def test_scores_that_are_recalled_are_not_computed(trained):
    known = {"value": 0.25, "reason": "", "validation_loss": 1.0}
    asked = []

    def recall(step, score):
        asked.append(step)
        return known if step != 6 else score()

    scores = select_checkpoint(candidates_in(trained), settings_of("kendalls_tau"), recall=recall)["scores"]
    assert asked == [3, 6, 7]
    assert [score["value"] == 0.25 for score in scores] == [True, False, True]
