"""The trainer and the device take the same steps: same weights, same batches, same updates."""

import numpy as np
import pytest
import torch
from small_models import gradient_state, samples

from ssd_edge.methods import Task, parse_method
from ssd_edge.model import TopKNetwork
from ssd_edge.training.step import Step
from ssd_edge_runtime import EdgeModel
from ssd_edge_runtime.options import DistillOptions, LearningOptions
from ssd_edge_runtime.state import ModelState

SHAPES = {
    "dense": {},
    "pruned": {"density": 0.3},
    "pruned, rows of several lengths": {"density": 0.3, "uniform": False},
    "two layers": {"widths": (30, 25), "density": 0.4},
    "normalized first, centered": {"normalized_first": True, "center": True},
    "sketched": {"normalized_first": True, "center": True, "sketch": 7},
    "cosine": {"density": 0.3, "activation": "cosine"},
    "cosine, rows of several lengths": {"density": 0.3, "uniform": False, "activation": "cosine"},
    "cosine, dense": {"activation": "cosine"},
    "sketched, pruned": {"sketch": 13, "density": 0.5, "uniform": False},
}
DISTILLED = {
    "default": {},
    "paper": {"alpha": 0.7, "temperature": 8.0},
    "hidden before": {"hidden_stage": "before", "lambda_hidden": 0.9, "n_distill": 12},
}


def torch_twin(state: ModelState) -> TopKNetwork:
    weights, masks = [], []
    for layer in state.layers:
        mask = np.zeros(layer.weights.shape, bool)
        mask[layer.weights.row_of_entry(), layer.weights.columns] = True
        weights.append(torch.from_numpy(layer.weights.to_dense()))
        masks.append(None if mask.all() else torch.from_numpy(mask))
    network = TopKNetwork(
        weights,
        [layer.k for layer in state.layers],
        state.input_shape,
        center=None if state.center is None else torch.from_numpy(state.center),
        masks=masks,
        normalized_first=state.normalized_first,
        sketch=state.sketch,
        activation=state.layers[0].activation,
    )
    network.add_classes(state.classes)
    network.readout_weight.data = torch.from_numpy(np.array(state.readout.weights))
    return network


def start_switching(state: ModelState, network: TopKNetwork, switch: float) -> None:
    """Give both the same counts: neurons that excite, that are inhibited in part, and that are done."""
    for layer, twin in zip(state.layers, network.topk_layers, strict=True):
        counts = np.arange(layer.weights.shape[0]) * int(switch) // (layer.weights.shape[0] - 5)
        layer.inhibition_count = counts.clip(max=int(switch))
        twin.inhibition_count = torch.from_numpy(counts)
        twin.switch = switch


class Trainer:
    """The trainer's own step, method and boundary."""

    def __init__(self, network: TopKNetwork, learning: LearningOptions, distill: dict) -> None:
        self.network, self.learning = network, learning
        self.methods = parse_method("ssd").create({"ssd": distill})
        self.teacher, self.selected = None, []

    def learn(self, x: np.ndarray, y: np.ndarray) -> None:
        u, labels = self.network.preprocess(torch.from_numpy(x)), torch.from_numpy(y)
        task = Task(1, u, labels, self.network, self.teacher, self.selected, 0)
        for method in self.methods:
            method.before_task(task)
        step = Step(self.network, self.learning, self.methods)
        for batch in torch.arange(len(u)).split(self.learning.batch_size):
            step(u[batch], labels[batch], task, batch)

    def boundary(self) -> None:
        options = self.methods[0].options
        self.selected = self.network.most_frequent(options.n_distill, options.frequency)
        self.network.boundary()
        self.teacher = self.network.frozen_copy()


@pytest.mark.parametrize("shape", ["dense", "pruned, rows of several lengths", "two layers", "sketched"])
@pytest.mark.parametrize("switch", [None, 400.0], ids=["complete", "switching"])
def test_rows_of_frequent_neurons_move_less(shape: str, switch: float | None) -> None:
    follow("hidden before" if switch is None else "default", SHAPES[shape], switch, protect=0.02)


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("distill", DISTILLED)
@pytest.mark.parametrize(
    ("switch", "batch"),
    [(None, 8), (400.0, 8), (400.0, 1)],
    ids=["complete", "switching", "switching, one by one"],
)
def test_over_tasks_boundaries_and_new_classes(shape: str, distill: str, switch: float | None, batch: int) -> None:
    follow(distill, SHAPES[shape], switch, batch)


def follow(distill: str, shape: dict, switch: float | None, batch: int = 8, protect: float = 0.0) -> None:
    """Two tasks with the trainer's step and on the device, and everything they have changed."""
    options = DistillOptions(**DISTILLED[distill])
    learning = LearningOptions(
        learning_rate=0.2, batch_size=batch, readout_init=0.1, distill=options, switch=switch, protect=protect
    )
    state = gradient_state(learning=learning, **shape)
    twin = torch_twin(state)
    if switch is not None:
        start_switching(state, twin, switch)
    trainer, device = Trainer(twin, learning, DISTILLED[distill]), EdgeModel(state)
    first, second = samples(1, 30 * batch, classes=3), samples(2, 30 * batch, classes=5)
    trainer.learn(*first)
    device.partial_fit(*first)
    trainer.boundary()
    trainer.network.add_classes(["3", "4"], learning)
    trainer.learn(*second)
    device.partial_fit(*second)

    network, learned = trainer.network, device.state
    assert learned.classes == network.classes
    moved = np.abs(learned.layers[0].weights.values - state.layers[0].weights.values).max()
    assert moved > 0.01
    for layer, twin in zip(learned.layers, network.topk_layers, strict=True):
        if switch is not None:
            counts = twin.inhibition_count.numpy()
            assert (counts < switch).any()
            assert (counts > switch).any()
            np.testing.assert_array_equal(layer.inhibition_count, counts.clip(max=int(switch)))
        np.testing.assert_allclose(layer.weights.to_dense(), twin.weight.detach().numpy(), atol=2e-5)
        np.testing.assert_array_equal(layer.activation_count, twin.activation_count.numpy())
        np.testing.assert_array_equal(layer.task_count, twin.task_count.numpy())
        np.testing.assert_array_equal(layer.class_count, twin.class_count.numpy())
    np.testing.assert_allclose(learned.readout.weights, network.readout_weight.detach().numpy(), atol=2e-5)
    network.eval()
    x, _ = samples(3, 40, classes=5)
    np.testing.assert_allclose(device.logits(x), network(torch.from_numpy(x)).detach().numpy(), atol=2e-5)


@pytest.mark.parametrize("distill", DISTILLED)
@pytest.mark.parametrize("switch", [None, 400.0], ids=["complete", "switching"])
def test_every_step_through_two_cosine_layers(distill: str, switch: float | None) -> None:
    """From the same weights each time: any change of a last bit grows a hundredfold in sixty steps."""
    options = DistillOptions(**DISTILLED[distill])
    learning = LearningOptions(learning_rate=0.2, batch_size=8, readout_init=0.1, distill=options, switch=switch)
    state = gradient_state(learning=learning, widths=(30, 25), density=0.4, activation="cosine")
    twin = torch_twin(state)
    if switch is not None:
        start_switching(state, twin, switch)
    trainer, device = Trainer(twin, learning, DISTILLED[distill]), EdgeModel(state)
    for task, classes in enumerate((3, 5)):
        x, y = samples(1 + task, 240, classes=classes)
        y[:5] = np.arange(5) % classes  # a new class opens the boundary, in the first batch
        if task:
            trainer.boundary()
            twin.add_classes(["3", "4"], learning)
        for start in range(0, len(x), 8):
            trainer.learn(x[start : start + 8], y[start : start + 8])
            device.partial_fit(x[start : start + 8], y[start : start + 8])
            pairs = [(twin.readout_weight, device.state.readout.weights)]
            for layer, learned in zip(twin.topk_layers, device.state.layers, strict=True):
                pairs.append((layer.weight, learned.weights.to_dense()))
                np.testing.assert_array_equal(learned.activation_count, layer.activation_count.numpy())
            for tensor, array in pairs:
                np.testing.assert_allclose(array, tensor.detach().numpy(), atol=3e-6)
                tensor.data.copy_(torch.from_numpy(np.array(array)))
    moved = np.abs(device.state.layers[0].weights.values - state.layers[0].weights.values).max()
    assert moved > 0.01
