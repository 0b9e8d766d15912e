"""One small trained run per readout, on digits, shared by all tests; nothing may change them."""

import pytest

from ssd_edge.training import Run, train

QUICK = {"tasks": 5, "until_task": 2, "hidden": (48,), "epochs": 2, "device": "cpu"}


@pytest.fixture(scope="session")
def gradient_run() -> Run:
    return train("digits", method="joint", readout="gradient", k=(6,), **{**QUICK, "epochs": 60, "lr": 0.3})


@pytest.fixture(scope="session")
def analytic_run() -> Run:
    return train("digits", method="ssd", readout="analytic", k=(8,), **QUICK)


@pytest.fixture(scope="session")
def random_run() -> Run:
    return train("digits", method="random", k=(8,), **QUICK)


@pytest.fixture(scope="session")
def run_folder(tmp_path_factory, analytic_run):
    folder = tmp_path_factory.mktemp("runs") / "analytic"
    analytic_run.save(folder)
    return folder


@pytest.fixture(scope="session")
def gradient_folder(tmp_path_factory, gradient_run):
    folder = tmp_path_factory.mktemp("runs") / "gradient"
    gradient_run.save(folder)
    return folder
