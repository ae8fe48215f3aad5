"""Time an episode and accuracy of one-shot classifiers beside easyfsl 1.5.0, on the same features and episodes.

    pip install --no-deps easyfsl==1.5.0        # for this comparison alone; tlzoo does not use it
    python benchmarks/speed/oneshot.py [--way 5] [--episodes 10000] [--peer-seconds 20] [--methods tim pt_map]
    python benchmarks/speed/oneshot.py --dirichlet 2 --query 3      # unbalanced queries, three a class on average

Features are those of efficientnet_lite0 on the novel concepts of emoji-oneshot, one shot, six queries a class. easyfsl
answers as many of the episodes as it can in the seconds that it is given (2,000 at most), accuracies are of exactly
these, with the interval of their paired difference. It is given features that are centred by the base mean and
normalized already (ProtoNet raw ones), as tensors; its time is gathering an episode's features and answering. Ours is
everything: drawing the episodes, transforming the features, the products of the set, answering. All run with one
thread; times are the process's own CPU time.
"""

from __future__ import annotations

import argparse
import importlib
import time
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from tlzoo import create_method, load_task
from tlzoo.data import EpisodeTask
from tlzoo.data.episodes import EpisodeIndices
from tlzoo.data.example_set import ExampleSet
from tlzoo.lit.frozen_features import with_features
from tlzoo.methods.episode_answers import EpisodeAnswers
from tlzoo.methods.episode_classifier import EpisodeClassifier
from tlzoo.registry import accepted_settings
from tlzoo.types import Sees


@dataclass(frozen=True)
class Pair:
    """A method of ours and the one of easyfsl beside it."""

    method: str
    peer: str
    goal: int  # how many times as fast ours is to be


PAIRS = (
    Pair("protonet", "PrototypicalNetworks", 5),
    Pair("simpleshot", "SimpleShot", 5),
    Pair("bd_cspn", "BDCSPN", 8),
    Pair("laplacian_shot", "LaplacianShot", 10),
    Pair("tim", "TIM", 20),
    Pair("pt_map", "PTMAP", 50),
    Pair("finetune", "Finetune", 20),
    Pair("transductive_finetuning", "TransductiveFinetuning", 20),
)
RAW = ("protonet",)


def features_of(examples: ExampleSet) -> Tensor:
    """Return all features of a set."""
    features: Tensor = examples.batch(np.arange(len(examples))).inputs
    return features


def hits(logits: Tensor, labels: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
    """Return the accuracy of each episode."""
    accuracies: np.ndarray[Any, Any] = (logits.argmax(dim=-1).numpy() == labels).mean(axis=1)
    return accuracies


def ours(
    name: str, base: Tensor, novel: Tensor, draw: Callable[[], EpisodeIndices], way: int
) -> tuple[np.ndarray[Any, Any], float]:
    """Return the accuracy of each episode and the milliseconds of one."""
    method = create_method(name, **accepted_settings(name, num_features=base.shape[1]))
    assert isinstance(method, EpisodeClassifier)
    if Sees.SOURCE_INPUTS in method.sees:
        method.fit_base(base, None)
    begun = time.process_time()
    episodes = draw()
    logits = EpisodeAnswers(method, novel)(episodes, way=way)
    return hits(logits, episodes.query_labels), 1000 * (time.process_time() - begun) / len(episodes.support)


def theirs(peer: str, features: Tensor, episodes: EpisodeIndices, seconds: float) -> tuple[np.ndarray[Any, Any], float]:
    """Return the accuracy of the episodes that fit into the seconds, and the milliseconds of one."""
    classifier = getattr(importlib.import_module("easyfsl.methods"), peer)()
    support, labels, query, answers = map(torch.from_numpy, episodes)
    found, begun = [], time.process_time()
    for place in range(min(len(support), 2000)):
        classifier.process_support_set(features[support[place]], labels[place])
        scores = classifier(features[query[place]]).detach()
        found.append(float((scores.argmax(dim=-1) == answers[place]).float().mean()))
        if time.process_time() - begun > seconds:
            break
    return np.array(found), 1000 * (time.process_time() - begun) / len(found)


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--way", type=int, default=5)
    parser.add_argument("--episodes", type=int, default=10_000)
    parser.add_argument("--query", type=int, default=6)
    parser.add_argument("--dirichlet", type=float)
    parser.add_argument("--peer-seconds", type=float, default=20.0)
    parser.add_argument("--methods", nargs="+", default=[pair.method for pair in PAIRS])
    options = parser.parse_args()
    torch.set_num_threads(1)
    warnings.filterwarnings("ignore", module="easyfsl")
    task = load_task("emoji-oneshot")
    assert isinstance(task, EpisodeTask)
    task = with_features(task, "efficientnet_lite0")
    base, novel = features_of(task.base), features_of(task.novel)
    normalized = F.normalize(novel - base.mean(dim=0), dim=-1)
    shape = {"way": options.way, "query": options.query, "dirichlet": options.dirichlet}
    listed = task.episodes(seed=0, **shape).stack(0, options.episodes)
    queries = f"{options.query} queries a class" + (f", Dirichlet {options.dirichlet}" if options.dirichlet else "")
    print(f"{options.way}-way, one shot, {queries}; ms an episode over {options.episodes} of ours, one thread")
    for pair in PAIRS:
        if pair.method not in options.methods:
            continue
        peer, peer_time = theirs(pair.peer, novel if pair.method in RAW else normalized, listed, options.peer_seconds)
        draw = lambda: task.episodes(seed=0, **shape).stack(0, options.episodes)  # noqa: E731
        found, own_time = ours(pair.method, base, novel, draw, options.way)
        gain = found[: len(peer)] - peer
        print(
            f"{pair.method:24} {own_time:7.3f} ms, easyfsl {peer_time:8.3f} ms: 1/{peer_time / own_time:.1f} "
            f"(goal 1/{pair.goal}); accuracy {found[: len(peer)].mean():.4f}, easyfsl {peer.mean():.4f}, "
            f"difference {gain.mean():+.4f} ± {1.96 * gain.std(ddof=1) / len(gain) ** 0.5:.4f} on {len(peer)} episodes",
            flush=True,
        )


if __name__ == "__main__":
    main()
