"""Oneshot: episode classifiers: support set in, query logits out."""

from tlzoo.methods.oneshot.protonet import ProtoNet
from tlzoo.methods.oneshot.simpleshot import SimpleShot

__all__ = [
    "ProtoNet",
    "SimpleShot",
]
