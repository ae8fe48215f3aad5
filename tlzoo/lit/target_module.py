"""The base of modules on a target domain: predictions, tests, label-free scores."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn
from torch.func import functional_call

from tlzoo.errors import InputTypeError
from tlzoo.functional.precision import at_least_float32
from tlzoo.lit.classifier import Classifier
from tlzoo.methods.domain_method import DomainMethod
from tlzoo.nn.joint_forward import view_part
from tlzoo.nn.network import Network
from tlzoo.nn.preparation import Side
from tlzoo.selection import scores
from tlzoo.types import Examples, Need, Prediction, Sees, withheld

__all__ = ["TargetModule"]


class TargetModule(Classifier):
    """Base of modules with one network that is tested on the target."""

    method: DomainMethod
    network: Network

    def _assemble(self, network: Network, method: DomainMethod, num_classes: int) -> None:
        """Set network and method."""
        self.method, self.network = method, network
        self.num_classes = num_classes
        self._target_outputs: list[Prediction] = []

    def pretrained(self) -> nn.Module:
        """Return the backbone."""
        return self.network.backbone

    def forward(self, inputs: Any) -> Tensor:
        """Map raw inputs (B, ...) to logits (B, C)."""
        prediction: Prediction = self.answering_network()(inputs)
        return prediction.logits

    def answering_network(self) -> Callable[..., Prediction]:
        """Return what maps raw inputs to predictions, in evaluation mode with the weights of ``answering``."""
        weights = None if self.network.training else self.method.answering(self.network)
        return self.network if weights is None else partial(_called, self.network, dict(weights))

    def begin_epoch(self) -> None:
        """Give the whole unlabelled target to a method that needs it."""
        if type(self.method).on_epoch is not DomainMethod.on_epoch and Sees.TARGET_INPUTS in self.method.sees:
            with self.trainer.precision_plugin.forward_context():  # a hook has none, unlike a step
                target = self._pass(self.trainer.datamodule.target_batches())  # type: ignore[attr-defined]
            self.method.on_epoch(self._shown(target, Sees.TARGET_LABELS))

    def predict_all(self, batches: Iterable[Examples], *, side: Side = "target") -> Prediction:
        """Return the predictions, in evaluation mode, of all batches as one, with their indices.

        Args:
            batches: of raw inputs.
            side: the domain that they are of, where a transform tells the two apart.
        """
        return self._pass(batches, side=side, answering=True)

    @torch.no_grad()
    def _pass(self, batches: Iterable[Examples], *, side: Side = "target", answering: bool = False) -> Prediction:
        """Return what :meth:`predict_all` does, from the network as it is or as it answers."""
        was_training = self.network.training
        self.network.eval()
        network = self.answering_network() if answering else self.network
        parts = [(network(batch.inputs, side=side), batch.indices) for batch in (b.to(self.device) for b in batches)]
        self.network.train(was_training)
        return Prediction(
            features=at_least_float32(torch.cat([prediction.features for prediction, _ in parts])),
            logits=at_least_float32(torch.cat([prediction.logits for prediction, _ in parts])),
            indices=torch.cat([indices for _, indices in parts if indices is not None]),
        )

    def _shown(self, prediction: Prediction, labels: Sees) -> Prediction:
        """Return the prediction as the method may see it."""
        if labels in self.method.sees:
            return prediction
        return withheld(prediction, "labels", why=f"{self.method_name} does not declare {labels.name}")

    def _joined_prediction(self, prediction: Prediction, examples: Examples, *, gather: bool = True) -> Prediction:
        """Return the prediction with its examples' data, joined over all processes if ``gather`` is set."""
        join = self.joined if gather else _same
        return Prediction(
            features=join(prediction.features),
            logits=join(prediction.logits),
            labels=None if examples.labels is None else join(examples.labels),
            indices=None if examples.indices is None else join(examples.indices),
            domains=None if examples.domains is None else join(examples.domains),
            inputs=self._joined_inputs(examples.inputs, join) if Need.MODEL in self.method.needs else None,
        )

    def _with_views(
        self, said: Mapping[str, Prediction], side: str, examples: Examples, *, gather: bool = True
    ) -> Prediction:
        """Return the joined prediction of a side with its views, from the named predictions."""
        views = {
            view: self._joined_prediction(said[view_part(side, view)], Examples(inputs=inputs), gather=gather)
            for view, inputs in examples.views.items()
        }
        return replace(self._joined_prediction(said[side], examples, gather=gather), views=views)

    def _joined_inputs(self, inputs: Any, join: Callable[[Tensor], Tensor]) -> Any:
        if isinstance(inputs, Tensor):
            return join(inputs)
        if self.distributed and join is not _same:
            raise InputTypeError(
                f"{self.method_name} needs the model, and raw texts cannot be joined over processes; set gather=False"
            )
        return inputs

    def _log_scores(self, source: Prediction | None = None) -> None:
        """Log the label-free scores of the target predictions that validation collected, as ``validation/NAME``."""
        if self._target_outputs:
            target = self._collected(self._target_outputs)
            values = {
                f"validation/{k}": v
                for k, v in scores(
                    target.features, target.logits, source, regression=self.label_values is not None
                ).items()
            }
            self.log_dict(values, sync_dist=True)  # equal on all processes; Lightning wants it said
            self._target_outputs.clear()

    def _collected(self, outputs: list[Prediction]) -> Prediction:
        """Return predictions of all batches and processes as one."""
        labels = [p.labels for p in outputs if p.labels is not None]
        return Prediction(
            features=at_least_float32(self.joined(torch.cat([p.features for p in outputs]))),
            logits=at_least_float32(self.joined(torch.cat([p.logits for p in outputs]))),
            labels=self.joined(torch.cat(labels)) if labels else None,
        )


def _called(network: Network, weights: dict[str, Tensor], inputs: Any, *, side: Side = "target") -> Prediction:
    prediction: Prediction = functional_call(network, weights, (inputs,), {"side": side})
    return prediction


def _same(rows: Tensor) -> Tensor:
    return rows
