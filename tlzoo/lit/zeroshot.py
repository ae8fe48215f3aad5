"""Zero-shot learning: match features with descriptions of classes without examples."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict
from typing import TYPE_CHECKING, Any, ClassVar

import torch
from torch import Tensor, nn

from tlzoo.errors import InputError
from tlzoo.functional.checks import check_counts
from tlzoo.lit.arguments import as_backbone, as_method, objects
from tlzoo.lit.candidates import Candidates
from tlzoo.lit.for_data import OnBackbone
from tlzoo.lit.module import TransferModule
from tlzoo.lit.optimizer import OptimizerSettings
from tlzoo.lit.predicting import Predictions, as_predictions
from tlzoo.methods.base import Method
from tlzoo.methods.checks import as_tensor
from tlzoo.methods.compatibility import Compatibility
from tlzoo.methods.text_compatibility import TextCompatibility
from tlzoo.scoring import ZeroShotScores, scorer
from tlzoo.types import Examples, Sees, SupervisionError

if TYPE_CHECKING:
    from tlzoo.lit.data.zeroshot import ZeroShotData

__all__ = ["ZeroShot"]

_CANDIDATES = "tlzoo_candidates"


class ZeroShot(OnBackbone, TransferModule):
    """A frozen backbone and a :class:`~tlzoo.methods.compatibility.Compatibility`.

    For a closed form, ``trainer.fit`` runs once over the seen classes and then solves it. Candidate classes are bound
    before predictions. ``test/accuracy`` is the top-1 accuracy; top-5 and the mean per class are logged as well.

    Args:
        backbone: a name for :func:`tlzoo.create_backbone`, a backbone or any module.
        method: a name of the registry, or a compatibility.
        num_classes: C, the candidates of a test; 0 if they are bound later.
        num_embedding: A, width of the class embeddings; any number for a method that reads texts.
        optimizer: see :class:`~tlzoo.lit.optimizer.OptimizerSettings`.
        backbone_settings: settings of a backbone given by name.
        method_settings: settings of a method given by name.
    """

    families: ClassVar[tuple[str, ...]] = ("zeroshot",)
    takes = (Compatibility, TextCompatibility)
    method: Compatibility | TextCompatibility

    def __init__(
        self,
        backbone: str | nn.Module,
        method: str | Method,
        *,
        num_classes: int,
        num_embedding: int,
        optimizer: OptimizerSettings | Mapping[str, Any] | None = None,
        backbone_settings: Mapping[str, Any] | None = None,
        method_settings: Mapping[str, Any] | None = None,
    ) -> None:
        super().__init__(optimizer)
        check_counts(low=0, num_classes=num_classes)  # none: candidates are bound later
        check_counts(num_embedding=num_embedding)
        optimizer = asdict(self.optimizer_settings)
        self.save_hyperparameters(ignore=objects(backbone=backbone, method=method), logger=False)
        self.backbone = as_backbone(backbone, backbone_settings)
        self.backbone.requires_grad_(False)
        shape = {"num_features": self.backbone.num_features, "num_embedding": num_embedding}
        self.method = as_method(method, type(self), method_settings, **shape)
        self.trained = self.method.trained
        self.automatic_optimization = self.trained
        self._collected: list[tuple[Tensor, Tensor]] = []
        self.candidates = Candidates()
        self._scorer: Callable[[Any], Tensor] | None = None
        self.scores: ZeroShotScores | None = None

    @property
    def learns(self) -> bool:
        """Whether the method has examples to fit on."""
        return Sees.SOURCE_INPUTS in self.method.sees

    @classmethod
    def settings_from_data(cls, data: ZeroShotData) -> dict[str, Any]:
        """Return the number of candidates of the test and the width of their embeddings."""
        return {"num_classes": data.num_candidates, "num_embedding": data.embeddings.shape[1]}

    def pretrained(self) -> nn.Module:
        """Return the backbone, which is frozen."""
        return self.backbone

    def configure_optimizers(self) -> Any:
        """Build an optimizer for a trained method; closed forms need none."""
        return super().configure_optimizers() if self.trained else []

    @property
    def reads(self) -> bool:
        """Whether the method takes raw texts and texts of classes instead of features and embeddings."""
        return isinstance(self.method, TextCompatibility)

    def bind(
        self, candidates: Tensor | Sequence[str], *, seen: Tensor | None = None, names: Sequence[str] = ()
    ) -> None:
        """Set the candidates of the next predictions.

        Args:
            candidates: embeddings (C, A) of the candidate classes, a tensor or an array; their C texts for a method
                that reads.
            seen: (C,) True for classes of the training set; None if all candidates are unseen.
            names: one name per candidate.

        Raises:
            ValueError: the numbers of candidates, names and entries of ``seen`` differ.
        """
        if names and len(names) != len(candidates):
            raise InputError(f"{len(names)} names for {len(candidates)} candidates; expected one each")
        known = torch.zeros(len(candidates), dtype=torch.bool) if seen is None else torch.as_tensor(seen)
        embeddings = None if self.reads else as_tensor(candidates, what="candidates").to(self.device)
        texts = [str(text) for text in candidates] if self.reads else []
        self.candidates.set(embeddings, texts, seen=known.to(self.device), names=list(map(str, names)))
        self._scorer = self._bound()
        self.scores = ZeroShotScores(known.cpu().numpy()).to(self.device)

    def _bound(self) -> Callable[[Any], Tensor]:
        """Return the scorer of the candidates.

        Raises:
            RuntimeError: there are none.
        """
        if self.candidates.seen is None:
            raise RuntimeError("no candidate classes yet; call bind(class_embeddings, seen=...) first")
        if isinstance(self.method, TextCompatibility):
            return self.method.bind(self.candidates.texts, seen=self.candidates.seen)
        return self.method.bind(self.candidates.embeddings, seen=self.candidates.seen)

    def forward(self, inputs: Any) -> Tensor:
        """Map raw inputs (B, ...) to scores among the bound candidates (B, C).

        Raises:
            RuntimeError: no candidates are bound.
        """
        if self._scorer is None:
            self._scorer = self._bound()
        return self._scorer(inputs if self.reads else self._encoded(inputs))

    def answers(self, inputs: Any) -> Tensor:
        """Map raw inputs (B, ...) to probabilities (B, C)."""
        probabilities: Tensor = self(inputs).softmax(dim=1)
        return probabilities

    @torch.no_grad()
    def predict(self, items: Any, *, batch_size: int = 256) -> Predictions:
        """Return answers to new items among the bound candidates: those of the test, or of :meth:`bind`.

        Args:
            items: as the task that the module was trained on held them, see :meth:`FineTuning.predict`. A method that
                looks at all test inputs together gets all of them at once.
            batch_size: items per batch.

        Returns:
            The softmax of the scores, which few methods calibrate.

        Raises:
            RuntimeError: no candidates are bound.
            ValueError: the module does not know its data, or items are of another kind.
        """
        at_once = None if Sees.TEST_INPUTS in self.method.sees else batch_size
        parts = [self.answers(batch) for batch in self.batches_of(items, at_once)]
        seen = self.candidates.seen
        return as_predictions(parts, self.candidates.names, num_classes=0 if seen is None else len(seen))

    def __getstate__(self) -> dict[str, Any]:
        """Return the state without the scorer, which the candidates and the method make again."""
        state: dict[str, Any] = super().__getstate__()
        return {**state, "_scorer": None}

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Store names and texts of the candidates besides what every module stores."""
        super().on_save_checkpoint(checkpoint)
        checkpoint[_CANDIDATES] = self.candidates.words()

    def on_load_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Restore names and texts of the candidates."""
        super().on_load_checkpoint(checkpoint)
        for name, words in checkpoint.get(_CANDIDATES, {}).items():
            setattr(self.candidates, name, list(words))
        self._scorer = None

    def _encoded(self, inputs: Any) -> Tensor:
        self.backbone.eval()
        with torch.no_grad():
            features: Tensor = self.backbone(self.backbone.preprocess(inputs))
        return features

    def training_step(self, batch: Examples, batch_idx: int) -> Tensor | None:
        """Return the loss of a trained method; collect the features for a closed form.

        Raises:
            SupervisionError: the method does not declare the labels of seen classes, which every fit needs.
        """
        batch = self.checked(batch)
        if batch.labels is None:
            raise SupervisionError(f"{self.method_name} is fitted but does not declare {Sees.SOURCE_LABELS.name}")
        features = self._encoded(batch.inputs)
        if not self.trained:
            self._collected.append((features, batch.labels))
            if self.trainer.is_last_batch:
                self._solve()
                self._collected.clear()
            return None
        features, labels = self.joined(features), self.joined(batch.labels)
        assert isinstance(self.method, Compatibility)  # one that reads learns nothing
        terms = dict(self.method.loss(features, labels, self._class_embeddings()))
        self.log_terms(terms, len(features))
        return self.check_loss(terms["loss"], terms)

    def on_train_epoch_end(self) -> None:
        """End the training of a closed form; one that was stopped in mid-pass is solved from what it has seen."""
        if self._collected:
            self._solve()
        if not self.trained:
            # without an optimizer no step is counted, and max_steps would never be reached
            self.trainer.should_stop = True

    def _solve(self) -> None:
        features, labels = (self.joined(torch.cat(parts)) for parts in zip(*self._collected, strict=True))
        assert isinstance(self.method, Compatibility)
        self.method.fit(features, labels, self._class_embeddings())

    def resume_state(self) -> dict[str, Any]:
        """Return the features and labels that a closed form has collected."""
        return {"collected": list(self._collected)}

    def load_resume_state(self, state: Mapping[str, Any]) -> None:
        """Take back what was collected."""
        self._collected = [
            (features.to(self.device), labels.to(self.device)) for features, labels in state["collected"]
        ]

    def _class_embeddings(self) -> Tensor:
        embeddings: Tensor = self.trainer.datamodule.class_embeddings.to(self.device)  # type: ignore[attr-defined]
        return embeddings

    def _bind_split(self, split: str) -> None:
        data = getattr(self.trainer, "datamodule", None)
        if data is not None:
            embeddings, seen = data.candidates(split)
            names = data.candidate_names(split)
            self.bind(data.candidate_texts(split) if self.reads else embeddings, seen=seen, names=names)
            self.scores = scorer(data.task, seen=seen.numpy()).to(self.device)

    def on_validation_start(self) -> None:
        """Bind the held-out classes; solve a closed form from the features collected so far."""
        if self._collected:
            self._solve()
        if not self._unfitted:
            self._bind_split("validation")

    @property
    def _unfitted(self) -> bool:
        """Whether a closed form is used before its pass, as in Lightning's sanity check of the validation loop."""
        return self.trainer.sanity_checking and not self.trained

    def on_test_start(self) -> None:
        """Bind the candidates of the test."""
        self._bind_split("test")

    def on_predict_start(self) -> None:
        """Bind the candidates of the test."""
        self._bind_split("test")

    def validation_step(self, batch: Examples, batch_idx: int) -> None:
        """Score predictions among the held-out classes, which play unseen."""
        if not self._unfitted:
            self._measure(batch)

    def test_step(self, batch: Examples, batch_idx: int) -> None:
        """Score predictions for test examples of unseen and, in the generalized protocol, seen classes."""
        self._measure(batch)

    def _measure(self, batch: Examples) -> None:
        assert batch.labels is not None
        assert self.scores is not None
        self.scores.update(self(batch.inputs), batch.labels)

    def on_validation_epoch_end(self) -> None:
        """Log the figures of :class:`~tlzoo.scoring.ZeroShotScores`."""
        if not self._unfitted:
            self._log("validation/")

    def on_test_epoch_end(self) -> None:
        """Log the figures of :class:`~tlzoo.scoring.ZeroShotScores`."""
        self._log("test/")

    def _log(self, prefix: str) -> None:
        assert self.scores is not None
        self.log_scores(prefix, self.scores)

    def predict_step(self, batch: Examples, batch_idx: int) -> Tensor:
        """Return the scores among the bound candidates (B, C)."""
        return self(batch.inputs)  # type: ignore[no-any-return]
