"""The sets of SetFit's table (Tunstall et al., 2022): short texts, of which a few are labelled in each class.

The folder ``root``, or the folder of the set in it, has ``train.jsonl`` and ``test.jsonl`` (or ``.json``) with a
``text``, a ``label`` and, if it is there, a ``label_text`` a line, as https://huggingface.co/SetFit keeps them; or
is a folder that ``datasets`` saved (``save_to_disk``) with these columns and the splits ``train`` and ``test``.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tlzoo.data.episodes import EpisodeIndices, EpisodeList
from tlzoo.data.example_set import ExampleSet, content_hash
from tlzoo.data.readers import read_columns
from tlzoo.data.readers.plain_files import read_text
from tlzoo.data.tasks import EpisodeTask
from tlzoo.errors import InputError

__all__ = ["DRAWS", "SETS", "setfit_files"]

SETS = {
    "sst5": "SetFit/sst5",
    "amazon-counterfactual": "SetFit/amazon_counterfactual_en",
    "cr": "SetFit/SentEval-CR",
    "emotion": "SetFit/emotion",
    "enron-spam": "SetFit/enron_spam",
    "ag-news": "SetFit/ag_news",
}
"""Name in tasks -> where it is to be had; the last part is also the name that its folder may have."""

DRAWS = 10
"""Draws of labelled texts, each an episode."""

_MOST = 64
_SHOT = 8
_ENDINGS = (".jsonl", ".json")

Split = tuple[list[str], NDArray[np.int64]]


def setfit_files(name: str, *, root: Path, dataset: str) -> EpisodeTask:
    """Build ``setfit:SET``: ten draws of eight labelled training texts a class, each asked for the whole test set.

    ``shot`` may be up to 64, or as many as the smallest class has; smaller draws are the beginnings of larger ones. The
    paper, too, takes the mean of ten draws; its own are not these. There are no base classes.

    Raises:
        ValueError: a file is missing, which the message says where to get, or a line has no text or label.
    """
    columns, names = _splits(root, dataset)
    (texts, labels), (asked, answers) = columns["train"], columns["test"]
    whole = ExampleSet(
        inputs=np.array([*texts, *asked]),
        modality="text",
        labels=np.concatenate([labels, answers]),
        checksum=content_hash([*texts, *asked]),
    )
    nobody = whole.subset(np.empty(0, dtype=np.int64))
    counts = np.bincount(labels, minlength=len(names))
    if not counts.all():
        raise InputError(
            f"class {names[int(counts.argmin())]} of {dataset} has no training text; expected one at least"
        )
    return EpisodeTask(
        name=name,
        class_names=names,
        base=nobody,
        validation=nobody,
        novel=whole,
        way=len(names),
        shot=min(_SHOT, int(counts.min())),
        query=1,
        listed=_drawn(labels, answers, shot=min(_MOST, int(counts.min()))),
    )


def _drawn(labels: NDArray[np.int64], answers: NDArray[np.int64], *, shot: int) -> EpisodeList:
    """Return the draws, each with the whole test set as its queries, which stands behind the training texts."""
    way = int(labels.max()) + 1
    support = []
    for draw in range(DRAWS):
        order = np.random.default_rng(draw).permutation(len(labels))
        support.append(np.concatenate([order[labels[order] == label][:shot] for label in range(way)]))
    return EpisodeList(
        episodes=EpisodeIndices(
            support=np.stack(support),
            support_labels=np.tile(np.arange(way).repeat(shot), (DRAWS, 1)),
            query=np.tile(len(labels) + np.arange(len(answers)), (DRAWS, 1)),
            query_labels=np.tile(answers, (DRAWS, 1)),
        ),
        way=way,
        shot=shot,
        query=1,
    )


def _splits(root: Path, dataset: str) -> tuple[dict[str, Split], tuple[str, ...]]:
    """Return texts and labels of both splits, and the names of the classes."""
    spelled = SETS[dataset].rpartition("/")[2]
    folder = next((root / each for each in (dataset, spelled) if (root / each).is_dir()), root)
    if (folder / "dataset_dict.json").is_file():
        saved = read_columns(folder)
        rows = {
            part: [
                {key: saved[key][row] for key in saved.columns} for row, own in enumerate(saved["split"]) if own == part
            ]
            for part in ("train", "test")
        }
    else:
        rows = {part: _lines(folder, part, dataset) for part in ("train", "test")}
    known = {row["label"]: str(row.get("label_text") or row["label"]) for part in rows.values() for row in part}
    if len({*map(type, known)}) > 1:
        raise InputError(f"the labels of {folder} are {str([*known])[:60]}; expected numbers alone, or names alone")
    places = {label: place for place, label in enumerate(sorted(known))}
    splits = {
        part: ([str(row["text"]) for row in own], np.array([places[row["label"]] for row in own], dtype=np.int64))
        for part, own in rows.items()
    }
    return splits, tuple(known[label] for label in places)


def _lines(folder: Path, part: str, dataset: str) -> list[dict[str, Any]]:
    file = next((path for ending in _ENDINGS if (path := folder / f"{part}{ending}").is_file()), None)
    if file is None:
        raise InputError(
            f"{folder} has no {part}.jsonl; {dataset} is to be had from https://huggingface.co/datasets/{SETS[dataset]}"
        )
    content = read_text(file)
    try:
        rows = (
            json.loads(content) if content.lstrip().startswith("[") else [json.loads(line) for line in _full(content)]
        )
    except json.JSONDecodeError as error:
        raise InputError(f"{file} has a line that is no JSON ({error}); fetch it again") from error
    for number, row in enumerate(rows, start=1):
        if (
            not isinstance(row, dict)
            or not isinstance(row.get("text"), str)
            or type(row.get("label")) not in (int, str)
        ):
            raise InputError(
                f"{file}, row {number}: {str(row)[:60]}; expected a text and a label that is a number or a name"
            )
    if not rows:
        raise InputError(f"{file} is empty; fetch it again")
    return list(rows)


def _full(content: str) -> list[str]:
    return [line for line in content.split("\n") if line.strip()]
