"""EfficientNet-Lite0 and the larger Lite2 with the ImageNet weights that packages ship."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from tlzoo import sources
from tlzoo.backbones.preprocess import ImagePreprocess
from tlzoo.backbones.staged import ConvStaged
from tlzoo.types import Backbone

__all__ = ["efficientnet_lite0", "efficientnet_lite2", "imagenet_classifier"]


def efficientnet_lite0(*, pretrained: bool = True, image_size: int = 96, drop_path_rate: float = 0.0) -> Backbone:
    """Make EfficientNet-Lite0 (1280 features): timm's architecture with the weights of the source ``lite0``.

    Raw images are resized to ``image_size`` (bicubic, like Pillow) and scaled to (pixel - 127) / 128.

    Args:
        pretrained: load the ImageNet weights, which are fetched once into the cache.
        image_size: height and width; the weights were trained at 224.
        drop_path_rate: stochastic depth during training (0.2 in the paper).

    Raises:
        SourceError: the weights cannot be fetched or are damaged.

    Source: Tan and Le, ICML 2019, https://arxiv.org/abs/1905.11946; "Lite" omits squeeze-and-excitation and swish.
    """
    return _lite(0, pretrained=pretrained, image_size=image_size, drop_path_rate=drop_path_rate)


def efficientnet_lite2(*, pretrained: bool = True, image_size: int = 96, drop_path_rate: float = 0.0) -> Backbone:
    """Make EfficientNet-Lite2 (1280 features), which has about twice the multiplications of Lite0.

    Arguments and errors are those of :func:`efficientnet_lite0`; the weights (source ``lite2``) were trained at 260.
    """
    return _lite(2, pretrained=pretrained, image_size=image_size, drop_path_rate=drop_path_rate)


def _lite(size: int, *, pretrained: bool, image_size: int, drop_path_rate: float) -> Backbone:
    import timm

    network: Any = timm.create_model(f"tf_efficientnet_lite{size}", pretrained=False, drop_path_rate=drop_path_rate)
    if pretrained:
        network.load_state_dict(_named_as(network.state_dict(), _shipped_weights(size), size))
    body = {"stem": nn.Sequential(network.conv_stem, network.bn1)}
    body |= {f"stage{place + 1}": stage for place, stage in enumerate(network.blocks)}
    body["top"] = nn.Sequential(network.conv_head, network.bn2)
    return ConvStaged(
        f"efficientnet_lite{size}",
        "image",
        ImagePreprocess(3, image_size, mean=127 / 255, std=128 / 255),
        expects=(3, None, None),
        num_features=network.num_features,
        body=body,
        pool=network.global_pool,
    )


def imagenet_classifier() -> nn.Linear:
    """Return the ImageNet head (1280 -> 1000) that the weights were trained with.

    It is not part of the backbone, where it would be an unused parameter.

    Raises:
        SourceError: the weights cannot be fetched or are damaged.
    """
    weight, bias = list(_shipped_weights(0).values())[-2:]
    head = nn.Linear(weight.shape[1], weight.shape[0])
    head.load_state_dict({"weight": weight, "bias": bias})
    return head


def _shipped_weights(size: int) -> dict[str, Tensor]:
    weights: dict[str, Tensor] = torch.load(sources.path(f"lite{size}"), map_location="cpu", weights_only=True)
    return weights


def _named_as(wanted: dict[str, Tensor], given: dict[str, Tensor], size: int) -> dict[str, Tensor]:
    """Return the given tensors under the wanted names; both must list the same tensors in the same order.

    Raises:
        RuntimeError: the lists differ.
    """
    shapes = [[tuple(tensor.shape) for tensor in tensors.values()] for tensors in (wanted, given)]
    if shapes[0] != shapes[1]:
        raise RuntimeError(
            f"timm's tf_efficientnet_lite{size} has {len(wanted)} tensors that do not match the {len(given)} shipped "
            "ones in order and shape; install a version of timm that pyproject.toml allows, and report this one"
        )
    return dict(zip(wanted, given.values(), strict=True))
