"""Episodes a second of the methods that answer from a few features and a class text, on cached features.

    python benchmarks/speed/image_text.py [--way 16] [--shot 4] [--query 3] [--width 512] [--episodes 320]

Features are random, as wide as CLIP's by default; the time of none of the methods depends on their values. Episodes are
drawn, gathered and answered 32 at a time, as the harness does, with one thread; times are the process's own CPU time.
"""

from __future__ import annotations

import argparse
import time

import numpy as np
import torch
from torch.nn import functional as F

from tlzoo import create_method
from tlzoo.data.episodes import EpisodeSampler
from tlzoo.methods.image_text_classifier import ImageTextClassifier
from tlzoo.registry import list_methods, method_class

GOAL = 100
"""Episodes a second."""

_CHUNK, _CLASSES, _ITEMS = 32, 64, 40


def rate(method: ImageTextClassifier, sampler: EpisodeSampler, *, width: int, episodes: int) -> float:
    """Return how many episodes a second a method answers."""
    generator = torch.Generator().manual_seed(0)
    features = F.normalize(torch.randn(_CLASSES * _ITEMS, width, generator=generator), dim=-1)
    texts = F.normalize(torch.randn(_CLASSES, width, generator=generator), dim=-1)
    start = time.process_time()
    with torch.no_grad():
        for first in range(0, episodes, _CHUNK):
            drawn = sampler.stack(first, _CHUNK)
            support, labels, query = (torch.from_numpy(np.array(part)) for part in drawn[:3])
            classes = support[:, :: sampler.shot] // _ITEMS
            method(features[support], labels, features[query], texts[classes], way=sampler.way)
    return episodes / (time.process_time() - start)


def main() -> None:
    """Print a row for each method."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    for name, value in {"way": 16, "shot": 4, "query": 3, "width": 512, "episodes": 320}.items():
        parser.add_argument(f"--{name}", type=int, default=value)
    given = parser.parse_args()
    torch.set_num_threads(1)
    sampler = EpisodeSampler(
        np.arange(_CLASSES).repeat(_ITEMS), way=given.way, shot=given.shot, query=given.query, seed=0
    )
    print(f"| method | episodes a second | at least {GOAL} |\n| --- | --- | --- |")
    for name in list_methods("oneshot"):
        if issubclass(method_class(name), ImageTextClassifier):
            method = create_method(name)
            assert isinstance(method, ImageTextClassifier)
            found = rate(method, sampler, width=given.width, episodes=given.episodes)
            print(f"| `{name}` | {found:.0f} | {'yes' if found >= GOAL else 'no'} |")


if __name__ == "__main__":
    main()
