"""The steps of a run, counted before they are taken."""

import pytest

from ssd_edge.training import TrainConfig
from ssd_edge.training.schedule import Position, Schedule


def schedule(**options):
    config = TrainConfig(tasks=3, epochs=2, batch_size=10, **options).resolved()
    return Schedule(config, (25, 10, 31), prepare_steps=4)


def test_steps_of_the_gradient_readout():
    steps = schedule(method="ssd")
    assert [steps.batches(task) for task in range(3)] == [3, 1, 4]
    assert (steps.total_steps, steps.first_presented) == (4 + 2 * (3 + 1 + 4), 50)


def test_features_learn_from_the_base_tasks_alone():
    steps = schedule(method="ssd", readout="analytic", base_tasks=2)
    assert [steps.learns_in(task) for task in range(3)] == [True, True, False]
    assert steps.total_steps == 4 + 2 * (3 + 1)


@pytest.mark.parametrize(
    ("position", "behind"),
    [
        (Position(0, 0, 0), 4),
        (Position(0, 1, 2), 4 + 3 + 2),
        (Position(2, 0, 3), 4 + 6 + 2 + 3),
        (Position(3, 0, 0), 4 + 6 + 2 + 8),
    ],
)
def test_steps_behind_a_position(position, behind):
    assert schedule(method="ssd").steps_before(position) == behind


def test_random_features_take_no_steps():
    assert schedule(method="random").total_steps == 4
