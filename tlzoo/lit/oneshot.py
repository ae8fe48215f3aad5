"""One-shot and few-shot learning: from a support set to the classes of queries."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Mapping
from dataclasses import asdict
from typing import TYPE_CHECKING, Any, ClassVar, Literal

import numpy as np
import torch
from torch import Tensor, nn

from tlzoo.backbones.sentence import SentenceEncoder
from tlzoo.errors import InputError, InputTypeError
from tlzoo.functional import mean_over_processes
from tlzoo.functional.checks import check_choice, check_counts
from tlzoo.lit.arguments import as_backbone, as_method, objects
from tlzoo.lit.for_data import OnBackbone
from tlzoo.lit.module import TransferModule
from tlzoo.lit.optimizer import OptimizerSettings
from tlzoo.lit.predicting import Predictions, as_predictions
from tlzoo.methods.base import Method
from tlzoo.methods.episode_classifier import EpisodeClassifier
from tlzoo.methods.meta_learning import MetaLearner
from tlzoo.nn.batch_statistics import Statistics, statistics_of, uses_batch_statistics
from tlzoo.scoring import EpisodeScores
from tlzoo.types import Episode, Sees

if TYPE_CHECKING:
    from tlzoo.lit.data.episodes import EpisodeData

__all__ = ["OneShot"]


class OneShot(OnBackbone, TransferModule):
    """A backbone and a method for episodes, trained on episodes of the base classes.

    An :class:`~tlzoo.methods.episode_classifier.EpisodeClassifier` works on the backbone's features. A
    :class:`~tlzoo.methods.meta_learning.MetaLearner` adapts the network itself, the backbone
    with a linear head of ``way`` outputs.

    A method that sees the base set (``Sees.SOURCE_INPUTS``) gets it before the evaluation. ``test/accuracy`` is the
    mean over episodes, ``test/interval`` half the width of its 95 % interval, 1.96 s / sqrt(episodes).

    Args:
        backbone: a name for :func:`tlzoo.create_backbone`, a backbone or any module.
        method: a name of the registry, an episode classifier or a meta-learner.
        way: number of classes per episode, for meta-learners, whose head has as many outputs.
        statistics: what batch normalization without running statistics (as in ``conv4``) uses for the features of an
            episode classifier: the ``"support"`` of the episode, so each query is classified on its own, or, as is
            common, all support sets and queries of a ``"batch"``, which makes predictions transductive. Meta-learners
            have a setting of the same name.
        optimizer: see :class:`~tlzoo.lit.optimizer.OptimizerSettings`.
        backbone_settings: settings of a backbone given by name.
        method_settings: settings of a method given by name.

    Raises:
        TypeError: the method is of another kind.
        ValueError: a meta-learner lacks ``way``.
    """

    families: ClassVar[tuple[str, ...]] = ("oneshot",)
    takes: ClassVar[tuple[type[Method], ...]] = (EpisodeClassifier, MetaLearner)
    trains_on: ClassVar[Literal["episodes", "examples"]] = "episodes"
    method: EpisodeClassifier | MetaLearner

    def __init__(
        self,
        backbone: str | nn.Module,
        method: str | Method,
        *,
        way: int | None = None,
        statistics: Statistics = "support",
        optimizer: OptimizerSettings | Mapping[str, Any] | None = None,
        backbone_settings: Mapping[str, Any] | None = None,
        method_settings: Mapping[str, Any] | None = None,
    ) -> None:
        super().__init__(optimizer)
        if way is not None:
            check_counts(way=way)
        optimizer = asdict(self.optimizer_settings)
        self.save_hyperparameters(ignore=objects(backbone=backbone, method=method), logger=False)
        check_choice(statistics, ("support", "batch"), what="statistics")
        self.statistics = statistics
        self.backbone = as_backbone(backbone, backbone_settings)
        shape = {"num_features": self.backbone.num_features}
        self.method = as_method(method, type(self), method_settings, **shape)
        if isinstance(self.method, MetaLearner):
            if way is None:
                raise InputError(f"{type(self.method).__name__} adapts a head with one output per class; set way")
            self.head = nn.Linear(self.backbone.num_features, way)
            self.method.prepare(self.network)
        self.scores = EpisodeScores()
        self._training_buffers: dict[str, Tensor] | None = None

    @classmethod
    def settings_from_data(cls, data: EpisodeData) -> dict[str, Any]:
        """Return the number of classes per episode."""
        return {"way": data.way}

    def pretrained(self) -> nn.Module:
        """Return the backbone."""
        return self.backbone

    @property
    def network(self) -> nn.Module:
        """Backbone and head, which a meta-learner adapts together."""
        return nn.Sequential(OrderedDict(backbone=self.backbone, head=self.head))

    def forward(self, episode: Episode) -> Tensor:
        """Map E episodes of raw inputs to query logits (E, Q, way)."""
        support, query = self._preprocessed(episode.support), self._preprocessed(episode.query)
        logits: Tensor
        if isinstance(self.method, MetaLearner):
            logits = self.method(self.network, support, episode.support_labels, query, way=episode.way)
        else:
            support, query = self._encoded(support, query)
            logits = self.method(support, episode.support_labels, query, way=episode.way)
        return logits

    def _preprocessed(self, inputs: Tensor) -> Tensor:
        """Map raw inputs (E, N, ...) to inputs of the network."""
        ready: Tensor = self.backbone.preprocess(inputs.flatten(0, 1))
        return ready.reshape(*inputs.shape[:2], *ready.shape[1:])

    def _encoded(self, support: Tensor, query: Tensor) -> tuple[Tensor, Tensor]:
        """Map inputs of the network (E, S, ...) and (E, Q, ...) to features (E, S, D) and (E, Q, D)."""
        if self.statistics == "support" and uses_batch_statistics(self.backbone):
            with statistics_of(support.shape[1]):
                features = torch.stack([self.backbone(episode) for episode in torch.cat([support, query], dim=1)])
            return features[:, : support.shape[1]], features[:, support.shape[1] :]
        with self.passing(self.backbone):
            parts = [self.backbone(items.flatten(0, 1)).unflatten(0, items.shape[:2]) for items in (support, query)]
        return parts[0], parts[1]

    def fit_base(self, inputs: Any, labels: Tensor | None, *, batch_size: int = 256) -> None:
        """Give the method the base set: raw inputs (N, ...) and labels (N,), or None if it may not see them."""
        assert isinstance(self.method, EpisodeClassifier)
        was_training = self.backbone.training
        self.backbone.eval()
        with torch.no_grad():
            parts = [
                self.backbone(self.backbone.preprocess(inputs[first : first + batch_size]))
                for first in range(0, len(inputs), batch_size)
            ]
            self.method.fit_base(torch.cat(parts), labels)
        self.backbone.train(was_training)

    def _show_base(self) -> None:
        data = getattr(self.trainer, "datamodule", None)
        if Sees.SOURCE_INPUTS in self.method.sees and data is not None:
            base = data.base_examples(self.method.sees, by=self.method_name)
            labels = None if base.labels is None else base.labels.to(self.device)
            with self.trainer.precision_plugin.forward_context():  # a hook has none, unlike a step
                self.fit_base(base.inputs.to(self.device), labels)

    def training_step(self, batch: Episode, batch_idx: int) -> Tensor:
        """Return the method's loss on the queries."""
        loss = self._loss(self.checked(batch))
        terms = {"loss": loss}
        self.log_terms(terms, len(batch.query))
        return self.check_loss(loss, terms)

    def _loss(self, batch: Episode) -> Tensor:
        assert batch.query_labels is not None
        if isinstance(self.method, MetaLearner):
            support, query = self._preprocessed(batch.support), self._preprocessed(batch.query)
            loss = self.method.objective(
                self.network, support, batch.support_labels, query, batch.query_labels, way=batch.way
            )
            return mean_over_processes(loss, len(support)) if self.distributed else loss
        return self.method.loss(self.joined(self(batch)), self.joined(batch.query_labels))

    def begin_epoch(self) -> None:
        """Give the method the base set, encoded by the current backbone."""
        self._show_base()

    def _begin_evaluation(self) -> None:
        """Give the method the base set as the backbone encodes it now; training goes on with what it knew."""
        if self._training_buffers is None:
            self._training_buffers = {name: buffer.clone() for name, buffer in self.method.named_buffers()}
        self._show_base()

    def on_train_batch_start(self, batch: Any, batch_idx: int) -> None:
        """Return from an evaluation to what the method knew in training."""
        for name, buffer in (self._training_buffers or {}).items():
            owner, _, own = name.rpartition(".")
            setattr(self.method.get_submodule(owner), own, buffer.to(self.device))
        self._training_buffers = None
        super().on_train_batch_start(batch, batch_idx)

    def on_fit_end(self) -> None:
        """Leave the method with the base set as the trained backbone encodes it."""
        self._begin_evaluation()

    def resume_state(self) -> dict[str, Any]:
        """Return what the method knew in training, if an evaluation has replaced it."""
        return {"buffers": self._training_buffers}

    def load_resume_state(self, state: Mapping[str, Any]) -> None:
        """Take back what the method knew in training."""
        self._training_buffers = state["buffers"]

    def on_validation_start(self) -> None:
        """Give the method the base set, encoded by the current backbone."""
        self._begin_evaluation()

    def on_test_start(self) -> None:
        """Give the method the base set, encoded by the current backbone."""
        self._begin_evaluation()

    def on_predict_start(self) -> None:
        """Give the method the base set, encoded by the current backbone."""
        self._begin_evaluation()

    def validation_step(self, batch: Episode, batch_idx: int) -> None:
        """Score episodes of the validation classes."""
        self._score(batch)

    def test_step(self, batch: Episode, batch_idx: int) -> None:
        """Score episodes of the novel classes."""
        self._score(batch)

    def _score(self, batch: Episode) -> None:
        assert batch.query_labels is not None
        # a method may train on the support set, which inference mode would forbid
        with torch.inference_mode(False), torch.enable_grad():
            logits: Tensor = self(batch.clone()).detach()
        self.scores.update(logits, batch.query_labels)

    def on_validation_epoch_end(self) -> None:
        """Log the mean over episodes and its interval."""
        self.log_scores("validation/", self.scores)

    def on_test_epoch_end(self) -> None:
        """Log the mean over episodes and its interval."""
        self.log_scores("test/", self.scores)

    def predict_step(self, batch: Episode, batch_idx: int) -> Tensor:
        """Return the query logits (E, Q, way)."""
        with torch.inference_mode(False), torch.enable_grad():
            logits: Tensor = self(batch.clone())
        return logits.detach()

    def predict(self, items: Any, *, support: Any, labels: Any, batch_size: int = 256) -> Predictions:
        """Return answers to new items among the classes of a support set.

        Args:
            items: queries: files or uint8 pictures (N, H, W, C), series, texts, or features (N, D), as in the training
                data. A method that looks at all queries of an episode together gets all of them at once.
            support: items of the same kind.
            labels: (S,) the class of each support item: names or numbers, which the answer carries.
            batch_size: queries per batch.

        Raises:
            ValueError: the module does not know its data, or items are of another kind.
            TypeError: the backbone takes no texts.
        """
        names, places = np.unique(np.asarray(labels), return_inverse=True)
        at_once = None if Sees.TEST_INPUTS in self.method.sees else batch_size
        shown = torch.cat([self._tokens(batch) for batch in self.batches_of(support, None)])
        known = torch.from_numpy(places).to(self.device)
        parts = []
        # a method may train on the support set, which inference mode would forbid
        with torch.inference_mode(False), torch.enable_grad():
            for batch in self.batches_of(items, at_once):
                query = self._tokens(batch)[None]
                episode = Episode(
                    support=shown[None], support_labels=known[None], query=query, query_labels=None, way=len(names)
                )
                parts.append(self(episode)[0].detach().softmax(dim=1))
        return as_predictions(parts, [str(name) for name in names], num_classes=len(names))

    def _tokens(self, batch: Any) -> Tensor:
        """Return a batch as a tensor: texts as token ids."""
        if isinstance(batch, Tensor):
            return batch
        if not isinstance(self.backbone, SentenceEncoder):
            raise InputTypeError(
                f"{self.backbone.name} takes no texts; train on features of a text encoder, or with a backbone "
                "sentence:NAME"
            )
        return self.backbone.tokens(batch).to(self.device)
