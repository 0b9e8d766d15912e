import numpy as np
import pytest
import torch

from ssd_edge import train
from ssd_edge.data import Dataset
from ssd_edge.methods.views import Views, local_fields, turn, whitened_differences
from ssd_edge.model import TopKNetwork
from ssd_edge.training import TrainConfig
from ssd_edge_runtime.errors import OptionError


def generator(seed=0):
    return torch.Generator().manual_seed(seed)


def images(count=60, seed=0):
    rng = np.random.default_rng(seed)
    y = np.arange(count) % 3
    x = rng.random((count, 1, 8, 8), np.float32) * 0.3
    for sample, label in zip(x, y, strict=True):
        sample[0, 2 * label : 2 * label + 2, 1:5] += 0.6
    return Dataset(x, y, ("a", "b", "c"))


def test_fields_are_squares_of_the_share_asked_for_in_all_channels():
    mask = local_fields(1000, torch.Size([3, 28, 20]), 0.05, generator()).reshape(1000, 3, 28, 20)
    assert torch.equal(mask[:, 0], mask[:, 2])
    areas = mask[:, 0].sum((1, 2))
    assert areas.max() == 25 and areas.min() >= 16
    for field in mask[:, 0]:
        rows, columns = field.any(1).sum(), field.any(0).sum()
        assert field.sum() == rows * columns and max(rows, columns) <= 5
    assert mask.any(0).all()


def test_first_rows_are_whitened_differences_of_two_samples():
    u = torch.randn(50, 12, generator=generator(1))
    mask = torch.zeros(4, 12, dtype=torch.bool)
    mask[:, 3:8] = True
    rows = whitened_differences(u, mask, 1.0, generator(2))
    covariance = np.cov(u.numpy()[:, 3:8].T)
    ridge = 0.1 * np.trace(covariance) / 5 * np.eye(5)
    torch.testing.assert_close(rows.norm(dim=1), torch.ones(4))
    assert not rows[:, [0, 1, 2, 8, 9, 10, 11]].any()
    for row in rows.numpy()[:, 3:8]:
        difference = (covariance + ridge) @ row
        scales = [
            difference @ d / np.linalg.norm(difference) / np.linalg.norm(d)
            for a in u.numpy()[:, 3:8]
            for b in u.numpy()[:, 3:8]
            if (d := a - b).any()
        ]
        assert max(scales) > 0.9999


@pytest.mark.parametrize("turns", [4, 2])
def test_turns_are_numbered_by_their_angle(turns):
    x = torch.rand(40, 2, 5, 5, generator=generator())
    turned, number = turn(x, turns, generator(3))
    assert set(number.tolist()) == set(range(turns))
    for image, result, n in zip(x.numpy(), turned.numpy(), number.tolist(), strict=True):
        np.testing.assert_array_equal(result, np.rot90(image, n * 4 // turns, (1, 2)))


def test_features_stay_in_their_fields_and_depend_on_the_seed():
    settings = {"views": {"epochs": 2, "field": 0.2}}
    runs = [train(images(), tasks=3, base_tasks=2, hidden=(40,), k=(8,), seed=s, method="views", **settings)
            for s in (0, 0, 1)]  # fmt: skip
    layer = runs[0].network.topk_layers[0]
    assert layer.mask is not None and not layer.weight[~layer.mask].any()
    torch.testing.assert_close(layer.weight.norm(dim=1), torch.ones(40))
    weights = [run.network.topk_layers[0].weight for run in runs]
    assert torch.equal(weights[0], weights[1]) and not torch.equal(weights[0], weights[2])
    assert runs[0].metrics["average_accuracy"] > 0.9


def test_training_lowers_the_loss_of_its_own_labels():
    data = images(240)
    x, y = torch.from_numpy(data.x), torch.from_numpy(data.y)
    network = TopKNetwork.create((1, 8, 8), [60], [12], nonnegative=False)
    method = Views(epochs=12, field=0.2, shift=0)
    losses = []
    original = torch.nn.functional.cross_entropy

    def recorded(*arguments):
        loss = original(*arguments)
        losses.append(loss.item())
        return loss

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(torch.nn.functional, "cross_entropy", recorded)
        steps = len(list(method.prepare(network, x, y, seed=0)))
    assert steps == method.prepare_steps(len(x)) == len(losses)
    assert losses[-1] < 0.6 * losses[0]


def test_a_run_killed_while_preparing_ends_like_one_that_was_not(tmp_path):
    options = {"tasks": 3, "hidden": (30,), "k": (6,), "method": "views", "views": {"epochs": 3, "field": 0.2}}
    whole = train(images(), **options)

    class Killed(Exception):
        pass

    def kill(done, total):
        if done == 2:
            raise Killed

    with pytest.raises(Killed):
        train(images(), output=tmp_path / "run", progress=kill, checkpoint_seconds=0.0, **options)
    from ssd_edge.training import resume

    data, test = images().hold_out(0.2)
    run = resume(tmp_path / "run", data=data, test=test)
    for name, value in whole.network.state_dict().items():
        assert torch.equal(value, run.network.state_dict()[name]), name


@pytest.mark.parametrize(
    ("shape", "hidden", "message"),
    [((64,), (30,), r"views needs images \(channels, height, width\), got shape \(64,\)"),
     ((1, 8, 8), (30, 20), "views has one hidden layer, got 2")],
)  # fmt: skip
def test_what_views_cannot_learn_from_is_refused(shape, hidden, message):
    data = images()
    data = Dataset(data.x.reshape(len(data.x), *shape), data.y, data.classes)
    with pytest.raises(OptionError, match=message):
        train(data, tasks=3, hidden=hidden, k=tuple(4 for _ in hidden), method="views")


@pytest.mark.parametrize(("method", "base"), [("views", 2), ("ssd", 2), ("random", 1)])
def test_features_are_learned_on_all_tasks_trained_unless_they_need_no_data(method, base):
    config = TrainConfig("digits", method=method, readout="analytic", until_task=2).resolved()
    assert config.base_tasks == base
