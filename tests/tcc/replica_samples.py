"""`python -m tests.tcc.replica_samples FOLDER HOW METHOD...`: trainings of 20 steps, their weights and losses left in FOLDER.

HOW: one, mirrored (two logical CPUs), processes (by TF_CONFIG), hccl (by RANK_ID and RANK_SIZE, on the stand-in).
"""

from __future__ import annotations

import dataclasses
import json
import os
import socket
import sys
from pathlib import Path

import numpy as np

STEPS = 20
RATES = {"momentum": 0.01, "adam": 0.0001}


def free_ports(count):
    sockets = [socket.socket() for _ in range(count)]
    for one in sockets:
        one.bind(("127.0.0.1", 0))
    ports = [one.getsockname()[1] for one in sockets]
    for one in sockets:
        one.close()
    return ports


def replicas_of(how):
    import tensorflow as tf

    from tcc.training.replicas import Distributed, Replicas

    if how == "mirrored":
        return Distributed(tf.distribute.MirroredStrategy(["/cpu:0", "/cpu:1"]))
    if how == "processes":
        task = json.loads(os.environ["TF_CONFIG"])["task"]["index"]
        return Distributed(tf.distribute.MultiWorkerMirroredStrategy(), process=task, processes=2)
    return Replicas()


def main(folder, how, methods):
    import tensorflow as tf

    from tcc.device import open_device

    if how == "mirrored":
        (cpu,) = tf.config.list_physical_devices("CPU")
        tf.config.set_logical_device_configuration(cpu, [tf.config.LogicalDeviceConfiguration()] * 2)
    open_device("cpu")
    replicas = replicas_of(how)
    for method in methods:
        for optimizer in ("momentum", "adam"):
            train_and_save(Path(folder), method, optimizer, replicas)


def train_and_save(folder, method, optimizer, replicas):
    from tcc.config import OptimizerConfig
    from tcc.training import train
    from tests.tcc.test_training_methods import labelled_clips
    from tests.tcc.training_samples import SAMPLING, TRAINING, embeddings_of, sample_encoder, weights

    encoders = []
    for local in range(len(replicas.ranks)):
        with replicas.place(local):
            encoders.append(sample_encoder())
    training = dataclasses.replace(
        TRAINING, method=method, batch_size=4, num_steps=STEPS, checkpoint_every=10, learning_rate=RATES[optimizer]
    )
    directory = folder / f"{method}-{optimizer}"
    result = train(
        labelled_clips(),
        encoders[0],
        directory,
        sampling=dataclasses.replace(SAMPLING, num_frames=6),
        training=training,
        optimizer=OptimizerConfig(optimizer, momentum=0.0),
        replicas=replicas,
        others=encoders[1:],
    )
    if replicas.is_chief:
        values = {name: np.float32(value) for name, value in result.losses.items()}
        values["embeddings"] = embeddings_of(encoders[0], "conv")
        if optimizer == "momentum":
            values.update(weights(encoders[0]))
        np.savez(folder / f"{method}-{optimizer}.npz", **values)


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2], sys.argv[3:])
