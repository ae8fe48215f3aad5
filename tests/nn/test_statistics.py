import torch
from torch import nn

from tlzoo.nn.batch_statistics import statistics_of


def network(**settings):
    torch.manual_seed(0)
    return nn.Sequential(nn.Conv2d(2, 3, 3), nn.BatchNorm2d(3, **settings), nn.ReLU(), nn.Flatten(), nn.Linear(12, 2))


def rows(count, seed=0):
    return torch.randn(count, 2, 4, 4, generator=torch.Generator().manual_seed(seed))


def test_the_first_rows_are_answered_as_if_alone():
    net = network(track_running_stats=False)
    with statistics_of(4):
        found = net(torch.cat([rows(4), rows(5, seed=1)]))
    torch.testing.assert_close(found[:4], net(rows(4)))


def test_the_other_rows_do_not_see_each_other():
    net = network(track_running_stats=False)
    others = rows(5, seed=1)
    with statistics_of(4):
        together = net(torch.cat([rows(4), others]))[4:]
        alone = [net(torch.cat([rows(4), other[None]]))[4:] for other in others]
    torch.testing.assert_close(together, torch.cat(alone))
    assert (net(torch.cat([rows(4), others]))[4:] - together).abs().max() > 1e-3


def test_all_rows_are_torchs_own_normalization():
    net = network(track_running_stats=False).double()
    inputs = rows(6).double().requires_grad_()
    expected = torch.autograd.grad(net(inputs).square().sum(), inputs)[0]
    with statistics_of(6):
        found = torch.autograd.grad(net(inputs).square().sum(), inputs)[0]
    torch.testing.assert_close(found, expected)


def test_without_scale_and_shift():
    net = network(track_running_stats=False, affine=False)
    with statistics_of(6):
        torch.testing.assert_close(net(rows(6)), network(track_running_stats=False, affine=False)(rows(6)))


def test_running_statistics_are_left_alone():
    net = network().eval()
    expected = net(rows(6))
    with statistics_of(2):
        assert torch.equal(net(rows(6)), expected)


def test_running_statistics_are_still_updated_in_training():
    ours, theirs = network(), network()
    with statistics_of(2):
        found = ours(rows(6))
    assert torch.equal(found, theirs(rows(6)))
    assert torch.equal(ours[1].running_mean, theirs[1].running_mean)
