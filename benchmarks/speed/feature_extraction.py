"""Images a second of FeatureCache beside a plain timm loop, alternately in one run.

    python benchmarks/speed/feature_extraction.py [--images 1920] [--rounds 6] [--threads 2]

The plain loop is what one writes without tlzoo: timm's network, eval mode, no_grad, the same images, batch size and
preprocessing, results joined in memory. Ours also hashes the weights and writes, hashes and reads back the features.
The ratio is of the best times: other work on the machine only ever adds to a time.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from collections.abc import Callable

import numpy as np
import timm
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from tlzoo.backbones import FeatureCache, create_backbone

Extractor = Callable[[NDArray[np.uint8]], NDArray[np.float32]]


def plain_loop(network: nn.Module, preprocess: Callable[[object], Tensor], batch_size: int) -> Extractor:
    """Return a function that extracts with nothing of tlzoo but the preprocessing."""

    def extract(images: NDArray[np.uint8]) -> NDArray[np.float32]:
        network.eval()
        with torch.no_grad():
            batches = [images[start : start + batch_size] for start in range(0, len(images), batch_size)]
            return np.concatenate([network(preprocess(batch)).numpy() for batch in batches])

    return extract


def measure(first: Extractor, second: Extractor, images: NDArray[np.uint8], rounds: int) -> tuple[float, float]:
    """Return the best seconds of both, run in turn; which comes first alternates."""
    best = [float("inf"), float("inf")]
    for number in range(rounds):
        results = {}
        for place in (0, 1) if number % 2 else (1, 0):
            started = time.perf_counter()
            results[place] = (first, second)[place](images)
            best[place] = min(best[place], time.perf_counter() - started)
        np.testing.assert_allclose(results[0], results[1], rtol=1e-4, atol=1e-5)
    return best[0], best[1]


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--images", type=int, default=1920)
    parser.add_argument("--rounds", type=int, default=6)
    parser.add_argument("--batch-size", type=int, default=64)
    parser.add_argument("--threads", type=int, default=2)
    options = parser.parse_args()
    torch.set_num_threads(options.threads)

    images = np.random.default_rng(0).integers(0, 256, (options.images, 72, 72, 3), dtype=np.uint8)
    backbone = create_backbone("efficientnet_lite0", pretrained=False)
    network = timm.create_model("tf_efficientnet_lite0", pretrained=False, num_classes=0)
    network.load_state_dict(dict(zip(network.state_dict(), backbone.state_dict().values(), strict=True)))
    plain = plain_loop(network, backbone.preprocess, options.batch_size)

    def cached(images: NDArray[np.uint8]) -> NDArray[np.float32]:
        with tempfile.TemporaryDirectory() as folder:
            features = FeatureCache(folder).features(
                backbone, images, checksum="speed", batch_size=options.batch_size, progress=False
            )
            return np.array(features)

    plain_seconds, our_seconds = measure(plain, cached, images, options.rounds)
    print(f"plain timm loop  {options.images / plain_seconds:8.1f} images/s")
    print(f"FeatureCache     {options.images / our_seconds:8.1f} images/s")
    print(f"ratio            {plain_seconds / our_seconds:8.3f}")


if __name__ == "__main__":
    main()
