"""Which data a run learns from, and how their classes are split into tasks."""

from __future__ import annotations

import dataclasses
import warnings
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

from ssd_edge.data import Dataset, Reading, load_data, split_classes
from ssd_edge.data.tables import TABLES
from ssd_edge_runtime.errors import DataError, DataWarning, OptionError

IN_MEMORY = "<arrays in memory>"
USUAL_TASKS = 5
Memory = tuple[Dataset, Dataset]
"""Training and test data that are in memory."""


@dataclass(frozen=True)
class Tasks:
    """Which data, and how their classes are split."""

    data: str = IN_MEMORY
    """Built-in name, folder, ``.npz`` or ``.csv``."""
    data_root: str | None = None
    """Where local copies of built-in data sets are looked for first."""
    classes: tuple[str, ...] = ()
    """Only these classes, by name or index; empty for all."""
    tasks: int | None = None
    """Tasks the classes are split into; None: 5, or one per class where there are fewer classes."""
    until_task: int | None = None
    """Stop after this task; None for all."""
    class_order: int | tuple[str, ...] | None = None
    """None by label, an integer shuffles with that seed, or all class names in order."""
    hold_out: float = 0.0
    """Share of the training part kept from training, for choosing options; its accuracies are reported apart."""

    def __post_init__(self) -> None:
        check_tasks(self.tasks, self.until_task)
        OptionError.unless(
            0.0 <= self.hold_out < 1.0, f"hold-out must be at least 0 and below 1, got {self.hold_out}"
        )

    @property
    def task_count(self) -> int:
        """The number of tasks."""
        return USUAL_TASKS if self.tasks is None else self.tasks

    @property
    def last_task(self) -> int:
        """Number of the last task to train, from 1."""
        return self.until_task or self.task_count


@dataclass(frozen=True)
class TaskOptions(Reading, Tasks):
    """What ``train`` and ``train_encoder`` are told about data and tasks."""

    def __post_init__(self) -> None:
        Tasks.__post_init__(self)
        Reading.__post_init__(self)


def check_tasks(tasks: int | None = None, until_task: int | None = None) -> None:
    """Raise OptionError unless so many tasks can be trained up to that one."""
    for name, value in (("tasks", tasks), ("until-task", until_task)):
        OptionError.unless(value is None or value >= 1, f"{name} must be at least 1, got {value}")
    most = tasks or USUAL_TASKS
    OptionError.unless((until_task or 1) <= most, f"until-task must be at most {most}, got {until_task}")


Told = TypeVar("Told", bound=TaskOptions)


def fitted(options: Told, data: Dataset) -> Told:
    """The same with the number of tasks decided by ``data``, all its classes; fewer than usual are told."""
    if options.tasks is not None:
        return options
    count = min(USUAL_TASKS, len(data.classes))
    decided = dataclasses.replace(options, tasks=count)
    if count < USUAL_TASKS:
        text = f"{count} tasks, not {USUAL_TASKS}: {data.source or 'the data'} has {len(data.classes)} classes"
        warnings.warn(text.replace("1 tasks", "1 task").replace("1 classes", "1 class"), DataWarning, stacklevel=2)
    return decided


def check_positive(options: object, *names: str) -> None:
    """Raise OptionError unless the fields of these names are None or at least 1."""
    for name in names:
        value = getattr(options, name)
        OptionError.unless(value is None or value >= 1, f"{flag(name)} must be at least 1, got {value}")


def flag(name: str) -> str:
    """A field's name as the command line spells it."""
    return name.replace("_", "-")


def in_memory(data: str | Path | Dataset, test: Dataset | None = None) -> Memory | None:
    """The two parts of a data set in memory, a fixed fifth as ``test`` where none is given; None for a name."""
    if not isinstance(data, Dataset):
        return None
    return (data, test) if test is not None else data.hold_out(0.2)


def load_part(options: TaskOptions, split: Any, memory: Memory | None = None) -> Dataset:
    """One part of the data set, only the classes chosen."""
    if memory is not None:
        data = memory[split == "test"]
    elif options.data == IN_MEMORY:
        raise DataError("this run was trained on arrays in memory: give it the data")
    else:
        tabular = options.window is None or Path(options.data).suffix.lower() in (*TABLES, ".parquet")
        OptionError.unless(tabular, f"window is an option of tables, and {options.data} is none")
        data = load_data(options.data, split=split, root=options.data_root, split_files=True, reading=options)
    return data.select(options.classes) if options.classes else data


def task_classes(options: TaskOptions, data: Dataset) -> list[tuple[str, ...]]:
    """Class names of every task."""
    order = options.class_order
    names = [data.resolve(name) for name in order] if isinstance(order, tuple) else order
    return split_classes(data.classes, options.task_count, names)


def classes_until_last(options: TaskOptions, data: Dataset) -> list[str]:
    """Class names of all tasks that are trained, in order."""
    return [name for task in task_classes(options, data)[: options.last_task] for name in task]
