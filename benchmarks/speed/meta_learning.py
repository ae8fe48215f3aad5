"""Time of a meta-gradient of MAML and ANIL beside learn2learn's loop, on 5-way episodes of one shot and three queries.

    python benchmarks/speed/meta_learning.py [--methods maml anil] [--episodes 8] [--steps 1] [--repeats 8]

learn2learn's ANIL is its MAML of the head on features of the rest. Both sides give the same gradient, which is checked
in float64. Times are the process's own CPU time with one thread, the best of the repeats. On the CPU a network that
convolves is adapted one episode after the other: its convolutions keep the processor busy, and filters of each
episode's own (a grouped convolution) take longer. Small networks cost one graph whatever the number of episodes, about
what learn2learn's takes for three: ``--episodes 32`` shows it.
"""

from __future__ import annotations

import argparse
import copy
import itertools
import time
from collections import OrderedDict
from collections.abc import Callable
from functools import partial

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from tlzoo import create_backbone
from tlzoo.interop import learn2learn
from tlzoo.methods.oneshot import ANIL, MAML

WAY, QUERIES, RATE = 5, 3, 0.1
METHODS = {"maml": MAML, "anil": ANIL}


def network(backbone: nn.Module, width: int) -> nn.Module:
    """Return a backbone and a head of a layer, each by its name."""
    return nn.Sequential(OrderedDict(backbone=backbone, head=nn.Linear(width, WAY)))


def labels(episodes: int) -> tuple[Tensor, Tensor]:
    """Return those of support and queries."""
    classes = torch.arange(WAY)
    return classes.repeat(episodes, 1), classes.repeat(episodes, QUERIES)


def ours(name: str, model: nn.Module, support: Tensor, query: Tensor, steps: int) -> None:
    """Leave the meta-gradient in the parameters."""
    method = METHODS[name](rate=RATE, steps=steps, statistics="batch")
    known, answers = labels(len(support))
    method.objective(model, support, known, query, answers, way=WAY).backward()


def theirs(name: str, model: nn.Module, support: Tensor, query: Tensor, steps: int) -> None:
    """Leave the meta-gradient in the parameters."""
    encode, adapted = (model.backbone, model.head) if name == "anil" else (nn.Identity(), model)
    learner = learn2learn.load().algorithms.MAML(adapted, lr=RATE)
    total = torch.zeros((), dtype=support.dtype)
    known, answers = labels(len(support))
    for items, own, queries, wanted in zip(support, known, query, answers, strict=True):
        clone, features = learner.clone(), encode(items)
        for _ in range(steps):
            clone.adapt(F.cross_entropy(clone(features), own))
        total = total + F.cross_entropy(clone(encode(queries)), wanted) / len(support)
    total.backward()


def best(function: Callable[[], None], repeats: int) -> float:
    """Return the milliseconds of the fastest run."""
    times = []
    for _ in range(repeats + 1):  # the first one warms up
        begun = time.process_time()
        function()
        times.append(time.process_time() - begun)
    return 1000 * min(times[1:])


def check(name: str, model: nn.Module, support: Tensor, query: Tensor, steps: int) -> float:
    """Return the largest difference between the two meta-gradients, in float64."""
    pair = copy.deepcopy(model).double(), copy.deepcopy(model).double()
    for one, function in zip(pair, (ours, theirs), strict=True):
        function(name, one, support.double(), query.double(), steps)
    gradients = zip(*(one.parameters() for one in pair), strict=True)
    return max(float((a.grad - b.grad).abs().max()) for a, b in gradients if a.grad is not None and b.grad is not None)


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--methods", nargs="+", choices=METHODS, default=list(METHODS))
    parser.add_argument("--episodes", type=int, default=8)
    parser.add_argument("--steps", type=int, default=1)
    parser.add_argument("--repeats", type=int, default=8)
    options = parser.parse_args()
    torch.set_num_threads(1)
    torch.manual_seed(0)
    conv4 = create_backbone("conv4", image_size=28)
    networks = {
        "conv4, 28 px": (network(conv4, conv4.num_features), (1, 28, 28)),
        "mlp 64-64": (network(nn.Sequential(nn.Linear(64, 64), nn.ReLU()), 64), (64,)),
        "linear 64": (network(nn.Identity(), 64), (64,)),
    }
    for method, (name, (model, shape)) in itertools.product(options.methods, networks.items()):
        support, query = (torch.randn(options.episodes, count, *shape) for count in (WAY, WAY * QUERIES))
        arguments = (method, model, support, query, options.steps)
        own, peer = (best(partial(function, *arguments), options.repeats) for function in (ours, theirs))
        print(
            f"{method} {name:14} ours {own:8.2f} ms, learn2learn {peer:8.2f} ms: {peer / own:.2f} times as fast; "
            f"gradients differ by {check(*arguments):.1e}"
        )


if __name__ == "__main__":
    main()
