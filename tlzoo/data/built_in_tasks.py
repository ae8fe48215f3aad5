"""The built-in tasks by name: of each, the function that builds it. Nothing is imported until a task is loaded."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from functools import lru_cache
from itertools import permutations, product
from typing import Any, Literal

from tlzoo.data.image_sets import IMAGE_SETS

__all__ = ["VENDORS", "Entry", "Kind", "built_in_tasks"]

Kind = Literal["domain", "episode", "multitask", "zeroshot"]

VENDORS = ("apple", "facebook", "google", "joypixels", "samsung", "twitter", "windows")
_PLACES = ("amazon", "movies", "news", "tweets")
_OFFICE_CALTECH10 = ("amazon", "Caltech10", "dslr", "webcam")
_PRODUCTS = ("books", "dvd", "electronics", "kitchen")
_TIME_SERIES = {
    "har": "2->11 6->23 7->13 9->18 12->16 18->27 20->5 24->8 28->27 30->20",
    "wisdm": "7->18 20->30 35->31 17->23 6->19 2->11 33->12 5->26 28->4 23->32",
    "hhar": "0->6 1->6 2->7 3->8 4->5 5->0 6->1 7->4 8->3 0->2",
    "eeg": "0->11 7->18 9->14 12->5 16->1 3->19 18->12 13->17 5->15 6->2",
    "fd": "0->1 0->3 1->0 1->2 1->3 2->1 2->3 3->0 3->1 3->2",
}
"""Set of AdaTime -> the pairs of domains that its paper takes."""
_STREAMS = ("reset", "continual", "gradual", "mixed", "correlated")
_DIGIT_FILES = {
    "mnist": "MNIST/raw/train-images-idx3-ubyte",
    "usps": "usps.bz2",
    "svhn": "train_32x32.mat",
}
"""Collection of digits on disk -> one of its files below ``root``."""


@dataclass(frozen=True, kw_only=True)
class Entry:
    """The function of ``tlzoo.data.datasets`` that builds a task, with its arguments and the contents of ``root``."""

    kind: Kind
    module: str
    function: str
    arguments: Mapping[str, Any] = field(default_factory=dict)
    folder_contents: str = ""


@lru_cache(maxsize=1)
def built_in_tasks() -> dict[str, Entry]:
    """Return the entry of every built-in task by its name."""
    return dict(_entries())


def _entries() -> Iterator[tuple[str, Entry]]:
    yield from _domain_entries()
    yield from _multitask_entries()
    yield from _episode_entries()
    yield from _zeroshot_entries()


def _domain_entries() -> Iterator[tuple[str, Entry]]:
    yield from _emoji()
    yield from _digits()
    for source, target in permutations(_PLACES, 2):
        yield f"sentiment:{source}->{target}", _between("sentiment", "sentiment_adaptation", source, target)
    for source, target in permutations(_PLACES, 2):
        yield f"sentiment-rating:{source}->{target}", _between("sentiment", "sentiment_rating", source, target)
    yield from _corruptions()
    for source, target in permutations(_OFFICE_CALTECH10, 2):
        entry = _between("office_caltech10", "office_caltech10", source, target)
        files = f"{source}_SURF_L10.mat and {target}_SURF_L10.mat"
        yield f"office_caltech10:{source}->{target}", replace(entry, folder_contents=files)
    for source, target in permutations(_OFFICE_CALTECH10, 2):
        entry = _between("office_caltech10", "office_caltech10_decaf", source, target)
        yield f"office_caltech10_decaf:{source}->{target}", replace(entry, folder_contents="the files DOMAIN_decaf.mat")
    for source, target in permutations(_PRODUCTS, 2):
        entry = _between("amazon_reviews", "amazon_reviews", source, target)
        yield (
            f"amazon_reviews:{source}->{target}",
            replace(entry, folder_contents="processed_acl/ or DOMAIN_*.svmlight"),
        )
    yield from _image_domains()
    for dataset, pairs in _TIME_SERIES.items():
        for source, target in (pair.split("->") for pair in pairs.split()):
            entry = _between("adatime", "adatime", source, target, dataset=dataset)
            files = f"train_{source}.pt, test_{source}.pt and those of {target}"
            yield f"adatime/{dataset}:{source}->{target}", replace(entry, folder_contents=files)
    for first in range(1, 10, 2):
        yield f"watch:{first}->{first + 1}", _between("watch", "watch_adaptation", first, first + 1)


def _between(module: str, function: str, source: str | int, target: str | int, **others: str) -> Entry:
    arguments = {"source": source, "target": target, **others}
    return Entry(kind="domain", module=module, function=function, arguments=arguments)


def _emoji() -> Iterator[tuple[str, Entry]]:
    pairs = list(permutations(VENDORS, 2))
    for classes in ("category", "subcategory"):
        for variant, (source, target) in product(("", "unpaired", "shifted"), pairs):
            name = f"emoji/{classes}:{source}->{target}" + (f":{variant}" if variant else "")
            settings = {"classes": classes, "variant": variant}
            yield name, _between("emoji_tasks", "emoji_adaptation", source, target, **settings)
        for variant, (source, target) in product(("partial", "open"), pairs):
            name = f"emoji/{classes}:{source}->{target}:{variant}"
            yield name, _between("emoji_partial_open", f"emoji_{variant}", source, target, classes=classes)


def _digits() -> Iterator[tuple[str, Entry]]:
    for source, target in permutations(("mnist5k", "optdigits")):
        yield f"digits:{source}->{target}", _between("digits", "digits_adaptation", source, target)
    for source, target in (*permutations(_DIGIT_FILES, 2), ("mnist5k", "usps"), ("usps", "mnist5k")):
        files = " and ".join(_DIGIT_FILES[name] for name in (source, target) if name in _DIGIT_FILES)
        entry = _between("digit_files", "digit_files", source, target)
        yield f"digits:{source}->{target}", replace(entry, folder_contents=files)


def _corruptions() -> Iterator[tuple[str, Entry]]:
    def stream_of(module: str, function: str, **arguments: str) -> Entry:
        return Entry(kind="domain", module=module, function=function, arguments=arguments)

    for number, stream in product(("10", "100"), _STREAMS):
        entry = stream_of("corruption_files", "cifar_c", stream=stream, collection=f"cifar{number}")
        files = f"CIFAR-{number}-C/ and CIFAR-{number} in torchvision's files"
        yield f"cifar{number}-c:{stream}", replace(entry, folder_contents=files)
    for stream in _STREAMS:
        entry = stream_of("corruption_files", "imagenet_c", stream=stream)
        yield f"imagenet-c:{stream}", replace(entry, folder_contents="ImageNet-C/ and val/")
    for collection, stream in product(("mnist5k", "optdigits", "emoji"), _STREAMS):
        made = stream_of("corruption_streams", "corruption_stream", collection=collection, stream=stream)
        yield f"{collection}-c:{stream}", made


def _image_domains() -> Iterator[tuple[str, Entry]]:
    for dataset, known in IMAGE_SETS.items():
        there = {"partial": known.partial, "open": known.known, "universal": known.shared}
        variants = ("", *(name for name, classes in there.items() if classes))
        for variant, (source, target) in product(variants, known.pairs or permutations(known.domains, 2)):
            entry = _between("image_domains", "image_domains", source, target, dataset=dataset, variant=variant)
            name = f"{dataset}:{source}->{target}" + (f":{variant}" if variant else "")
            yield name, replace(entry, folder_contents=f"{source}/ and {target}/ of {known.title}")


def _multitask_entries() -> Iterator[tuple[str, Entry]]:
    for name, module, function in (
        ("multidigits", "digits", "multidigits"),
        ("emoji-tasks", "emoji_multitask", "emoji_multitask"),
        ("people", "people", "people"),
        ("topics", "topics", "topics"),
    ):
        yield name, Entry(kind="multitask", module=module, function=function)
    for name, module, dataset, contents in (
        ("nyuv2", "dense_maps", "nyuv2", "train/ and val/ of NYUv2 as LibMTL has it"),
        ("cityscapes", "dense_maps", "cityscapes", "train/ and val/ of Cityscapes as LibMTL has it"),
        ("office31-tasks", "office_multitask", "office31", "the domains of Office-31"),
        ("office_home-tasks", "office_multitask", "office_home", "the domains of Office-Home"),
    ):
        entry = Entry(kind="multitask", module=module, function=module, arguments={"dataset": dataset})
        yield name, replace(entry, folder_contents=contents)
    entry = Entry(kind="multitask", module="celeba", function="celeba")
    yield "celeba", replace(entry, folder_contents="img_align_celeba/ and its lists, as torchvision has them")
    entry = Entry(kind="multitask", module="qm9", function="qm9")
    yield "qm9", replace(entry, folder_contents="raw/qm9_v3.pt or processed/data_v3.pt of torch_geometric's QM9")


def _episode_entries() -> Iterator[tuple[str, Entry]]:
    omniglot = {
        "omniglot": "images_background/ and images_evaluation/",
        "omniglot_vinyals": "images_background/ and images_evaluation/",
        "omniglot_oneshot": "images_background/ and run01/",
    }
    for module, function in (
        ("emoji_tasks", "emoji_oneshot"),
        ("emoji_tasks", "emoji_oneshot_hard"),
        ("emoji_tasks", "emoji_subcategories"),
        ("glyphs", "glyphs"),
        ("text_episodes", "newsgroups_fewshot"),
        ("text_episodes", "reuters_r8_fewshot"),
        ("omniglot", "omniglot"),
        ("omniglot", "omniglot_vinyals"),
        ("omniglot", "omniglot_oneshot"),
    ):
        entry = Entry(kind="episode", module=module, function=function, folder_contents=omniglot.get(function, ""))
        yield function.replace("_", "-"), entry
    for name in ("mini-imagenet", "tiered-imagenet", "cub-fewshot", "cifar-fs", "fc100"):
        arguments, contents = {"dataset": name}, f"the pictures of {name} and the lists of its splits"
        entry = Entry(kind="episode", module="few_shot_files", function="few_shot_files", arguments=arguments)
        yield name, replace(entry, folder_contents=contents)
    for name in ("sst5", "amazon-counterfactual", "cr", "emotion", "enron-spam", "ag-news"):
        entry = Entry(kind="episode", module="setfit_files", function="setfit_files", arguments={"dataset": name})
        yield f"setfit:{name}", replace(entry, folder_contents="train.jsonl and test.jsonl of SetFit's sets")


def _zeroshot_entries() -> Iterator[tuple[str, Entry]]:
    def described(module: str, function: str, **arguments: str | bool) -> Entry:
        return Entry(kind="zeroshot", module=module, function=function, arguments=arguments)

    yield "emoji-unseen", described("emoji_tasks", "emoji_unseen")
    yield "emoji-unseen:generalized", described("emoji_tasks", "emoji_unseen", generalized=True)
    yield "newsgroups", described("newsgroups", "newsgroups")
    yield "reuters-r8", described("reuters", "reuters_r8")
    yield "reuters-r52", described("reuters", "reuters_r52")
    for place in _PLACES:
        yield f"sentiment-zeroshot:{place}", described("sentiment_zeroshot", "sentiment_zeroshot", place=place)
    yield "topics-zeroshot", described("sentiment_zeroshot", "topics_zeroshot")
