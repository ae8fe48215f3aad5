"""Documents a second of FeatureCache beside a plain ``SentenceTransformer.encode``, round by round in one run.

    python benchmarks/speed/text_encoding.py [--documents 512] [--rounds 4] [--characters 2000] [--threads 1]

The documents are posts of 20 newsgroups, of very different length; most of the long ones fill the encoder's 256 tokens.
Both sides share one MiniLM. ``encode`` runs as it comes; ours hashes weights, tokenizer and texts, sorts by length,
checks the features, writes, hashes and reads them back: all of it counts. The sides take turns, the other one first in
every second round, so that other work on the machine falls on both alike. Then every round is asked for again, which
reads the cache.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from tlzoo import sources
from tlzoo.backbones import FeatureCache, create_backbone
from tlzoo.data.datasets.text_zeroshot import read_tab

Times = NDArray[np.float64]


def now() -> Times:
    """Return (wall, CPU) seconds."""
    return np.array([time.perf_counter(), time.process_time()])


def documents(count: int, characters: int) -> NDArray[Any]:
    """Return a fixed draw of posts, each cut after so many characters."""
    (path,) = sources.path("newsgroups").rglob("20newsgroups-train.tab")
    texts, _ = read_tab(path, characters=characters)
    return texts[np.random.default_rng(0).permutation(len(texts))[:count]]


class Round:
    """One set of documents, encoded by both sides.

    Args:
        backbone: ours; its ``encoder`` is the plain side.
        cache: empty.
        texts: (N,).
    """

    def __init__(self, backbone: Any, cache: FeatureCache, texts: NDArray[Any]) -> None:
        self.backbone, self.cache, self.texts = backbone, cache, texts

    def ours(self) -> NDArray[Any]:
        """Return features from the cache, which computes what it does not have."""
        checksum = f"speed {len(self.texts)} {self.texts[0][:40]}"
        return self.cache.features(self.backbone, self.texts, checksum=checksum, progress=False)

    def plain(self) -> NDArray[Any]:
        """Return what ``encode`` gives."""
        features: NDArray[Any] = self.backbone.encoder.encode(self.texts.tolist(), show_progress_bar=False)
        return features

    def measure(self, *, plain_first: bool) -> dict[str, Times]:
        """Return the (wall, CPU) seconds of both and of a second run of ours.

        Raises:
            AssertionError: their features differ.
        """
        times, found = {}, {}
        order = ("plain", "ours") if plain_first else ("ours", "plain")
        for name in order:
            started = now()
            found[name] = getattr(self, name)()
            times[name] = now() - started
        started = now()
        self.ours()
        times["again"] = now() - started
        np.testing.assert_allclose(found["ours"], found["plain"], rtol=1e-3, atol=1e-5)
        return times


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--documents", type=int, default=512)
    parser.add_argument("--rounds", type=int, default=4)
    parser.add_argument("--characters", type=int, default=2000)
    parser.add_argument("--threads", type=int, default=1)
    options = parser.parse_args()
    torch.set_num_threads(options.threads)

    texts = documents(options.documents * options.rounds, options.characters)
    backbone = create_backbone("sentence:minilm")
    total: dict[str, Times] = {name: np.zeros(2) for name in ("plain", "ours", "again")}
    with tempfile.TemporaryDirectory() as folder:
        cache = FeatureCache(folder)
        Round(backbone, cache, texts[:32]).measure(plain_first=True)  # warms up
        for number in range(options.rounds):
            part = texts[number * options.documents : (number + 1) * options.documents]
            for name, seconds in Round(backbone, cache, part).measure(plain_first=number % 2 == 0).items():
                total[name] += seconds
    for place, clock in enumerate(("wall", "CPU ")):
        print(f"{clock}  encode {len(texts) / total['plain'][place]:7.1f}/s", end="  ")
        print(f"FeatureCache {len(texts) / total['ours'][place]:7.1f}/s", end="  ")
        print(f"ratio {total['plain'][place] / total['ours'][place]:.3f}", end="  ")
        print(f"again from the cache {1000 * total['again'][place] / options.rounds:.0f} ms a round")


if __name__ == "__main__":
    main()
