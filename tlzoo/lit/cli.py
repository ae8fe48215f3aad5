"""``tlzoo fit``: train one module on one task from a config file or options, then test it."""

from __future__ import annotations

import logging
import re
import sys
import warnings
from collections.abc import Callable, Sequence
from typing import Any

from jsonargparse import ArgumentError, Namespace
from pytorch_lightning import Trainer
from pytorch_lightning.cli import LightningArgumentParser, LightningCLI
from pytorch_lightning.loggers import CSVLogger

from tlzoo import lit
from tlzoo.errors import InputError
from tlzoo.lit.data import DomainData, MultitaskData, TaskData, ZeroShotData
from tlzoo.lit.data.loaders import without_leaf_warning
from tlzoo.lit.module import TransferModule
from tlzoo.spelling import nearest

__all__ = ["main"]

_DESCRIPTION = """\
Train a module on a task, then test it. What the task tells (numbers of classes, targets) is filled in.

  tlzoo fit --config docs/examples/dann_digits.yaml --trainer.max_steps 1000
  tlzoo fit --model DomainAdaptation --model.backbone lenet --model.method dan \\
            --data DomainData --data.task 'digits:mnist5k->optdigits' --trainer.max_steps 500
  ... --print_config writes all settings as a config file
"""


def main(argv: Sequence[str] | None = None) -> int:
    """Run ``fit`` and then ``test``, print the test metrics, and return 0.

    Args:
        argv: the words after ``tlzoo``; by default those of the process.

    Raises:
        InputError: the user made a mistake; the message is one line.
        SystemExit: after ``--help`` and ``--print_config``, with status 0.
    """
    words = list(sys.argv[1:] if argv is None else argv)
    for chatty in ("pytorch_lightning.utilities.rank_zero", "lightning_fabric.utilities.seed"):
        logging.getLogger(chatty).setLevel(logging.WARNING)  # hints, advertisements, the seed
    try:
        with warnings.catch_warnings():
            # Lightning 2.6 calls what jsonargparse has renamed since; pyproject.toml keeps to versions that have both
            warnings.filterwarnings(
                "ignore", category=DeprecationWarning, module=r"pytorch_lightning\.cli|jsonargparse"
            )
            cli = _Command(words[1:] if words[:1] == ["fit"] else words)
    except (ArgumentError, TypeError, ValueError) as error:  # the parser, or a class, refuses what the config says
        raise InputError(_one_line(str(error))) from error
    trainer, module, data = cli.trainer, cli.model, cli.datamodule
    with without_leaf_warning():
        if module.learns:
            trainer.fit(module, datamodule=data, ckpt_path=cli.config.get("ckpt_path"))
        results = trainer.test(module, datamodule=data, verbose=False)
    metrics = {name: value for result in results for name, value in result.items()}
    width = max(map(len, metrics), default=0)
    for name, value in metrics.items():
        print(f"{name:{width}}  {value:.4f}")
    return 0


class _Command(LightningCLI):
    """Lightning's command line for our modules and data modules, given by class name or by path."""

    def __init__(self, words: list[str]) -> None:
        super().__init__(
            TransferModule,
            TaskData,
            subclass_mode_model=True,
            subclass_mode_data=True,
            seed_everything_default=0,
            save_config_callback=None,
            auto_configure_optimizers=False,
            run=False,
            parser_kwargs={"prog": "tlzoo fit", "description": _DESCRIPTION, "exit_on_error": False},
            args=words,
        )

    def instantiate_trainer(self, **kwargs: Any) -> Trainer:
        """Build the trainer.

        Its usual logger writes the metrics of every run to lightning_logs/version_N/metrics.csv in
        ``default_root_dir``; Lightning's default logger needs another package.
        """
        given = self.config_init.trainer
        if given.logger is None or given.logger is True:
            kwargs["logger"] = CSVLogger(given.default_root_dir or ".")
        return super().instantiate_trainer(**kwargs)

    def add_arguments_to_parser(self, parser: LightningArgumentParser) -> None:
        """Link settings of the data to arguments of the module, if the module has them."""
        parser.add_argument("--ckpt_path", type=str | None, default=None, help="checkpoint to go on from")
        for setting, compute in _FROM_DATA.items():
            parser.link_arguments("data", f"model.init_args.{setting}", compute_fn=compute, apply_on="instantiate")

    def parse_arguments(self, parser: LightningArgumentParser, args: Any) -> None:
        """Parse the given words; Lightning would warn that the process has its own."""
        self.config: Namespace = parser.parse_args(args)


def _num_classes(data: TaskData[Any]) -> int | None:
    if isinstance(data, ZeroShotData):
        return data.num_candidates
    return None if _num_values(data) else data.num_classes


def _num_values(data: TaskData[Any]) -> int | None:
    return len(data.task.value_names) or None if isinstance(data, DomainData) else None


def _num_embedding(data: TaskData[Any]) -> int:
    return data.embeddings.shape[1] if isinstance(data, ZeroShotData) else 0


def _targets(data: TaskData[Any]) -> dict[str, int]:
    targets = data.task.targets if isinstance(data, MultitaskData) else {}
    return {name: target.classes for name, target in targets.items()}


_FROM_DATA: dict[str, Callable[[TaskData[Any]], Any]] = {
    "num_classes": _num_classes,
    "num_values": _num_values,
    "num_embedding": _num_embedding,
    "targets": _targets,
}


_UNION = "Does not validate against any of the Union subtypes"


def _one_line(message: str) -> str:
    """Return the parser's message about a mistake, without the list of its attempts."""
    if unknown := re.search(r"Expected a dot import path string: (\w+)$", message, flags=re.MULTILINE):
        return nearest(unknown[1], [name for name in lit.__all__ if name != "OptimizerSettings"], kind="class")
    if _UNION in message:
        tried = message.split("Errors:")[-1].split("Given value")[0].splitlines()
        said = [line.strip().removeprefix("- ") for line in tried if line.strip() and "Expected a <class" not in line]
        message = "; ".join(said).replace(":; ", ": ")
    return " ".join(message.split())
