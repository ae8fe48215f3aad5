"""What a task on a user's own files may say, by kind; light to import, because planning reads it."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from tlzoo.errors import InputError
from tlzoo.spelling import nearest

__all__ = ["KEYS", "checked_specification", "files_of"]

_COMMON = (
    *("kind", "name", "from", "root", "pictures", "size", "modality", "class_names"),
    *("features", "text", "path", "images", "series", "labels", "domain", "split"),
)
_DOMAIN = ("train_share", "metric", "mirrored")

KEYS: dict[str, tuple[str, ...]] = {
    "domain": (*_COMMON, "source", "target", "test", "source_test", "setting", *_DOMAIN),
    "episode": (*_COMMON, "base", "validation", "novel", "way", "shot", "query", "cross_domain", "superclass"),
    "finetuning": (*_COMMON, "train", "test", "pretraining", *_DOMAIN),
    "multitask": (*_COMMON, "targets"),
    "zeroshot": (*_COMMON, "descriptions", "unseen", "held_out", "generalized"),
}
"""Kind -> keys."""

_FILES = ("from", "source", "target", "test", "source_test", "train", "pretraining", "descriptions")


def checked_specification(spec: Mapping[str, Any]) -> dict[str, Any]:
    """Return a specification with names as strings, after checking its kind and keys.

    Raises:
        ValueError: the kind or a key is missing or unknown.
    """
    kind = spec.get("kind")
    if kind not in KEYS:
        if kind is None:
            raise InputError(f"a task without kind; expected one of {', '.join(KEYS)}")
        raise InputError(nearest(str(kind), KEYS, kind="kind"))
    for key in spec:
        if key not in KEYS[kind]:
            raise InputError(nearest(str(key), KEYS[kind], kind=f"key of a {kind} task"))
    return {str(key): value for key, value in spec.items()}


def files_of(spec: Mapping[str, Any], root: Path) -> list[Path]:
    """Return the files (not folders) that a specification names."""
    names = [each for key in _FILES for each in _strings(spec.get(key))]
    return sorted({path for name in names if (path := root / Path(name).expanduser()).is_file()})


def _strings(value: Any) -> list[str]:
    values = value if isinstance(value, list | tuple) else [value]
    return [each for each in values if isinstance(each, str)]
