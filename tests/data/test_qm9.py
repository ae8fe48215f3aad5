"""QM9 on small generated molecules in PyTorch Geometric's files, and its network."""

import importlib.util

import numpy as np
import pytest
import torch
import yaml

import tlzoo
from tlzoo.backbones import create_backbone
from tlzoo.bench.suite_reader import find_suite
from tlzoo.data import load_task


def molecules(count=40):
    """Chains of two to five atoms, whose bonds are of all kinds."""
    random, made = np.random.default_rng(0), []
    for number in range(count):
        size = 2 + number % 4
        x = np.zeros((size, 11), dtype=np.float32)
        x[np.arange(size), random.integers(5, size=size)] = 1
        x[:, 5] = random.integers(1, 10, size=size)
        ends = np.array([[i, i + 1] for i in range(size - 1)] + [[i + 1, i] for i in range(size - 1)]).T
        made.append(
            {
                "x": torch.from_numpy(x),
                "pos": torch.from_numpy(random.normal(size=(size, 3)).astype(np.float32)),
                "edge_index": torch.from_numpy(ends),
                "edge_attr": torch.eye(4)[np.arange(2 * size - 2) % (size - 1) % 4],
                "y": torch.from_numpy(random.normal(size=(1, 19)).astype(np.float32)) * 3 + number,
                "name": f"gdb_{number}",
            }
        )
    return made


@pytest.fixture
def root(tmp_path, monkeypatch):
    monkeypatch.setenv("TLZOO_HOME", str(tmp_path / "home"))
    (tmp_path / "qm9/raw").mkdir(parents=True)
    torch.save(molecules(), tmp_path / "qm9/raw/qm9_v3.pt")
    return tmp_path / "qm9"


def test_eleven_properties(root):
    task = load_task("qm9", root=root)
    assert list(task.targets) == ["mu", "alpha", "homo", "lumo", "r2", "zpve", "u0", "u", "h", "g", "cv"]
    assert {name: len(part) for name, part in task.sets().items()} == {"train": 32, "validation": 4, "test": 4}
    made, rows = molecules(), task.test.base[1]
    items = task.test.inputs[np.arange(4)]
    assert items.shape == (4, 5, 11 + 3 + 4 * 5)
    for item, row, u0, cv in zip(items, rows, task.test.targets["u0"], task.test.targets["cv"], strict=True):
        own, size = made[row], len(made[row]["x"])
        np.testing.assert_array_equal(item[:size, :11], own["x"])
        np.testing.assert_array_equal(item[:size, 11:14], own["pos"])
        bonds = torch.zeros(5, 5, 4)
        bonds[own["edge_index"][0], own["edge_index"][1]] = own["edge_attr"]
        np.testing.assert_array_equal(item[:, 14:].reshape(5, 5, 4), bonds)
        assert not item[size:].any()
        assert (u0, cv) == pytest.approx((float(own["y"][0, 12]), float(own["y"][0, 11])))
    assert task.targets["g"].center == pytest.approx(task.train.targets["g"].mean())
    assert load_task("qm9", root=root).checksum == task.checksum


def test_files_of_torch_geometric_hold_the_same(root):
    datasets = pytest.importorskip("torch_geometric.datasets")
    raw = load_task("qm9", root=root)
    datasets.QM9(str(root))
    (root / "raw/qm9_v3.pt").unlink()
    processed = load_task("qm9", root=root)
    np.testing.assert_array_equal(processed.train.inputs[np.arange(32)], raw.train.inputs[np.arange(32)])
    np.testing.assert_array_equal(processed.train.targets["zpve"], raw.train.targets["zpve"])


def test_what_is_missing_or_odd_is_named(root, monkeypatch):
    with pytest.raises(ValueError, match=r"raw has neither raw/qm9_v3\.pt nor processed/data_v3\.pt; QM9 is to be had"):
        load_task("qm9", root=root / "raw")
    (root / "processed").mkdir()
    (root / "raw/qm9_v3.pt").rename(root / "processed/data_v3.pt")
    found = importlib.util.find_spec
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None if name == "torch_geometric" else found(name))
    with pytest.raises(ValueError, match="torch_geometric, which is not installed: pip install torch_geometric"):
        load_task("qm9", root=root)
    (root / "raw/qm9_v3.pt").write_bytes((root / "processed/data_v3.pt").read_bytes()[:2000])
    with pytest.raises(ValueError, match=r"qm9_v3\.pt holds no molecules of QM9"):
        load_task("qm9", root=root)


def test_the_network_is_that_of_the_formulas(root):
    """Loops over atoms and pairs, without the padding."""
    torch.manual_seed(0)
    network = create_backbone("message_passing", width=6, hidden=7).double()
    items = load_task("qm9", root=root).test.inputs[np.arange(4)]
    found = network(torch.from_numpy(items).double())
    for item, features in zip(torch.from_numpy(items).double(), found, strict=True):
        size = int((item[:, :11].abs().sum(dim=1) > 0).sum())
        position, bonds = item[:size, 11:14], item[:size, 14:].view(size, -1, 4)
        state = network.embed(item[:size, :11]).relu()
        for _ in range(3):
            messages = []
            for i in range(size):
                sent = []
                for j in range(size):
                    if j != i:
                        edge = torch.cat([bonds[i, j], (position[i] - position[j]).norm()[None]])
                        matrix = network.convolution.matrix(network.convolution.edge(edge)).view(6, 6)
                        sent.append(state[j] @ matrix)
                messages.append(torch.stack(sent).mean(dim=0) + network.convolution.own(state[i]))
            state = network.update(torch.stack(messages).relu(), state)
        read, hidden, cell = torch.zeros(1, 12), torch.zeros(1, 6), torch.zeros(1, 6)
        read, hidden, cell = read.double(), hidden.double(), cell.double()
        for _ in range(3):
            hidden, cell = network.attend(read, (hidden, cell))
            weights = (state @ hidden[0]).softmax(dim=0)
            read = torch.cat([hidden, (weights @ state)[None]], dim=1)
        torch.testing.assert_close(features, network.out(read)[0].relu())
    with pytest.raises(ValueError, match=r"shape \(2, 5, 33\); expected \(B, M, 11 \+ 3 \+ 4 M\)"):
        network(torch.zeros(2, 5, 33))


def test_the_network_is_that_of_torch_geometric():
    geometric = pytest.importorskip("torch_geometric.nn")
    torch.manual_seed(0)
    network = create_backbone("message_passing", width=6, hidden=7)
    edge_network = torch.nn.Sequential(network.convolution.edge, network.convolution.matrix)
    convolution = geometric.NNConv(6, 6, edge_network, aggr="mean")
    convolution.lin.weight, convolution.bias = network.convolution.own.weight, network.convolution.own.bias
    item = molecules()[3]
    size = len(item["x"])
    ends = torch.tensor([[i, j] for i in range(size) for j in range(size) if i != j]).T
    bonds = torch.zeros(size, size, 4)
    bonds[item["edge_index"][0], item["edge_index"][1]] = item["edge_attr"]
    distance = (item["pos"][ends[0]] - item["pos"][ends[1]]).norm(dim=1, keepdim=True)
    edges = torch.cat([bonds[ends[0], ends[1]], distance], dim=1)
    state = network.embed(item["x"]).relu()
    for _ in range(3):
        state = network.update(convolution(state, ends, edges).relu(), state)
    reader = geometric.aggr.Set2Set(6, processing_steps=3)
    for name, parameter in network.attend.named_parameters():
        setattr(reader.lstm, f"{name}_l0", parameter)
    expected = network.out(reader(state, torch.zeros(size, dtype=torch.long))).relu()
    torch.testing.assert_close(network(torch.from_numpy(padded(item))[None]), expected)


def padded(item, size=5):
    """Return a molecule as the loader gives it."""
    found, bonds = np.zeros((size, 14 + 4 * size), dtype=np.float32), np.zeros((size, size, 4), dtype=np.float32)
    bonds[item["edge_index"][0], item["edge_index"][1]] = item["edge_attr"]
    found[: len(item["x"]), :14] = np.concatenate([item["x"], item["pos"]], axis=1)
    found[:, 14:] = bonds.reshape(size, -1)
    return found


def test_its_suite_runs_in_small(root, tmp_path):
    suite = yaml.safe_load(find_suite("qm9").read_text(encoding="utf-8"))
    (group,), suite["seeds"] = suite["groups"], 1
    kept = [row for row in group["methods"] if row.get("label") in ("single task", "fixed (tuned)", "PCGrad")]
    kept[1]["candidates"]["weights"] = kept[1]["candidates"]["weights"][:2]
    group |= {"methods": kept, "budget": {"steps": 2, "batch_size": 8}}
    group["module"]["backbone_settings"] = {"width": 4, "hidden": 4}
    run = tlzoo.run_suite(suite, store=tmp_path / "store", root=root, executor="in_process", progress=False)
    assert not run.failures(), run.failures()[0].traceback
    frame = run.to_dataframe()
    assert len(frame) == 3
    assert all(frame[column].notna().all() for column in group["columns"])
