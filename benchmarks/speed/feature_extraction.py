"""Images a second of FeatureCache beside a plain timm loop, batch by batch in one run.

    python benchmarks/speed/feature_extraction.py [--images 1920] [--rounds 3] [--threads 2]

The plain loop is what one writes without tlzoo: timm's network, eval mode, no_grad, the same images, weights, batch
size and preprocessing. Ours also hashes the weights, checks the features, writes, hashes and reads them back; all of it
counts. After each batch of ours the plain loop does the same batch, so that other work on the machine falls on both
alike; what is left of it disturbs CPU time less than wall time.
"""

from __future__ import annotations

import argparse
import tempfile
import time

import numpy as np
import timm
import torch
from numpy.typing import NDArray
from torch import nn

from tlzoo.backbones import FeatureCache, create_backbone
from tlzoo.types import Backbone

Times = NDArray[np.float64]


def now() -> Times:
    """Return (wall, CPU) seconds."""
    return np.array([time.perf_counter(), time.process_time()])


def shared_pair() -> tuple[Backbone, nn.Module]:
    """Return our backbone and timm's network with the same tensors.

    Copies would do for the features, but where weights happen to lie in memory alone changes the speed by some percent.
    """
    backbone = create_backbone("efficientnet_lite0", pretrained=False)
    network = timm.create_model("tf_efficientnet_lite0", pretrained=False, num_classes=0).eval()
    weights = dict(zip(network.state_dict(), backbone.state_dict().values(), strict=True))
    network.load_state_dict(weights, assign=True)
    return backbone, network


def measure(images: NDArray[np.uint8], batch_size: int) -> tuple[Times, Times]:
    """Return (wall, CPU) seconds of the plain loop and of ours, for all images."""
    backbone, network = shared_pair()
    parts: list[NDArray[np.float32]] = []
    plain = np.zeros(2)

    def plain_batch(done: int, _total: int) -> None:
        started = now()
        with torch.no_grad():
            batch = images[len(parts) * batch_size : done]
            parts.append(network(backbone.preprocess(batch)).numpy())
        plain[:] += now() - started

    with tempfile.TemporaryDirectory() as folder:
        started = now()
        features = FeatureCache(folder).features(
            backbone, images, checksum="speed", batch_size=batch_size, progress=plain_batch
        )
        ours = now() - started - plain
        np.testing.assert_allclose(np.concatenate(parts), features, rtol=1e-4, atol=1e-5)
    return plain, ours


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--images", type=int, default=1920)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--batch-size", type=int, default=64)
    parser.add_argument("--threads", type=int, default=2)
    options = parser.parse_args()
    torch.set_num_threads(options.threads)

    images = np.random.default_rng(0).integers(0, 256, (options.images, 72, 72, 3), dtype=np.uint8)
    measure(images[: options.batch_size], options.batch_size)  # warms up
    rounds = [measure(images, options.batch_size) for _ in range(options.rounds)]
    plain, ours = (np.sum([times[place] for times in rounds], axis=0) for place in (0, 1))
    count = options.images * options.rounds
    for place, name in enumerate(("wall", "CPU ")):
        print(f"{name}  plain timm loop {count / plain[place]:7.1f}/s", end="  ")
        print(f"FeatureCache {count / ours[place]:7.1f}/s  ratio {plain[place] / ours[place]:.3f}")


if __name__ == "__main__":
    main()
