"""The wrong calls of the page of that name, and the messages that they give.

    python docs/wrong_calls.py

writes the page; a test holds it against what the calls say now.
"""

from __future__ import annotations

import contextlib
import io
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch

import tlzoo
from tlzoo import bench, data, functional, lit, nn, types
from tlzoo.backbones import create_backbone
from tlzoo.data import DomainTask, EpisodeTask, ExampleSet, Target
from tlzoo.types import Prediction

PAGE = Path(__file__).parent / "wrong-calls.md"

HEAD = """\
# Wrong calls

What tlzoo says to {count} wrong calls. Each message is one line that says what was given, what was expected, or what to
do. `python docs/wrong_calls.py` writes this page, and a test makes every call again.

Names in the calls: `module(**settings)` makes a `DomainAdaptation` on a small network, `method(name, **settings)` is
`tlzoo.create_method` with matching widths, `side` is a `Prediction` of four examples with labels, `rows` are four
labelled feature vectors, `task` and `episodes` are tasks of such rows, and `suite(key=value)` is a suite with one entry
changed.
"""

CALLS: dict[str, list[str]] = {
    "Names": [
        'tlzoo.create_method("dna", num_features=4, num_classes=3)',
        'tlzoo.create_method("")',
        'tlzoo.create_method("dan", num_feature=4)',
        'tlzoo.create_method("dann")',
        'tlzoo.create_backbone("resnet")',
        'tlzoo.create_backbone("timm:resnet_18", pretrained=False)',
        'tlzoo.create_backbone("mlp", num_inputs=4, hiden=[3])',
        'tlzoo.create_backbone("../weights.pt")',
        'tlzoo.load_task("emoji/catgory:google->windows")',
        'tlzoo.load_task("digits:mnist->nope")',
        'tlzoo.load("no such folder")',
        'tlzoo.functional.mdd',
    ],
    "Settings of networks": [
        'create_backbone("mlp", num_inputs=4, hidden=[0])',
        'create_backbone("mlp", num_inputs=4, hidden=[])',
        'create_backbone("mlp", num_inputs=0)',
        'create_backbone("mlp", num_inputs=4, hidden=[3], dropout=1.5)',
        'create_backbone("mlp", num_inputs=4, hidden=[3], dropout=float("nan"))',
        'create_backbone("mlp", num_inputs=4, std=0.0)',
        'create_backbone("conv4", image_size=8)',
        'create_backbone("conv4", width=0)',
        'create_backbone("lenet", in_channels=2)',
        'create_backbone("identity", num_features=0)',
        'nn.DomainDiscriminator(0)',
        'nn.DomainDiscriminator(4, hidden=0)',
        'nn.Network(create_backbone("mlp", num_inputs=4, hidden=[3]), 0)',
        'nn.Network(create_backbone("mlp", num_inputs=4, hidden=[3]), 2, bottleneck=0)',
    ],
    "Settings of modules": [
        'module(batch_statistics="foo")',
        'module(num_classes=0)',
        'module(num_classes=2.5)',
        'module(bottleneck=-1)',
        'module(optimizer={"lr": float("nan")})',
        'module(optimizer={"lr": 0})',
        'module(optimizer={"lr": "fast"})',
        'module(optimizer={"lr": float("inf")})',
        'module(optimizer={"momentum": 1.5})',
        'module(optimizer={"weight_decay": -1})',
        'module(optimizer={"backbone_lr": -0.1})',
        'module(optimizer={"name": "adma"})',
        'module(optimizer={"schedule": "linear"})',
        'module(optimizer={"learning_rate": 0.1})',
        'module(method="ridge")',
        'module(method="dann")',
        'module(method_settings={"wieght": 1})',
        'module(gather="yes")',
        'lit.Multitask("identity", "equal", targets={}, backbone_settings={"num_features": 4})',
        'lit.Multitask("identity", "equal", targets={"a": -1}, backbone_settings={"num_features": 4})',
        'lit.Multitask("identity", "equal", targets={"a": 3}, sharing="soft", backbone_settings={"num_features": 4})',
        'lit.Multitask("identity", "equal", targets={"a": 3}, space="weights", backbone_settings={"num_features": 4})',
        'lit.Multitask("identity", "pcgrad", targets={"a": 3, "b": 0}, backbone_settings={"num_features": 4})',
        'lit.OneShot("identity", "maml", backbone_settings={"num_features": 4})',
        'lit.OneShot("identity", "maml", way=0, backbone_settings={"num_features": 4})',
        'lit.OneShot("identity", "protonet", statistics="query", backbone_settings={"num_features": 4})',
        'lit.ZeroShot("identity", "ridge", num_classes=2, num_embedding=0, backbone_settings={"num_features": 4})',
        'lit.FineTuning("identity", "full", num_classes=-3, backbone_settings={"num_features": 4})',
    ],
    "Settings of methods": [
        'method("dan", weight=-1)',
        'method("dan", weight=float("nan"))',
        'method("dan", weight="1")',
        'method("dan", scales=[])',
        'method("dan", scales=[-1.0])',
        'method("dann", hidden=0)',
        'method("dann", gamma=-10)',
        'method("cdan", random_width=0)',
        'method("deep_coral", normalization="papers")',
        'method("cmd", moments=0)',
        'method("mcc", temperature=0)',
        'method("safn", step=-1)',
        'method("swd", directions=0)',
        'method("fixmatch", threshold=1.5)',
        'method("mcd", repeats=0)',
        'method("vada", radius=0)',
        'tlzoo.create_method("dwa", num_tasks=2, temperature=0)',
        'tlzoo.create_method("cagrad", num_tasks=2, c=-1)',
        'tlzoo.create_method("fixed", num_tasks=2, weights=[1.0])',
        'tlzoo.create_method("equal", num_tasks=0)',
        'tlzoo.create_method("gradnorm", num_tasks=2, alpha=float("inf"))',
        'tlzoo.create_method("protonet", temperature=0)',
        'tlzoo.create_method("simpleshot", num_features=4, transform="CL3N")',
        'tlzoo.create_method("maml", steps=0)',
        'tlzoo.create_method("maml", rate=-0.1)',
        'tlzoo.create_method("laplacian_shot", num_features=4, neighbors=0)',
        'tlzoo.create_method("ridge", num_features=4, num_embedding=3, penalty=-1)',
        'tlzoo.create_method("l2_sp", alpha=-1)',
        'tlzoo.create_method("lora", rank=0)',
        'tlzoo.create_method("layerwise", decay=0)',
    ],
    "Calls of methods": [
        'method("dan")(side, side, progress=5)',
        'method("dan")(side, side, progress=-0.1)',
        'method("dan")(side, side, progress=float("nan"))',
        'method("dan")(side, Prediction(features=torch.ones(0, 4), logits=torch.ones(0, 3)))',
        'method("dan")(side, Prediction(features=torch.ones(4, 5), logits=torch.ones(4, 3)))',
        'method("dan")(side, Prediction(features=torch.ones(4, 4), logits=torch.ones(4, 2)))',
        'method("dan")(side, Prediction(features=torch.ones(4, 4, 1), logits=torch.ones(4, 3)))',
        'method("dan")(side, Prediction(features=torch.full((4, 4), torch.nan), logits=torch.ones(4, 3)))',
        'method("pada")(Prediction(features=torch.ones(4, 4), logits=torch.ones(4, 3)), side)',
        'method("dsan")(replace(side, labels=torch.tensor([0, 1, 2, 3])), side)',
        'method("dsan")(replace(side, labels=torch.tensor([0, 0.5, 1, 2])), side)',
        'method("dsan")(replace(side, labels=torch.tensor([0, -1, 1, 2])), side)',
        'tlzoo.create_method("equal", num_tasks=2)(torch.ones(3))',
        'tlzoo.create_method("equal", num_tasks=2)(torch.tensor([1.0, torch.nan]))',
        'tlzoo.create_method("pcgrad", num_tasks=2)(torch.ones(2))',
        'tlzoo.create_method("protonet")(torch.ones(4, 3), [0, 0, 1, 1], torch.ones(2, 3), way=0)',
        'tlzoo.create_method("protonet")(torch.ones(4, 3), [0, 0, 1, 1], torch.ones(2, 3), way=3)',
        'tlzoo.create_method("protonet")(torch.ones(4, 3), [0, 0, 1, 2], torch.ones(2, 3), way=2)',
        'tlzoo.create_method("protonet")(torch.ones(4, 3), [0, 0, 1], torch.ones(2, 3), way=2)',
        'tlzoo.create_method("protonet")(torch.ones(4, 3), [0, 0, 1, 1], torch.ones(2, 5), way=2)',
        'tlzoo.create_method("protonet")(torch.ones(4, 3), [0, 0, 1, 1], torch.ones(2, 3), way=2.5)',
        'tlzoo.create_method("simpleshot", num_features=3)(torch.ones(4, 3), [0, 0, 1, 1], torch.ones(2, 3), way=2)',
        'ridge.fit(torch.ones(4, 4), [0, 1, 2, 9], torch.ones(3, 3))',
        'ridge.bind(torch.ones(3, 3), seen=torch.ones(3).bool())(torch.ones(2, 4))',
    ],
    "Functions": [
        'functional.mmd(torch.ones(3, 2), torch.ones(3, 4))',
        'functional.mmd(torch.ones(3), torch.ones(3))',
        'functional.mmd(torch.ones(0, 2), torch.ones(3, 2))',
        'functional.mmd(torch.ones(3, 2), torch.ones(3, 2), estimator="both")',
        'functional.coral_loss(torch.ones(1, 2), torch.ones(3, 2))',
        'functional.prototypes(torch.ones(1, 4, 2), torch.zeros(1, 4).long(), 0)',
        'functional.prototypes(torch.ones(1, 4, 2), torch.zeros(1, 4).long(), 2)',
    ],
    "Data": [
        'ExampleSet(inputs=np.ones((4, 2)), modality="video")',
        'ExampleSet(inputs=np.ones((4, 2)), modality="features", labels=[0, 1])',
        'ExampleSet(inputs=np.ones((4, 2)), modality="features", labels=["a", "b", "a", "b"])',
        'ExampleSet(inputs=np.ones((4, 2)), modality="features", labels=[0, 0.5, 1, 1])',
        'ExampleSet(inputs=np.full((4, 2), np.nan), modality="features")',
        'ExampleSet(inputs=np.ones((4, 2, 2, 3)), modality="image")',
        'ExampleSet(inputs=[1, 2, 3], modality="text")',
        'ExampleSet(inputs={"a": 1}, modality="features")',
        'rows.subset(np.array([True, False]))',
        'rows.with_labels([0, 1, 2])',
        'replace(task, class_names=("a", "b"))',
        'replace(task, name="")',
        'replace(task, metric="f1")',
        'replace(task, target_test=rows.subset(np.arange(0)))',
        'replace(episodes, novel=rows.subset(np.arange(0)))',
        'data.MultitaskTask(name="toy", targets={}, train=rows, validation=rows, test=rows)',
        'ExampleSet(inputs=np.ones((4, 0)), modality="features")',
        'tlzoo.tasks.domain(source=([], []), target=np.ones((4, 2)))',
        'tlzoo.tasks.domain(source=(np.ones((4, 2)), list("abab")), target={"a": np.ones((4, 2))}, test=[])',
        'tlzoo.tasks.domain(source=(np.ones((4, 2)), list("abab")), target=(np.ones((4, 2)), [None] * 4))',
        'tlzoo.tasks.episodes(np.ones((4, 2)), list("abab"), way="two")',
        'tlzoo.tasks.multitask(np.ones((4, 2)), {"kind": [None] * 4})',
        'tlzoo.tasks.zero_shot(np.ones((4, 2)), list("abab"), np.ones((2, 3)), unseen=["a", "b"])',
        'replace(episodes, way=0)',
        'replace(episodes, shot=0)',
        'replace(episodes, query=-1)',
        'lit.EpisodeData(episodes, way=9).episode_list()',
        'Target(classes=-1)',
        'Target(classes=3, kind="colour")',
        'task.with_target_shots(0, seed=0)',
        'lit.DomainData(task, batch_size=0)',
        'lit.DomainData(task, batch_size=2.5)',
        'lit.DomainData(task, seed=-1)',
        'lit.DomainData(task, steps_per_epoch=0)',
        'lit.DomainData(task, scale=-1.0)',
        'lit.DomainData(task, transform="corral")',
        'lit.DomainData(task, transform="dan")',
        'lit.DomainData(task, stored_views=0)',
        'lit.DomainData(task, target_shots=0)',
        'lit.MultitaskData(task)',
        'lit.EpisodeData(episodes, way=-1)',
        'lit.EpisodeData(episodes, way=0)',
        'lit.EpisodeData(episodes, shot=0)',
        'lit.EpisodeData(episodes, episodes=0)',
        'lit.EpisodeData(episodes, dirichlet=0)',
        'lit.EpisodeData(episodes, batch_size=0)',
    ],
    "Suites": [
        'suite(seeds=0)',
        'suite(seeds=[1, 1])',
        'suite(seeds=2**32 + 1)',
        'suite(seeds=[2**32])',
        'suite(groups=[])',
        'suite(sede=1)',
        'suite(suite="../evil")',
        'suite(cell_timeout=-1)',
        'suite(trials=-1)',
        'suite(space={"lr": {"uniform": [0, float("nan")]}})',
        'suite(space={"lr": {"normal": [0, 1]}})',
        'suite(space={"lr": {"log_uniform": [0, 1]}})',
        'bench.Store("/dev/null").probe()',
    ],
}  # fmt: skip


def names() -> dict[str, Any]:
    """Return what the calls use."""
    network = {"num_inputs": 4, "hidden": [5]}
    inputs = np.random.default_rng(0).normal(size=(4, 4)).astype(np.float32)
    rows = ExampleSet(inputs=inputs, modality="features", labels=[0, 1, 2, 0])
    sides = dict.fromkeys(("source_train", "source_test", "target_train", "target_test"), rows)
    task = DomainTask(name="toy", class_names=tuple("abc"), **sides)
    sets = dict.fromkeys(("base", "validation", "novel"), rows)
    episodes = EpisodeTask(name="toy", class_names=tuple("abc"), way=2, shot=1, query=1, **sets)

    def module(method: str = "dan", **settings: Any) -> Any:
        return lit.DomainAdaptation("mlp", method, **{"num_classes": 3, "backbone_settings": network, **settings})

    def method(name: str, **settings: Any) -> Any:
        return tlzoo.create_method(name, num_features=4, num_classes=3, **settings)

    def suite(**changes: Any) -> Any:
        group = {"title": "Toy", "kind": "domain", "tasks": ["a->b"], "methods": ["dan"]}
        return bench.load_suite({"suite": "toy", "groups": [group], **changes})

    side = Prediction(features=torch.from_numpy(inputs), logits=torch.ones(4, 3), labels=torch.tensor([0, 1, 2, 0]))
    known = {"np": np, "torch": torch, "tlzoo": tlzoo, "bench": bench, "data": data, "functional": functional}
    known |= {"lit": lit, "nn": nn, "types": types, "create_backbone": create_backbone, "Prediction": Prediction}
    known |= {"DomainTask": DomainTask, "EpisodeTask": EpisodeTask, "ExampleSet": ExampleSet, "Target": Target}
    ridge = tlzoo.create_method("ridge", num_features=4, num_embedding=3)
    made = {"rows": rows, "task": task, "episodes": episodes, "side": side, "ridge": ridge, "replace": replace}
    return known | made | {"module": module, "method": method, "suite": suite}


def said(call: str, known: dict[str, Any]) -> str:
    """Make a call; return the kind of its error and the message, or what it returned."""
    try:
        with contextlib.redirect_stderr(io.StringIO()):
            result = eval(call, dict(known))
    except Exception as error:
        text = str(error.args[0]) if isinstance(error, KeyError) and error.args else str(error)
        return f"{type(error).__name__}: {text}"
    return f"no error: {type(result).__name__}"


def messages() -> Iterator[tuple[str, str, str]]:
    """Yield (section, call, message)."""
    known = names()
    for section, calls in CALLS.items():
        for call in calls:
            yield section, call, said(call, known)


def page() -> str:
    """Return the page."""
    lines = [HEAD.format(count=sum(map(len, CALLS.values())))]
    shown = None
    for section, call, message in messages():
        if section != shown:
            lines += [f"\n## {section}\n"]
            shown = section
        lines += [f"```text\n>>> {call}\n{message}\n```\n"]
    return "\n".join(lines)


if __name__ == "__main__":
    PAGE.write_text(page(), encoding="utf-8")
