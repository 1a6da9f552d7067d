"""The loss and the alignment on embeddings of your own: no pipeline, no luigi.cfg, no data folder.

python examples/align_your_own_embeddings.py
"""

from __future__ import annotations

import numpy as np
import tensorflow as tf

from tcc.alignment import dynamic_time_warping
from tcc.losses import cycle_consistency_loss


def main() -> None:
    """Learn embeddings of two random walks that agree in time, then align them."""
    rng = np.random.default_rng(0)
    embeddings = tf.Variable(rng.normal(size=(2, 20, 8)).astype(np.float32))  # [B, T, D]
    for step in range(200):
        with tf.GradientTape() as tape:
            loss = cycle_consistency_loss(embeddings, loss="regression", temperature=0.1)
        embeddings.assign_sub(20.0 * tape.gradient(loss, embeddings))
        if step % 50 == 0:
            print(f"step {step}: loss {loss.numpy():.5f}")
    first, second = embeddings.numpy()
    print("frame of the second clip for each frame of the first:", dynamic_time_warping(first, second))


if __name__ == "__main__":
    main()
