"""Networks from timm."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from tlzoo.backbones.layer_groups import groups_by_name
from tlzoo.backbones.preprocess import ImagePreprocess
from tlzoo.errors import InputError, MissingFileError
from tlzoo.sources.errors import SourceError
from tlzoo.spelling import nearest
from tlzoo.types import Backbone, LayerGroup

__all__ = ["TimmNetwork", "pretrained_classifier", "timm_network"]


class TimmNetwork(Backbone):
    """A network from timm without its classifier.

    Args:
        name: name that it was created by.
        network: created with ``num_classes=0``.
        preprocess: preprocessing of raw images.
    """

    modality = "image"

    def __init__(self, name: str, network: nn.Module, preprocess: ImagePreprocess) -> None:
        super().__init__()
        self.name, self.network, self._preprocess = name, network, preprocess
        # networks with layers after the pooling (MobileNetV3) name the width behind those
        self.num_features = int(getattr(network, "head_hidden_size", None) or network.num_features)  # type: ignore[arg-type]

    def forward(self, inputs: Tensor) -> Tensor:
        """Map images (B, 3, H, W) to features (B, D)."""
        features: Tensor = self.network(inputs)
        return features

    def forward_map(self, inputs: Tensor) -> Tensor:
        """Map images to the last feature map (B, C, H, W).

        Raises:
            TypeError: the network has tokens instead of a map.
        """
        features: Tensor = self.network.forward_features(inputs)  # type: ignore[operator]
        if features.dim() != 4:
            return super().forward_map(inputs)
        channels_last = str(getattr(self.network, "output_fmt", "NCHW")).endswith("NHWC")
        return features.permute(0, 3, 1, 2) if channels_last else features

    def preprocess(self, items: Any) -> Tensor:
        """Turn images uint8 (B, H, W, C) into the input of ``forward``."""
        return self._preprocess(items)

    @property
    def preprocessing(self) -> str:
        """Identity of ``preprocess``."""
        return self._preprocess.identity

    def layer_groups(self) -> tuple[LayerGroup, ...]:
        """Return the stages into which timm groups the network, ``stage0`` (the stem) first."""
        from timm.models import group_parameters

        matcher = self.network.group_matcher(coarse=True)  # type: ignore[operator]
        stages = group_parameters(self.network, matcher, reverse=True)
        return groups_by_name(
            self.network,
            lambda name: f"stage{stages[name]}",
            [f"stage{place}" for place in range(max(stages.values()) + 1)],
        )


def timm_network(
    name: str,
    *,
    pretrained: bool = True,
    checkpoint_path: str | Path | None = None,
    image_size: int | Sequence[int] | None = None,
    crop: float = 1.0,
    **settings: Any,
) -> Backbone:
    """Make a network from timm by its name there.

    Raw images are resized to the square that the network was trained on, then normalized as in its training.

    Args:
        name: such as ``resnet18`` or ``vit_small_patch16_224.augreg_in1k``.
        pretrained: load the published weights from the model hub.
        checkpoint_path: load these weights instead, from a file (``.safetensors``, or ``.pth`` read with
            ``weights_only=True``) in timm's own layout. The file must have all weights of the network; it may also have
            those of the classifier, but nothing else.
        image_size: height and width of the input, one for both or one each; by default the network's own.
        crop: share of height and width around the center that is kept of images of another size.
        **settings: settings of ``timm.create_model``.

    Raises:
        ValueError: timm has no such network; the message suggests the nearest names.
        FileNotFoundError: ``checkpoint_path`` does not exist.
        SourceError: the weights are not available, or belong to another network.
    """
    import timm
    from timm.data.config import resolve_model_data_config

    if not timm.is_model(name):
        raise InputError(nearest(name, timm.list_models(), kind="network of timm"))
    if checkpoint_path is not None and not Path(checkpoint_path).is_file():
        raise MissingFileError(f"checkpoint_path {checkpoint_path} is not a file in {Path.cwd()}")
    from_hub = pretrained and checkpoint_path is None
    try:
        network = timm.create_model(name, pretrained=from_hub, num_classes=0, **settings)
    except (OSError, RuntimeError) as error:
        if not from_hub:
            raise
        raise SourceError(
            f"timm:{name}: its weights cannot be loaded ({error}); pass checkpoint_path=FILE, or pretrained=False to "
            "start at random"
        ) from error
    if checkpoint_path is not None:
        _load_weights(network, Path(checkpoint_path))
    trained = resolve_model_data_config(network)  # type: ignore[no-untyped-call]
    preprocess = ImagePreprocess(
        int(trained["input_size"][0]),
        _sides(image_size, int(trained["input_size"][-1])),
        tuple(trained["mean"]),
        tuple(trained["std"]),
        trained["interpolation"],
        crop,
    )
    return TimmNetwork(f"timm:{name}", network, preprocess)


def _sides(image_size: int | Sequence[int] | None, usual: int) -> int | tuple[int, int]:
    """Return height and width: one for both, or one each.

    Raises:
        ValueError: there are not two.
    """
    if image_size is None or isinstance(image_size, int):
        return image_size or usual
    if len(image_size) != 2:
        raise InputError(f"image_size is {list(image_size)}; expected one number, or height and width")
    height, width = image_size
    return height, width


def pretrained_classifier(name: str, *, checkpoint_path: str | Path | None = None) -> tuple[Tensor, Tensor]:
    """Return weight (C, D) and bias (C,) of the classifier that a network of timm was published with.

    Args:
        name: its name in timm.
        checkpoint_path: a file of its weights, as of :func:`timm_network`; None for the model hub.

    Raises:
        RuntimeError: the weights are not available, or have no single linear classifier.
    """
    import timm

    if checkpoint_path is None:
        network: Any = timm.create_model(name, pretrained=True)
        state, config = network.state_dict(), network.pretrained_cfg
    else:
        config = {"classifier": timm.get_pretrained_cfg_value(name, "classifier")}
        state = _state(Path(checkpoint_path))
    classifier = config.get("classifier")
    try:
        return state[f"{classifier}.weight"], state[f"{classifier}.bias"]
    except KeyError as error:
        raise SourceError(f"timm:{name}: its weights have no classifier {classifier!r} with weight and bias") from error


def _state(path: Path) -> dict[str, Tensor]:
    """Read a state dict, or a checkpoint that holds one under ``state_dict``."""
    if path.suffix == ".safetensors":
        from safetensors.torch import load_file

        return load_file(path)
    content: dict[str, Any] = torch.load(path, map_location="cpu", weights_only=True)
    state: dict[str, Tensor] = content.get("state_dict", content)
    return state


def _load_weights(network: nn.Module, path: Path) -> None:
    """Load a file of weights.

    timm itself accepts any file if the classifier is left out, and keeps random weights if names do not match.
    """
    config: Any = network.pretrained_cfg
    names = config.get("classifier") or ()
    classifiers = tuple(f"{name}." for name in ([names] if isinstance(names, str) else names))
    result = network.load_state_dict(_state(path), strict=False)
    strange = [name for name in result.unexpected_keys if not name.startswith(classifiers)]
    if result.missing_keys or strange:
        raise SourceError(
            f"{path} holds the weights of another network: missing {_listed(result.missing_keys)}; without a place "
            f"{_listed(strange)}"
        )


def _listed(names: list[str]) -> str:
    return f"{len(names)} ({', '.join(names[:3])}{', ...' if len(names) > 3 else ''})" if names else "none"
