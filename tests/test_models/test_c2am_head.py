import pytest
import torch
from torch import nn

from bas_mm.models import C2AMHead, c2am_losses


def make_feats(n=4):
    """Two places are alike in all images, and unlike the rest."""
    torch.manual_seed(0)
    shallow = 0.05 * torch.rand(n, 3, 8, 8)
    deep = 0.05 * torch.rand(n, 4, 4, 4)
    shallow[:, 0, 2:6, 2:6] += 1
    shallow[:, 1] += 1 - shallow[:, 0].round()
    deep[:, 0, 1:3, 1:3] += 1
    deep[:, 1] += 1 - deep[:, 0].round()
    return shallow, deep


def train(head, feats, steps=60):
    optimizer = torch.optim.SGD(head.parameters(), 0.5)
    head.train()
    for _ in range(steps):
        losses = head.loss(head(feats), torch.zeros(len(feats[0])), None)
        optimizer.zero_grad()
        sum(v for k, v in losses.items() if 'loss' in k).backward()
        optimizer.step()
    head.eval()
    with torch.no_grad():
        return head.class_maps(head(feats), torch.tensor([[0, 0]] * len(feats[0])))


def test_losses_are_those_of_the_features_under_the_map():
    feats = make_feats()
    head = C2AMHead(in_channels=7, loss=dict(type='bas_mm.C2AMLoss', alpha=0.25))
    acts = head(feats)
    assert acts.logits.tolist() == [[0]] * 4 and acts.foreground.shape == (4, 4, 4)
    f = torch.cat([nn.functional.avg_pool2d(feats[0], 2), feats[1]], 1)
    m = acts.foreground[:, None]
    expected = c2am_losses((m * f).mean((2, 3)), ((1 - m) * f).mean((2, 3)), 0.25)
    losses = head.loss(acts, torch.zeros(4), None)
    for name, value in expected.items():
        torch.testing.assert_close(losses[f'loss_{name}'], value)
    assert 0 < losses['map_area'] < 1


@pytest.mark.parametrize('sign', [1, -1])
def test_the_object_is_found_whichever_side_it_starts_on(sign):
    """The losses do not say which of both is the object; the border does."""
    head = C2AMHead(in_channels=7)
    with torch.no_grad():
        head.conv.weight.zero_()
        head.conv.weight[0, :, 1, 1] = sign * torch.tensor([1.0, -1, 0, 1, -1, 0, 0])
    maps = train(head, make_feats())
    assert (head.border > 0.5) == (sign < 0)
    assert maps.shape == (4, 2, 4, 4) and torch.equal(maps[:, 0], maps[:, 1])
    inside = torch.zeros(4, 4, dtype=torch.bool)
    inside[1:3, 1:3] = True
    assert maps[:, 0, inside].min() > 0.5 > maps[:, 0, ~inside].max()


def test_the_sign_is_saved_with_the_weights():
    head = C2AMHead(in_channels=7).eval()
    feats, classes = make_feats(), torch.zeros(4, 1, dtype=torch.long)
    before = head.class_maps(head(feats), classes)
    head.border.fill_(0.9)
    other = C2AMHead(in_channels=7).eval()
    other.load_state_dict(head.state_dict())
    torch.testing.assert_close(other.class_maps(other(feats), classes), 1 - before)


def test_the_border_is_a_running_mean():
    head = C2AMHead(in_channels=7)
    maps = torch.zeros(1, 1, 4, 4)
    maps[..., 0, :] = 1.0  # four of twelve cells of the ring
    for _ in range(200):
        head._note_border(maps)
    assert head.border.item() == pytest.approx(1 / 3, abs=1e-3)
