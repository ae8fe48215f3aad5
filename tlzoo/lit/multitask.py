"""Multitask learning: several tasks on shared layers, with weighted losses or gradients."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import nullcontext
from dataclasses import asdict
from typing import TYPE_CHECKING, Any, ClassVar

import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from tlzoo.data.example_set import ExampleSet
from tlzoo.data.tasks import Target
from tlzoo.errors import InputError
from tlzoo.functional.checks import check_choice, check_flags
from tlzoo.lit.arguments import as_backbone, as_method, objects
from tlzoo.lit.for_data import OnBackbone
from tlzoo.lit.module import TransferModule
from tlzoo.lit.optimizer import OptimizerSettings
from tlzoo.lit.predicting import Predictions, as_predictions
from tlzoo.lit.task_batches import parts_of, task_batch
from tlzoo.methods.base import Method
from tlzoo.methods.merging import Merging, TaskNetworks
from tlzoo.methods.weighting import Weighting
from tlzoo.nn.gradients import GradientSpace, TaskTape, conflicts
from tlzoo.nn.named_modules import NamedModules
from tlzoo.nn.sharing import SHARING, MergedNetworks
from tlzoo.nn.task_heads import DECODERS, HEADS, Decoder, DenseHead, NormalsHead, TaskHead, ValueHead
from tlzoo.scoring import MultitaskScores
from tlzoo.spelling import nearest
from tlzoo.types import Sees, TaskBatch

if TYPE_CHECKING:
    from tlzoo.lit.data.multitask import MultitaskData

__all__ = ["Multitask"]


class Multitask(OnBackbone, TransferModule):
    r"""One head per task on a sharing architecture; a :class:`~tlzoo.methods.weighting.Weighting` balances them.

    With weighted losses, all parameters follow the gradient of the weighted sum. With weighted gradients, shared
    parameters follow :math:`J^\top w`, while heads and other task-specific parameters follow their own loss, or their
    weighted loss if the method says so. Both come from one ordinary loss, so accumulation, clipping, mixed precision
    and DDP work as usual. A task without labels in a batch takes no part in it.

    Args:
        backbone: a name for :func:`tlzoo.create_backbone`, a backbone or any module.
        method: a name of the registry, or a weighting.
        targets: task name -> :class:`~tlzoo.data.tasks.Target`, a mapping of its arguments, or its number of classes (0
            for a value).
        sharing: a name in :data:`tlzoo.nn.sharing.SHARING`. ``"hard"``: one backbone for all tasks; ``"none"``: one per
            task, which is single-task learning. Methods that merge (:class:`~tlzoo.methods.merging.Merging`) train one
            per task whatever it says, and answer by the merged one.
        sharing_settings: settings of that architecture, such as ``{"bottleneck": 256}``.
        decoder: what maps a feature map to answers at every position, of targets that have one there: ``"linear"``, a
            1x1 convolution; ``"conv"``, a 3x3 convolution before it; or ``"aspp"``, the head of DeepLabv3, which needs
            two items a batch or more.
        space: where to take task gradients: at the shared ``"parameters"``, or at the shared ``"features"``, an upper
            bound that costs next to nothing.
        monitor: log the cosines and norms of the task gradients at logging steps with any weighting; weightings that
            use inner products log them anyway.
        optimizer: see :class:`~tlzoo.lit.optimizer.OptimizerSettings`.
        backbone_settings: settings of a backbone given by name.
        method_settings: settings of a method given by name.
    """

    families: ClassVar[tuple[str, ...]] = ("multitask",)
    takes = (Weighting,)
    method: Weighting

    def __init__(
        self,
        backbone: str | nn.Module,
        method: str | Method,
        *,
        targets: Mapping[str, Target | int | Mapping[str, Any]],
        sharing: str = "hard",
        sharing_settings: Mapping[str, Any] | None = None,
        decoder: Decoder = "linear",
        space: GradientSpace = "parameters",
        monitor: bool = False,
        optimizer: OptimizerSettings | Mapping[str, Any] | None = None,
        backbone_settings: Mapping[str, Any] | None = None,
        method_settings: Mapping[str, Any] | None = None,
    ) -> None:
        super().__init__(optimizer)
        kinds = {task: _target(given) for task, given in targets.items()}
        targets = {task: _arguments(target) for task, target in kinds.items()}
        optimizer = asdict(self.optimizer_settings)
        self.save_hyperparameters(ignore=objects(backbone=backbone, method=method), logger=False)
        self.tasks, self.targets = tuple(kinds), kinds
        check_flags(monitor=monitor)
        check_choice(space, ("parameters", "features"), what="space")
        check_choice(decoder, DECODERS, what="decoder")
        if decoder != "linear" and not any(target.kind in ("dense", "normals") for target in kinds.values()):
            raise InputError(f"decoder={decoder!r} answers at every position, and no target is dense; leave it out")
        if sharing not in SHARING:
            raise InputError(nearest(sharing, SHARING, kind="sharing architecture"))
        self.method = as_method(method, type(self), method_settings, num_tasks=len(targets))
        self.space, self.monitor = space, monitor
        merges = isinstance(self.method, Merging)
        if merges and sharing != "hard":
            raise InputError(f"{self.method_name} merges one network a task; leave out sharing={sharing!r}")
        self.sharing = (MergedNetworks if merges else SHARING[sharing])(
            as_backbone(backbone, backbone_settings), self.tasks, **dict(sharing_settings or {})
        )
        if self.method.order != "losses" and not any(p.requires_grad for p in self.sharing.shared_parameters()):
            raise InputError(
                f"{self.method_name} weights the gradients of shared parameters, but with sharing={sharing!r} on this "
                "backbone the tasks share nothing that trains; set sharing_settings={'bottleneck': 256}, or choose "
                "another architecture"
            )
        width = self.sharing.num_features
        self.heads = NamedModules({task: _head(target, width, decoder) for task, target in kinds.items()})
        if self.method.samples > 1 and space == "features":
            raise InputError(
                f"{self.method_name} multiplies gradients of several batches, which share no features; leave out "
                "space='features'"
            )
        self._since_step: list[TaskBatch] = []
        self.validation_scores, self.test_scores = MultitaskScores(kinds), MultitaskScores(kinds)
        self.register_buffer("loss_sums", torch.zeros(len(kinds)))
        self.register_buffer("loss_counts", torch.zeros(len(kinds)))

    @classmethod
    def settings_from_data(cls, data: MultitaskData) -> dict[str, Any]:
        """Return the targets."""
        return {"targets": data.task.targets}

    def pretrained(self) -> nn.Module:
        """Return the part of the sharing architecture that comes from the backbone."""
        return self.sharing.pretrained()

    def forward(self, inputs: Any) -> dict[str, Tensor]:
        """Map raw inputs (B, ...) to one output per task: logits (B, C) or a value (B, 1)."""
        if isinstance(self.method, Merging) and isinstance(self.sharing, MergedNetworks) and not self.training:
            known = list(self.method.buffers()) if self.method.looks_at_data else []
            features = dict.fromkeys(self.tasks, self.sharing.answer(inputs, self.method.merged, known=known))
        else:
            features = self.sharing(inputs)
        return {task: self.heads[task](features[task]) for task in self.tasks}

    def training_step(self, batch: Any, batch_idx: int) -> Tensor:
        """Return the weighted sum of the losses plus the objective of the weighting.

        The batch is a :class:`~tlzoo.types.TaskBatch` or a mapping of them, such as a ``CombinedLoader`` returns.
        """
        batch = task_batch(batch, self.targets)
        if self._looks_back:
            self._since_step.append(batch)
        if (samples := self.method.samples) > 1:
            *others, batch = parts_of(batch, samples)
            self.method.observe([self._jacobian(other) for other in others])
        tape = self._tape()
        by_task = self._losses(batch, tape)
        losses, present = self._stacked(by_task)
        with self.method.among(present):
            total, terms = self._total(losses, present) if tape is None else self._balanced(losses, present, tape)
        self.get_buffer("loss_sums").add_(losses.detach())
        self.get_buffer("loss_counts").add_(1.0 if present is None else present.to(losses))
        terms = {"loss": total, **{f"loss_{task}": loss for task, loss in by_task.items()}, **terms}
        self.log_terms(terms, batch.size)
        return self.check_loss(total, terms)

    def study(self, inputs: Any) -> None:
        """Let a method that merges look at the fine-tuned networks and at inputs, where its merging needs them.

        A trainer with a data module does it. In your own loop, call it after training, with training inputs; or, for
        methods that declare the test's inputs, before every test with its inputs.

        Args:
            inputs: raw inputs (N, ...) as in batches, or an :class:`~tlzoo.data.example_set.ExampleSet`.
        """
        if not (isinstance(self.method, Merging) and self.method.looks_at_data):
            return
        assert isinstance(self.sharing, MergedNetworks)

        def picked(places: NDArray[Any]) -> Any:
            if isinstance(inputs, ExampleSet):
                return inputs.batch(places).to(self.device).inputs
            return inputs[places] if hasattr(inputs, "shape") else [inputs[place] for place in places]

        was_training = self.training
        self.eval()
        heads = [self._head(task) for task in self.tasks]
        networks = TaskNetworks(
            start=self.sharing.start, bodies=self.sharing.bodies(), heads=heads, size=len(inputs), inputs=picked
        )
        self.method.fit(networks)
        self.train(was_training)

    def _study_data(self, *, test: str) -> None:
        """Let the method look at the trainer's training inputs or, if it declares the test's, at the set ``test``."""
        data = getattr(self.trainer, "datamodule", None)
        if not (isinstance(self.method, Merging) and self.method.looks_at_data) or data is None:
            return
        with self.trainer.precision_plugin.forward_context():  # a hook has none, unlike a step
            if Sees.TEST_INPUTS not in self.method.sees:
                self.study(data.training_data.train)
            elif test:
                self.study(getattr(data.task, test))

    def on_fit_end(self) -> None:
        """Let a method that merges look at the training inputs."""
        self._study_data(test="")

    def on_validation_start(self) -> None:
        """Let a method that merges look at the training inputs, or those of validation if it declares them."""
        self._study_data(test="validation")

    def on_test_start(self) -> None:
        """Let a method that merges look at the training inputs, or those of the test if it declares them."""
        self._study_data(test="test")

    def on_predict_start(self) -> None:
        """Let a method that merges look at the training inputs, or those of the test if it declares them."""
        self._study_data(test="test")

    def _jacobian(self, batch: TaskBatch) -> Tensor:
        """Return the gradients (T, P) of the tasks on a batch, zeros for those without labels."""
        tape = self._tape()
        assert tape is not None
        losses, present = self._stacked(self._losses(batch, tape))
        rows = range(len(self.tasks)) if present is None else present.nonzero().flatten().tolist()
        gradients = tape.gradients([losses[row] for row in rows])
        found = gradients.parameters  # their order depends on the size of a batch
        parts = torch.split(gradients.jacobian(), [parameter.numel() for parameter in found], dim=1)
        by_parameter = {id(parameter): part for parameter, part in zip(found, parts, strict=True)}
        known = [by_parameter[id(parameter)] for parameter in tape.parameters]
        return self._placed_rows(torch.cat(known, dim=1), rows)

    def _tape(self) -> TaskTape | None:
        """Return the tape of the shared part if the gradients of single tasks are needed."""
        watched = self.monitor and self._logs_now
        if self.method.order == "losses" and not watched:
            return None
        tape = TaskTape(self.sharing.shared_parameters())
        return tape if tape.parameters else None

    def _total(self, losses: Tensor, present: Tensor | None) -> tuple[Tensor, dict[str, Tensor]]:
        """Return the weighted sum of the losses with the objective."""
        weights = self.method.weights(losses.detach())
        total = (weights * self.method.transformed(losses)).sum() + self.method.objective(losses.detach())
        return total, self._by_task("weight", weights)

    def _balanced(self, losses: Tensor, present: Tensor | None, tape: TaskTape) -> tuple[Tensor, dict[str, Tensor]]:
        """Return a loss whose gradient is J^T w for shared parameters, and each task's own for the others."""
        rows = range(len(self.tasks)) if present is None else present.nonzero().flatten().tolist()
        constants, followed = losses.detach(), self.method.transformed(losses)
        if self.method.order == "losses":  # watched only: rows are those of the weighted losses, which all follow
            weights = self.method.weights(constants)
            followed = weights * followed
        shared = {id(p) for p in self.sharing.shared_parameters()}
        private = [p for part in (self.sharing, self.heads) for p in part.parameters() if id(p) not in shared]
        gradients = tape.gradients([followed[row] for row in rows], private=private, space=self.space)
        gramian = self._placed(gradients.gramian(), rows) if self._looks_at_products else None
        logged = None if gramian is None or not self._logs_now else gramian.to(constants)
        terms = {} if logged is None else conflicts(logged, self.tasks)
        if self.method.order == "jacobian":
            jacobian = gradients.jacobian()
            direction = self.method.direction(
                self._placed_rows(jacobian, rows), features=gradients.features(), losses=constants
            )
            total = gradients.deliver_direction(direction, private=self._private_weights(None, rows))
            return total + self.method.objective(constants), terms
        if self.method.order == "losses":
            total = gradients.deliver(torch.ones_like(constants[list(rows)])) + self.method.objective(constants)
        else:
            weights = self.method.weights(constants, gramian)
            assert gramian is not None
            total = gradients.deliver(weights[list(rows)], private=self._private_weights(weights, rows))
            total = total + self.method.objective(constants, gramian)
        return total, {**terms, **self._by_task("weight", weights)}

    @property
    def _looks_at_products(self) -> bool:
        return self.method.order == "gramian" or self._logs_now

    def _private_weights(self, weights: Tensor | None, rows: Sequence[int]) -> Tensor | None:
        """Return the weights of what heads follow, of the tasks in the batch; None for ones."""
        found = self.method.private_weights(weights)
        return None if found is None else found[list(rows)]

    def _by_task(self, kind: str, values: Tensor) -> dict[str, Tensor]:
        return {f"{kind}_{task}": value for task, value in zip(self.tasks, values, strict=True)}

    def _placed_rows(self, matrix: Tensor, rows: Sequence[int]) -> Tensor:
        """Return rows at the indices of their tasks (T, P), with zeros for tasks without one."""
        if len(rows) == len(self.tasks):
            return matrix
        return matrix.new_zeros(len(self.tasks), matrix.shape[1]).index_copy(0, _places(rows, matrix), matrix)

    def _placed(self, gramian: Tensor, rows: Sequence[int]) -> Tensor:
        """Return inner products at the indices of their tasks (T, T)."""
        return self._placed_rows(self._placed_rows(gramian, rows).T, rows)

    def _losses(self, batch: Any, tape: TaskTape | None = None) -> dict[str, Tensor]:
        """Return the loss of every task that has a label in the batch; ``tape`` watches what is shared."""
        batch = task_batch(batch, self.targets)
        with nullcontext() if tape is None or self.space == "features" else tape, self.passing(self.sharing):
            shared = self.sharing.shared(batch.inputs)
        shared = shared if tape is None else tape.cut(shared)
        losses = {}
        for task in self.tasks:
            head = self._head(task)
            with self.passing(self.sharing), self.passing(head):
                output = head(self.sharing.private(shared, task))
            output, labels = self.joined(output), self.joined(batch.targets[task])
            present = head.present(labels)
            losses[task] = head.loss(output[present], labels[present]) if bool(present.any()) else None
        by_task = {task: loss for task, loss in losses.items() if loss is not None}
        if not by_task:
            raise InputError("no task has a label in this batch; drop such inputs from the training set")
        return by_task

    def _head(self, task: str) -> TaskHead:
        head = self.heads[task]
        assert isinstance(head, TaskHead)
        return head

    def _stacked(self, by_task: Mapping[str, Tensor]) -> tuple[Tensor, Tensor | None]:
        """Return all losses (T,), zeros for tasks without one, and which tasks have one if some lack it."""
        zero = next(iter(by_task.values())).new_zeros(())
        losses = torch.stack([by_task.get(task, zero) for task in self.tasks])
        if len(by_task) == len(self.tasks):
            return losses, None
        return losses, torch.tensor([task in by_task for task in self.tasks], device=losses.device)

    def optimizer_step(self, *arguments: Any, **settings: Any) -> None:
        """Take a step, then give a weighting that needs them the losses of the same batches after it."""
        super().optimizer_step(*arguments, **settings)
        if self._looks_back:
            with torch.no_grad(), self.trainer.precision_plugin.forward_context():  # a hook has none, unlike a step
                losses, present = self._mean_losses(self._since_step)
                with self.method.among(present):
                    self.method.after_step(losses)
            self._since_step.clear()

    @property
    def _looks_back(self) -> bool:
        """Whether the weighting needs the losses after a step."""
        return type(self.method).after_step is not Weighting.after_step

    def _mean_losses(self, batches: Sequence[TaskBatch]) -> tuple[Tensor, Tensor | None]:
        """Return the mean losses (T,) of batches, and which tasks have one, as :meth:`_stacked` does of one batch."""
        losses = [self._losses(batch) for batch in batches]
        if len(losses) == 1:
            return self._stacked(losses[0])
        of_tasks = {task: [each[task] for each in losses if task in each] for task in self.tasks}
        return self._stacked({task: torch.stack(each).mean() for task, each in of_tasks.items() if each})

    def begin_epoch(self) -> None:
        """Give the weighting the mean losses of the last epoch."""
        sums, counts = self.get_buffer("loss_sums"), self.get_buffer("loss_counts")
        if bool(counts.any()):
            self.method.on_epoch(sums / counts.clamp_min(1))
        sums.zero_()
        counts.zero_()

    def resume_state(self) -> dict[str, Any]:
        """Return the batches that wait for the optimizer's step."""
        return {"batches": [{"inputs": batch.inputs, "targets": dict(batch.targets)} for batch in self._since_step]}

    def load_resume_state(self, state: Mapping[str, Any]) -> None:
        """Take back the batches that wait for the optimizer's step."""
        self._since_step = [TaskBatch(**batch).to(self.device) for batch in state["batches"]]

    def validation_step(self, batch: Any, batch_idx: int) -> None:
        """Score every task on validation data."""
        self._measure(batch, self.validation_scores)

    def on_validation_epoch_end(self) -> None:
        """Log the scores."""
        self.log_scores("validation/", self.validation_scores)

    def test_step(self, batch: Any, batch_idx: int) -> None:
        """Score every task on test data."""
        self._measure(batch, self.test_scores)

    def on_test_epoch_end(self) -> None:
        """Log the scores of each task: its main metric as ``test/TASK``, and all as ``test/TASK/METRIC``."""
        self.log_scores("test/", self.test_scores)

    def _measure(self, batch: Any, scores: MultitaskScores) -> None:
        batch = task_batch(batch, self.targets)
        scores.update(self(batch.inputs), batch.targets)

    def predict_step(self, batch: Any, batch_idx: int) -> dict[str, Tensor]:
        """Return the outputs by task."""
        return self(task_batch(batch, self.targets).inputs)  # type: ignore[no-any-return]

    def answers(self, inputs: Any) -> dict[str, Tensor]:
        """Map raw inputs (B, ...) to class probabilities or values by task."""
        return {task: self._head(task).answer(output) for task, output in self(inputs).items()}

    @torch.no_grad()
    def predict(self, items: Any, *, batch_size: int = 256) -> dict[str, Predictions | NDArray[Any]]:
        """Return the answers to new items by task: class probabilities, or values (N, ...) as an array.

        Args:
            items: as the task that the module was trained on held them, see :meth:`FineTuning.predict`. A method that
                declares the test's inputs looks at all of them first.
            batch_size: items per batch.

        Raises:
            ValueError: the module does not know its data, or items are of another kind.
        """
        if Sees.TEST_INPUTS in self.method.sees:
            for batch in self.batches_of(items, None):
                self.study(batch)
        parts = [self.answers(batch) for batch in self.batches_of(items, batch_size)]
        found: dict[str, Predictions | NDArray[Any]] = {}
        for task, target in self.targets.items():
            said = as_predictions([part[task] for part in parts], target.names, num_classes=target.classes)
            found[task] = said if target.kind in ("class", "ordinal") else said.probabilities
        return found


def _places(rows: Sequence[int], like: Tensor) -> Tensor:
    return torch.tensor(list(rows), device=like.device)


def _target(given: Target | int | Mapping[str, Any]) -> Target:
    if isinstance(given, Target):
        return given
    return Target(classes=given) if isinstance(given, int) else Target(**given)


def _arguments(target: Target) -> dict[str, Any]:
    """Return the arguments of a target that are not the usual ones, as plain data."""
    units = {"center": target.center, "spread": target.spread}
    names = {"names": list(target.names)} if target.names else {}
    return {
        "classes": target.classes,
        "kind": target.kind,
        **names,
        **({} if tuple(units.values()) == (0.0, 1.0) else units),
    }


def _head(target: Target, width: int, decoder: Decoder) -> TaskHead:
    if target.kind == "value":
        return ValueHead(width, center=target.center, spread=target.spread)
    if target.kind in ("dense", "normals"):
        dense = NormalsHead if target.kind == "normals" else DenseHead
        return dense(width, target.classes, decoder=decoder)
    head: TaskHead = HEADS[str(target.kind)](width, target.classes)
    return head
