"""Tasks with the cached features of a frozen backbone as inputs."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray
from torch import nn

from tlzoo.backbones import FeatureCache, create_backbone
from tlzoo.backbones.sentence import SentenceEncoder
from tlzoo.backbones.weights_fingerprint import fingerprint
from tlzoo.data.augment import REVISION, VIEWS
from tlzoo.data.augmented_views import AugmentedInputs
from tlzoo.data.example_set import ExampleSet, content_hash
from tlzoo.data.tasks import Task, ZeroShotTask
from tlzoo.errors import InputError, InputTypeError
from tlzoo.types import Backbone

__all__ = ["encode_prompts", "mean_direction", "view_features", "with_features", "with_tokens"]

T = TypeVar("T", bound=Task)


def with_features(task: T, backbone: str | nn.Module, *, cache: FeatureCache | None = None) -> T:
    """Return the task with the frozen backbone's features instead of its inputs.

    The backbone runs once over the whole raw set behind the task's examples; later runs and tasks that share the set
    read the cache. ``"identity"`` leaves a task of features as it is.
    """
    examples = next(iter(task.sets().values()))
    if backbone == "identity" and examples.modality == "features":
        return task
    network = _network(backbone, examples)
    store, weights = cache or FeatureCache(), fingerprint(network)

    return task.map_sets(lambda examples: store.apply(network, examples, weights=weights))


def _network(backbone: str | nn.Module, examples: ExampleSet) -> Backbone:
    """Return the backbone of a name, or of any module; a dry run on ``examples`` finds a width that is not declared."""
    return create_backbone(backbone, example=examples.batch(np.arange(min(2, len(examples)))).inputs)


def view_features(
    examples: ExampleSet,
    backbone: str | nn.Module,
    *,
    copies: int,
    mirrored: bool,
    cache: FeatureCache | None = None,
) -> dict[str, list[NDArray[np.float32]]]:
    """Return the frozen backbone's features (M, D) of ``copies`` weak and strong views of each of M raw examples.

    They are fixed, and cached like features.

    Raises:
        ValueError: ``copies`` is below 1, or there are no views of this kind of examples.
    """
    if copies < 1:
        raise InputError(f"{copies} views of each kind; expected at least one")
    network = _network(backbone, examples)
    store = cache or FeatureCache()
    raw, indices, checksum = examples.base

    def features(view: str, copy: int) -> NDArray[np.float32]:
        shown = AugmentedInputs(raw, indices, view=view, copy=copy, modality=examples.modality, mirrored=mirrored)
        identity = content_hash(checksum, indices, view, copy, mirrored, REVISION)
        return np.array(store.features(network, shown, checksum=identity), dtype=np.float32)

    return {view: [features(view, copy) for copy in range(copies)] for view in VIEWS}


def with_tokens(task: T, encoder: Backbone) -> T:
    """Return a task with token ids instead of texts, for methods that adapt the encoder itself.

    Episodes then hold tensors, which the encoder takes like strings.

    Raises:
        TypeError: the encoder has no tokens; only those of ``sentence:`` do.
    """
    if not isinstance(encoder, SentenceEncoder):
        raise InputTypeError(f"{encoder.name} has no tokens; expected a backbone sentence:NAME or sentence:FOLDER")

    def tokenized(examples: ExampleSet) -> ExampleSet:
        tokens = encoder.tokens(examples.inputs[np.arange(len(examples))])
        return examples.with_inputs(tokens.numpy(), modality="text")

    return task.map_sets(tokenized)


def encode_prompts(
    task: ZeroShotTask,
    backbone: str | Backbone,
    *,
    templates: Sequence[str] = ("{}",),
    wordings: Sequence[str] = ("description",),
    cache: FeatureCache | None = None,
) -> dict[str, NDArray[np.float32]]:
    """Return embeddings (classes, A) of the texts of a task's classes by a text backbone, for each prompt.

    A prompt is a template filled with a wording, such as ``"a photo of {name}"``; each is encoded once and cached.

    Raises:
        ValueError: a template lacks ``{}``, there is no prompt, or the task does not have a wording.
    """
    if not templates or not wordings:
        raise InputError(f"{len(templates)} templates and {len(wordings)} wordings; expected at least one of each")
    if bad := [template for template in templates if template.count("{}") != 1]:
        raise InputError(f"template {bad[0]!r}: expected one {{}} for the text of a class")
    network = create_backbone(backbone) if isinstance(backbone, str) else backbone
    store = cache or FeatureCache()
    found = {}
    for wording, template in itertools.product(wordings, templates):
        texts = np.array([template.replace("{}", text) for text in task.texts(wording)])
        features = store.features(network, texts, checksum=content_hash(texts))
        found[template.replace("{}", f"{{{wording}}}")] = np.array(features, dtype=np.float32)
    return found


def mean_direction(embeddings: Sequence[NDArray[np.float32]]) -> NDArray[np.float32]:
    """Return the mean direction of several embeddings (classes, A) of the same classes; a single one unchanged.

    >>> mean_direction([np.array([[1, 0]], np.float32), np.array([[0, 2]], np.float32)]).round(3).tolist()
    [[0.7070000171661377, 0.7070000171661377]]
    """
    if len(embeddings) == 1:
        return embeddings[0]
    mean = sum(_directions(one) for one in embeddings)
    return _directions(np.asarray(mean, dtype=np.float32))


def _directions(rows: NDArray[np.float32]) -> NDArray[np.float32]:
    directions: NDArray[np.float32] = rows / np.maximum(np.linalg.norm(rows, axis=1, keepdims=True), 1e-12)
    return directions
