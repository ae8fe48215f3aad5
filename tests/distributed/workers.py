"""What runs in two processes; ``python workers.py CASES FOLDER`` starts them and leaves one file a process.

A file and not functions of the tests: a spawned process must be able to import what it runs.
"""

import os
import sys
from pathlib import Path

import torch
import torch.distributed as dist
from torch import nn
from torch.nn import functional as F

from tlzoo.functional import average_gradients, gather_with_gradient
from tlzoo.registry import create_method
from tlzoo.types import Prediction

WORLD, WIDTH, CLASSES = 2, 5, 3
SHARES = {"equal": ((6, 6), (6, 6)), "unequal": ((7, 3), (4, 8)), "very unequal": ((11, 2), (3, 10))}
AVERAGED = [((2, 3), torch.float32), ((4,), torch.float64), ((), torch.float32), ((5,), torch.float32)]
METHODS = ("dan", "deep_coral", "dann", "cdan")


def joint_batch(shares):
    """Return source inputs, labels and target inputs of the whole batch."""
    generator = torch.Generator().manual_seed(3)
    sizes = [sum(side) for side in shares]
    source, target = (torch.randn(n, WIDTH, generator=generator, dtype=torch.float64) for n in sizes)
    return source, torch.randint(CLASSES, (sizes[0],), generator=generator), target + 1


def step(method_name, source, labels, target, join):
    """Return the loss and all gradients of one step, with ``join`` between network and losses."""
    torch.manual_seed(0)
    network = nn.Sequential(nn.Linear(WIDTH, 6), nn.Tanh()).double()
    head = nn.Linear(6, CLASSES).double()
    method = create_method(method_name, num_features=6, num_classes=CLASSES).double()
    features = [network(inputs) for inputs in (source, target)]
    ours, theirs = (Prediction(features=join(f), logits=join(head(f))) for f in features)
    labels = join(labels)
    loss = F.cross_entropy(ours.logits, labels) + method(ours, theirs, progress=0.3)["loss"]
    loss.backward()
    parameters = [*network.parameters(), *head.parameters(), *method.parameters()]
    return {"loss": loss.detach(), "gradients": [p.grad for p in parameters], "labels": labels}


def share_of(rank, rows, sizes):
    first = sum(sizes[:rank])
    return rows[first : first + sizes[rank]]


def losses(rank):
    """Return the steps of all methods, the gradients averaged as DDP does."""
    results = {}
    for name, (source_sizes, target_sizes) in SHARES.items():
        source, labels, target = joint_batch((source_sizes, target_sizes))
        for method in METHODS:
            mine = (share_of(rank, rows, source_sizes) for rows in (source, labels))
            result = step(method, *mine, share_of(rank, target, target_sizes), gather_with_gradient)
            for gradient in result["gradients"]:
                dist.all_reduce(gradient)
                gradient /= WORLD
            results[method, name] = result
    return results


def gathering(rank):
    """Return what comes out of ``gather_with_gradient``, and its gradients."""
    sizes = {"equal": (2, 2), "unequal": (1, 3), "none here": (0, 3), "none there": (2, 0)}
    results = {}
    for name, rows in sizes.items():
        local = (torch.arange(3.0 * rows[rank]).reshape(rows[rank], 3) + 100 * rank).requires_grad_()
        gathered = gather_with_gradient(local)
        weights = torch.arange(1.0, 1 + len(gathered))[:, None]
        (weights * gathered).sum().backward()
        results[name] = {"local": local.detach(), "gathered": gathered.detach(), "gradient": local.grad}
    labels = torch.tensor([[1, 2, 3], [4, 5]][rank])
    results["labels"] = gather_with_gradient(labels)
    parameters = [nn.Parameter(torch.zeros(shape, dtype=kind)) for shape, kind in AVERAGED]
    for place, parameter in enumerate(parameters[:-1]):
        parameter.grad = torch.full_like(parameter, 10.0 * place + rank)
    average_gradients(parameters)
    results["averaged"] = [parameter.grad for parameter in parameters]
    results["flags"] = gather_with_gradient(torch.tensor([True, False, True][rank:]))
    return results


def run(rank, case, folder):
    torch.set_num_threads(1)
    dist.init_process_group("gloo", init_method=f"file://{folder}/rendezvous", rank=rank, world_size=WORLD)
    try:
        result = CASES[case](rank)
    finally:
        dist.destroy_process_group()
    torch.save(result, Path(folder) / f"{rank}.pt")


def lightning(rank):
    from lightning_cases import CASES as MODULES
    from lightning_cases import train

    os.environ["LOCAL_RANK"], os.environ["NODE_RANK"] = str(rank), "0"  # Lightning then starts no processes itself
    return {name: train(name, devices=WORLD, strategy="ddp") for name in MODULES}


def resuming(rank):
    from lightning_cases import resumed

    os.environ["LOCAL_RANK"], os.environ["NODE_RANK"] = str(rank), "0"
    return resumed(Path(sys.argv[2]), rank, devices=WORLD, strategy="ddp")


def stepping(rank):
    from stepping import METHODS, PRECISIONS, steps

    os.environ["LOCAL_RANK"], os.environ["NODE_RANK"] = str(rank), "0"
    together = {"devices": WORLD, "strategy": "ddp"}
    return {(name, precision): steps(name, precision, **together) for name in METHODS for precision in PRECISIONS}


CASES = {"losses": losses, "gathering": gathering, "lightning": lightning, "stepping": stepping, "resuming": resuming}

if __name__ == "__main__":
    torch.multiprocessing.spawn(run, args=tuple(sys.argv[1:]), nprocs=WORLD)
