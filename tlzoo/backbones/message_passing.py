"""A message-passing network for molecules, on complete graphs in padded arrays."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from tlzoo.backbones.preprocess import ArrayPreprocess
from tlzoo.errors import InputError
from tlzoo.types import Backbone, LayerGroup

__all__ = ["message_passing"]

_POSITION = 3


class _EdgeConvolution(nn.Module):
    """Messages along all edges, each by a matrix that a small network makes of it; their mean reaches an atom."""

    def __init__(self, edge_features: int, hidden: int, width: int) -> None:
        super().__init__()
        self.edge = nn.Sequential(nn.Linear(edge_features, hidden), nn.ReLU())
        self.matrix, self.own = nn.Linear(hidden, width * width), nn.Linear(width, width)
        nn.init.zeros_(self.own.bias)
        self.width = width

    def forward(self, atoms: Tensor, edges: Tensor, shares: Tensor) -> Tensor:
        """Map atoms (B, M, W), edges (B, M, M, E) and their shares of a mean (B, M, M) to (B, M, W)."""
        coded = self.edge(edges) * shares.unsqueeze(-1)  # (B, M, M, K)
        matrices = self.matrix.weight.view(self.width, self.width, -1)
        # the matrix of an edge is linear in what codes it, so matrices of atoms, not of edges, are kept
        sent = torch.einsum("bjd,dok->bjko", atoms, matrices)
        received = coded.flatten(2) @ sent.flatten(1, 2)
        constant = shares @ (atoms @ self.matrix.bias.view(self.width, self.width))
        return received + constant + self.own(atoms)  # type: ignore[no-any-return]


class _MessagePassing(Backbone):
    modality = "features"

    def __init__(self, atom_features: int, bond_kinds: int, width: int, hidden: int, steps: int) -> None:
        super().__init__()
        self.name, self.num_features = "message_passing", width
        self.atom_features, self.bond_kinds, self.steps = atom_features, bond_kinds, steps
        self._preprocess = ArrayPreprocess()
        self.embed = nn.Linear(atom_features, width)
        self.convolution, self.update = _EdgeConvolution(bond_kinds + 1, hidden, width), nn.GRUCell(width, width)
        self.attend, self.out = nn.LSTMCell(2 * width, width), nn.Linear(2 * width, width)

    def preprocess(self, items: Any) -> Tensor:
        """Turn arrays into a tensor of the same shape."""
        return self._preprocess(items)

    @property
    def preprocessing(self) -> str:
        """Identity of ``preprocess``."""
        return self._preprocess.identity

    def layer_groups(self) -> tuple[LayerGroup, ...]:
        """Return the embedding of atoms, the exchange of messages and the readout."""
        return (
            LayerGroup(name="embed", modules=(self.embed,)),
            LayerGroup(name="messages", modules=(self.convolution, self.update)),
            LayerGroup(name="readout", modules=(self.attend, self.out)),
        )

    def forward(self, inputs: Tensor) -> Tensor:
        """Map molecules (B, M, C) to features (B, W).

        Raises:
            ValueError: the last dimension is not that of M atoms.
        """
        count = inputs.shape[1] if inputs.ndim == 3 else 0
        expected = self.atom_features + _POSITION + self.bond_kinds * count
        if inputs.ndim != 3 or inputs.shape[2] != expected:
            raise InputError(
                f"message_passing: inputs of shape {tuple(inputs.shape)}; expected (B, M, {self.atom_features} + 3 + "
                f"{self.bond_kinds} M): features of atoms, positions, and the kinds of their bonds to each atom"
            )
        features, position, bonds = torch.split(inputs, [self.atom_features, _POSITION, self.bond_kinds * count], dim=2)
        there = features.abs().sum(dim=2) > 0
        between = there.unsqueeze(1) & there.unsqueeze(2) & ~torch.eye(count, dtype=torch.bool, device=inputs.device)
        shares = between / between.sum(dim=2, keepdim=True).clamp_min(1)
        distance = (position.unsqueeze(1) - position.unsqueeze(2)).norm(dim=3, keepdim=True)
        edges = torch.cat([bonds.reshape(*between.shape, self.bond_kinds), distance], dim=3)
        state = F.relu(self.embed(features))
        for _ in range(self.steps):
            message = F.relu(self.convolution(state, edges, shares.to(state)))
            state = self.update(message.flatten(0, 1), state.flatten(0, 1)).view_as(state)
        return F.relu(self.out(self._read(state, there)))

    def _read(self, state: Tensor, there: Tensor) -> Tensor:
        """Return (B, 2 W) by attending to atoms as often as messages were passed (Set2Set)."""
        read = state.new_zeros(len(state), 2 * self.num_features)
        hidden = cell = state.new_zeros(len(state), self.num_features)
        for _ in range(self.steps):
            hidden, cell = self.attend(read, (hidden, cell))
            scores = torch.einsum("bmw,bw->bm", state, hidden).masked_fill(~there, -torch.inf)
            read = torch.cat([hidden, torch.einsum("bm,bmw->bw", scores.softmax(dim=1), state)], dim=1)
        return read


def message_passing(
    *, atom_features: int = 11, bond_kinds: int = 4, width: int = 64, hidden: int = 128, steps: int = 3
) -> Backbone:
    """Make the network of QM9 in multitask tables: messages between all atoms, gated updates, and Set2Set.

    Items are molecules (M, 11 + 3 + 4 M), padded to M atoms by rows of zeros: the features of each atom, its position,
    and the kind of its bond to each atom, one-hot. Edges also carry the distance.

    Args:
        atom_features: features of an atom.
        bond_kinds: kinds of bonds.
        width: of an atom's state, and of the features.
        hidden: units of the network that makes the matrix of an edge.
        steps: how often messages are passed, and how often Set2Set reads.

    Source: Gilmer et al., ICML 2017, https://arxiv.org/abs/1704.01212; Vinyals, Bengio & Kudlur, ICLR 2016,
    https://arxiv.org/abs/1511.06391; with the sizes of PyTorch Geometric's example, as in LibMTL and Nash-MTL.
    """
    return _MessagePassing(atom_features, bond_kinds, width, hidden, steps)
