"""The page of published benchmarks: every suite of a published table, its data, its protocol and its state."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from tlzoo.bench.price import Price, prices
from tlzoo.bench.published import Published, published
from tlzoo.bench.suite_reader import load_suite
from tlzoo.data.datasets.few_shot_files import FEW_SHOT_SETS
from tlzoo.data.image_sets import IMAGE_SETS, ImageSet

__all__ = ["LITERATURE", "literature"]

THROUGHPUT = 1000
"""Pictures a second that prices are said for."""

_METRICS = {
    "test/accuracy": "accuracy",
    "test/per_class": "mean of the accuracies of the classes",
    "test/h_score": "H-score",
    "test/harmonic": "harmonic mean of seen and unseen classes",
    "test/macro_f1": "macro-F1",
    "test/error": "error",
}

_RESULTS = Path(__file__).parent.parent / "benchmarks" / "results"
Table = Callable[..., str]


@dataclass(frozen=True, kw_only=True)
class _Entry:
    """What a suite does not say itself.

    Attributes:
        data: the set, and how large it is.
        layout: how it lies below ``--root``.
        source: where it is to be had.
        protocol: what is trained on and what is tested.
        weights: files of networks that the suite reads from the working directory, and where they are to be had.
    """

    data: str
    layout: str
    source: str
    protocol: str
    weights: str = ""


_WHOLE = (
    "whole domains: trained on all target pictures without labels, tested on the same (`:literature`); the figure is "
    "that of the last step; the best checkpoint on the target's labels, which TLlib's tables report, is the column "
    "`oracle`"
)
_EPISODES = "1,000 episodes of 5 ways with 15 queries each, of the test classes"
_LIBMTL = "https://github.com/median-research-group/LibMTL, examples"
_TORCHVISION = "`torchvision.datasets`, with `download=True`"


def _domains(known: ImageSet, layout: str, protocol: str) -> _Entry:
    size = f"{known.title}: {known.pictures:,} pictures, {known.classes} classes, {len(known.domains)} domains"
    return _Entry(data=size, layout=layout, source=known.source, protocol=protocol)


def _few_shot(name: str, layout: str) -> _Entry:
    known = FEW_SHOT_SETS[name]
    size = f"{known.title}: {known.pictures:,} pictures, {' + '.join(map(str, known.classes))} classes"
    return _Entry(data=size, layout=layout, source=known.source, protocol=_EPISODES)


LITERATURE = {
    "office31": _domains(
        IMAGE_SETS["office31"], "`amazon/images/CLASS/*.jpg`, `dslr`, `webcam`; or TLlib's `image_list/*.txt`", _WHOLE
    ),
    "office-home": _domains(
        IMAGE_SETS["office_home"],
        "`Art/CLASS/*.jpg`, `Clipart`, `Product`, `Real_World` (or `Real World`); or `image_list/*.txt`",
        _WHOLE,
    ),
    "visda": _domains(
        IMAGE_SETS["visda2017"],
        "`train/CLASS/*.png`, `validation/CLASS/*.jpg`; or `image_list/*.txt`",
        f"{_WHOLE}; mean over classes, H-score in the universal table",
    ),
    "domainnet": _domains(
        IMAGE_SETS["domainnet"],
        "`DOMAIN/CLASS/*.jpg` with `DOMAIN_train.txt` and `DOMAIN_test.txt`, beside the domains or in `image_list`",
        "four of the six domains; trained on the training lists of both, tested on the target's test list; universal: "
        "whole domains",
    ),
    "office-caltech10": _Entry(
        data="Office-Caltech10: 2,533 bags of SURF words, 10 classes, 4 domains, 0.3 MB",
        layout="`DOMAIN_SURF_L10.mat`",
        source="http://www-scf.usc.edu/~boqinggo/domainadaptation.html",
        protocol="whole domains with 1-NN, as JDA's table; and 20 draws of 20 source examples a class with "
        "a linear SVM, as CORAL's: see [its page](results/office-caltech10.md)",
    ),
    "office-caltech10-decaf": _Entry(
        data="Office-Caltech10: 2,533 pictures as 4,096 features of DeCAF's sixth layer, 10 classes, 4 domains",
        layout="`amazon_decaf.mat`, `caltech_decaf.mat`, `dslr_decaf.mat`, `webcam_decaf.mat`",
        source="https://github.com/jindongwang/transferlearning, `data/dataset.md`",
        protocol="the published one of nearest neighbors on whole domains, and an inductive one",
    ),
    "amazon-reviews": _Entry(
        data="Amazon reviews of books, dvd, electronics and kitchen: 8,000 labelled and 19,677 others",
        layout="`processed_acl/DOMAIN/negative.review`, `positive.review`, `unlabeled.review`; or "
        "`DOMAIN_train.svmlight`, `DOMAIN_test.svmlight`; or `amazon.mat` (`amazon.npz`) of mSDA; or `DOMAIN_400.mat`",
        source="https://www.cs.jhu.edu/~mdredze/datasets/sentiment; or "
        "https://github.com/GRAAL-Research/domain_adversarial_neural_network, `data`",
        protocol="2,000 reviews of each domain to train on, tested on all others of the target",
    ),
    "mnist-usps": _Entry(
        data="MNIST: 60,000 + 10,000 digits; USPS: 7,291 + 2,007",
        layout="torchvision's files: `MNIST/raw/*-ubyte` (or `.gz`), `usps.bz2` and `usps.t.bz2` (or `usps.h5`)",
        source=_TORCHVISION,
        protocol="official training sets of both domains to train on, the target's official test set",
    ),
    "mnist5k-usps": _Entry(
        data="5,000 digits of MNIST, which come with tlzoo; USPS: 7,291 + 2,007",
        layout="`usps.bz2` and `usps.t.bz2`, or `usps.h5`",
        source=_TORCHVISION,
        protocol="as mnist-usps, but 3,500 digits of MNIST to train on and 1,500 to test",
    ),
    "adatime": _Entry(
        data="UCIHAR, WISDM, HHAR, Sleep-EDF (SSC) and FD (MFD), preprocessed: windows of 128 to 5,120 time steps",
        layout="`HAR/train_2.pt`, `HAR/test_2.pt` and so on; `WISDM`, `HHAR`, `EEG`, `FD`",
        source="https://researchdata.ntu.edu.sg, by the links in https://github.com/emadeldeen24/AdaTime",
        protocol="training parts of two domains to train on, tested on the target's test part; macro-F1",
    ),
    "cifar10-c": _Entry(
        data="CIFAR-10-C: 15 corruptions of 10,000 pictures at severity 5, and CIFAR-10",
        layout="`CIFAR-10-C/CORRUPTION.npy`, `CIFAR-10-C/labels.npy`, `cifar-10-batches-py`",
        source="https://zenodo.org/records/2535967; " + _TORCHVISION,
        protocol="one pass over the stream in batches of 200, answered on the way",
        weights="the first group trains its own; `Standard.pt` of https://github.com/RobustBench/robustbench "
        "(WideResNet-28-10), and `resnet26_gn.pth`, the `ckpt.pth` of "
        "https://github.com/yueatsprograms/ttt_cifar_release (`gn_expand`)",
    ),
    "cifar100-c": _Entry(
        data="CIFAR-100-C: 15 corruptions of 10,000 pictures at severity 5, and CIFAR-100",
        layout="`CIFAR-100-C/CORRUPTION.npy`, `CIFAR-100-C/labels.npy`, `cifar-100-python`",
        source="https://zenodo.org/records/3555552; " + _TORCHVISION,
        protocol="AugMix's ResNeXt-29 as it comes; one pass over the stream in batches of 200",
        weights="`Hendrycks2020AugMix_ResNeXt.pt` of https://github.com/RobustBench/robustbench",
    ),
    "imagenet-c": _Entry(
        data="ImageNet-C: 15 corruptions of 5,000 pictures at severity 5, and ImageNet's 50,000 validation pictures",
        layout="`ImageNet-C/CORRUPTION/5/CLASS/*.JPEG`, `val/CLASS/*.JPEG`",
        source="https://zenodo.org/records/2235448; https://image-net.org",
        protocol="torchvision's ResNet-50 as it comes; one pass over the stream in batches of 64",
    ),
    "corruption-streams": _Entry(
        data="5,000 digits of MNIST under the fifteen corruptions, made on the spot",
        layout="none: the data come with tlzoo",
        source="tlzoo",
        protocol="six streams of our own; the settings of published tables on data that everybody has",
    ),
    "omniglot-oneshot": _Entry(
        data="Omniglot: 964 characters of 30 alphabets (or 5, the small background set), 20 runs",
        layout="`images_background/ALPHABET/CHARACTER/*.png`, `run01` ... `run20`",
        source="https://github.com/brendenlake/omniglot, `python/`",
        protocol="20-way one-shot within an alphabet, mean error of the 20 runs",
    ),
    "omniglot-vinyals": _Entry(
        data="Omniglot: 1,623 characters of 50 alphabets, 20 drawings each, in four rotations",
        layout="`images_background/ALPHABET/CHARACTER/*.png`, `images_evaluation`; also in torchvision's `omniglot-py`",
        source="https://github.com/brendenlake/omniglot, `python/`; or `torchvision.datasets`, with `download=True`",
        protocol="4,112 classes to train on, 688 to validate and 1,692 to test; 1,000 episodes with 15 queries a class",
    ),
    "mini-imagenet": _few_shot(
        "mini-imagenet", "`train.csv`, `val.csv`, `test.csv` and `images`; or `train/CLASS/*.jpg`, `val`, `test`"
    ),
    "tiered-imagenet": _few_shot(
        "tiered-imagenet",
        "`train.json`, `val.json`, `test.json` and `images/CLASS`; or `train/CLASS/*.jpg`, `val`, `test`",
    ),
    "cub-fewshot": _few_shot("cub-fewshot", "`images/CLASS/*.jpg`; easyfsl's split comes with tlzoo"),
    "xlsa17": _Entry(
        data="AWA2, CUB, SUN, aPY: ResNet-101 features, attributes and the proposed splits",
        layout="`AWA2/res101.mat`, `AWA2/att_splits.mat`; the same in `CUB`, `SUN` and `APY`",
        source="https://www.mpi-inf.mpg.de/departments/computer-vision-and-machine-learning/research/zero-shot-learning",
        protocol="the proposed split; the mean over classes; generalized: the harmonic mean without calibration",
    ),
    "nyuv2": _Entry(
        data="NYUv2: 795 + 654 pictures, 288 x 384, with 13 classes, depth and normals at every position",
        layout="LibMTL's: `train/image/0.npy`, `label`, `depth`, `normal`; `val`",
        source=f"{_LIBMTL}/nyu",
        protocol="tested on `val`; a tenth of `train` validates",
    ),
    "cityscapes": _Entry(
        data="Cityscapes: 2,975 + 500 pictures, 128 x 256, with 7 classes and inverse depth at every position",
        layout="LibMTL's: `train/image/0.npy`, `label`, `depth`; `val`",
        source=f"{_LIBMTL}/cityscapes",
        protocol="tested on `val`; a tenth of `train` validates",
    ),
    "qm9": _Entry(
        data="QM9: 130,831 molecules of up to 29 atoms, 11 properties",
        layout="PyTorch Geometric's: `raw/qm9_v3.pt`; or `processed/data_v3.pt`, which needs torch_geometric",
        source="`torch_geometric.datasets.QM9(root)`; or https://data.pyg.org/datasets/qm9_v3.zip",
        protocol="10,000 molecules to test and 10,000 to validate, by a fixed seed of our own",
    ),
    "office-home-multitask": _Entry(
        data=f"Office-Home: {IMAGE_SETS['office_home'].pictures:,} pictures, a task for each of four domains",
        layout="as for `office-home`; LibMTL's `DOMAIN_train.txt`, `DOMAIN_val.txt`, `DOMAIN_test.txt` go first",
        source=IMAGE_SETS["office_home"].source,
        protocol="60 % of each domain to train on, 20 % to validate, 20 % to test",
    ),
}
"""Suite of a published table -> what it does not say itself."""


def literature(table: Table) -> str:
    """Return a section for each suite of a published table: data, protocol, command, state and published rows."""
    return "\n\n".join(part for name, entry in LITERATURE.items() for part in _section(name, entry, table))


def _section(name: str, entry: _Entry, table: Table) -> Iterator[str]:
    suite = load_suite(name)
    yield f"### {name}"
    root = "" if entry.source == "tlzoo" else " --root FOLDER"
    facts = {"data": entry.data, "layout": entry.layout, "from": entry.source, "protocol": entry.protocol}
    facts |= {"weights": entry.weights} if entry.weights else {}
    facts |= {
        "command": f"`tlzoo bench run {name}{root}`",
        "state": _state(name, list(prices(suite, throughput=THROUGHPUT, answers=False))),
    }
    yield table(("what", "how"), list(facts.items()))
    known = [each for each in published(name) if each.confirmed]
    for group in suite.groups:
        if rows := [each for each in known if each.group == group.title]:
            several = f", mean of {len(group.tasks)} tasks" if len(group.tasks) > 1 else ""
            metric = _METRICS[group.metric or ("test/per_class" if name == "visda" else "test/accuracy")]
            yield f"Published, {group.title}{several}, {metric} in percent:"
            yield "\n".join(_lines(rows))


def _lines(rows: Iterable[Published]) -> Iterator[str]:
    """Yield a line for the values of each source that differ in the same way."""
    alike: dict[tuple[str, str, str], list[str]] = {}
    for each in rows:
        place = each.citation, each.read_in, each.differs
        alike.setdefault(place, []).append(f"{each.label} {100 * each.of(None):.1f}")
    for (citation, link, differs), values in alike.items():
        yield f"- [{citation}]({link}){f' ({differs})' if differs else ''}: {', '.join(values)}"


def _state(name: str, priced: list[Price]) -> str:
    """Return how far the suite is: results that are committed, or the price of a plan."""
    cells = sum(price.cells for price in priced)
    file = _RESULTS / f"{name}.json"
    if file.is_file():
        run = len(json.loads(file.read_text("utf-8"))["cells"])
        part = f"run: {cells:,} cells" if run >= cells else f"run in part: {run:,} of {cells:,} cells"
        return f"{part}, see [results](results/{name}.md)"
    known = [price.seconds for price in priced if price.seconds is not None]
    if len(known) < len(priced):
        return f"planned: {cells:,} cells; `tlzoo bench plan {name} --root FOLDER` prices them by running some in small"
    hours = sum(known) / 3600
    spelled = f"{hours:,.0f} hours" if hours >= 1 else f"{60 * hours:.0f} minutes"
    streams = "; passes over the streams come on top" if name.endswith("-c") else ""
    return f"planned: {cells:,} cells, {spelled} at {THROUGHPUT:,} pictures a second{streams}"
