"""How good is a finished run on test sets rendered from seeds that nobody has looked at?

    luigi --module pipeline RunAll --local-scheduler
    python benchmarks/unseen_sets.py --seeds 101 102 103

For each seed 20 new test videos go through the stages up to the features; the run's chosen checkpoint embeds them, without
training again. Prints each metric for the model and for every baseline: mean over the sets, and the worst set.
"""

from __future__ import annotations

import argparse
import dataclasses
import sys
from pathlib import Path

import luigi

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from pipeline.embedding import EmbedTask, embeddings_file
from pipeline.features import features_tasks, load_features, open_source
from pipeline.selection import SelectTask, chosen_step
from pipeline.settings import current, using
from pipeline.training import TrainTask, build_encoder
from pipeline.weights import WeightsTask
from tcc.report.metrics_table import MODEL, metric_rows
from tcc.sequences import load_sequences


def settings_of_set(settings, seed):
    """The run's settings with another rendered set, of which only the test split counts."""
    return dataclasses.replace(
        settings,
        videos=dataclasses.replace(settings.videos, name=f"unseen{seed}"),
        rendering=dataclasses.replace(settings.rendering, seed=seed, num_train=1, num_val=1),
    )


def features_of_set(settings):
    """(features, clips to embed) of the test split, through the pipeline's stages."""
    with using(settings):
        tasks = features_tasks(settings, "test")
        if not luigi.build(tasks, local_scheduler=True, log_level="WARNING"):
            sys.exit("a stage failed; see above")
        return load_features(tasks)[0], open_source(settings, tasks)[0]


def chosen_encoder(settings, source):
    """The encoder of the run, at the checkpoint that was chosen."""
    from tcc.training.checkpoints import restore_encoder

    encoder = build_encoder(settings, WeightsTask(), source)
    restore_encoder(TrainTask().directory, chosen_step(SelectTask().directory), encoder)
    return encoder


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seeds", type=int, nargs="+", default=[101, 102, 103])
    arguments = parser.parse_args()
    settings = current()
    if not EmbedTask().complete():
        sys.exit("no finished run with these settings: luigi --module pipeline RunAll --local-scheduler")
    sets = {seed: features_of_set(settings_of_set(settings, seed)) for seed in arguments.seeds}

    from tcc.device import open_device
    from tcc.embedding import embed_clips
    from tcc.evaluation import evaluate, standard_baselines

    open_device(settings.device.kind)
    train, phases = load_sequences(EmbedTask().directory / embeddings_file("train"))
    train_features = load_features(features_tasks(settings, "train"))[0]
    encoder = chosen_encoder(settings, next(iter(sets.values()))[1])
    tables = []
    for seed, (features, source) in sets.items():
        test = embed_clips(source, encoder, sampling=settings.sampling, batch_frames=settings.embedding.batch_frames)
        baselines = standard_baselines(
            train, test, features=(train_features, features), components=settings.evaluation.pca_components
        )
        results = evaluate(train, test, phases=phases, split="test", config=settings.evaluation, baselines=baselines)
        tables.append(metric_rows(results))
        print(f"seed {seed}: " + ", ".join(f"{row.text.title} {row.cells[MODEL].value:.3f}" for row in tables[-1]))
    print_table(tables)


def print_table(tables):
    """Mean and worst over the sets as Markdown."""
    subjects = list(tables[0][0].cells)
    print("\n| metric, mean (worst) | " + " | ".join(subjects) + " |\n|" + " --- |" * (len(subjects) + 1))
    for rows in zip(*tables):
        worst = max if rows[0].text.better == "lower" else min
        cells = []
        for subject in subjects:
            values = [row.cells[subject].value for row in rows]
            cells.append(f"{sum(values) / len(values):.3f} ({worst(values):.3f})")
        print(f"| {rows[0].text.title} | " + " | ".join(cells) + " |")


if __name__ == "__main__":
    main()
