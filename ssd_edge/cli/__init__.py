"""The command line: one module per command, imported only when that command runs."""

from __future__ import annotations

import importlib

import click

from ssd_edge_runtime import __version__

COMMANDS = {
    "demo": "The whole job on an embedded data set, in under a minute.",
    "train": "Train on a sequence of tasks; writes a run folder.",
    "compare": "Several methods, several seeds, one table.",
    "prune": "Prune a run to its Top-K-active weights.",
    "export": "Calibrate a run and write the ONNX file.",
    "verify": "Check a file: digest, structure, the same logits from every engine.",
    "inspect": "Layers, sizes, classes, neurons and provenance of a file.",
    "dataset": "Write device-ready arrays of a data set.",
    "infer": "Label and confidence per sample.",
    "eval": "Accuracy in all, per class, confusion.",
    "learn": "Learn on the device, new classes included.",
    "forget": "Remove a class, or unlearn samples.",
    "rename": "Rename a class.",
    "merge": "One model that knows what each learned.",
    "history": "Earlier generations of a file.",
    "rollback": "Go back to an earlier generation.",
    "bench": "Measure this device.",
}


class LazyGroup(click.Group):
    """A group whose commands are modules beside this file: ``infer`` is ``command`` in ``infer.py``."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Names in the order of the job."""
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, name: str) -> click.Command | None:
        """Import the module of the command asked for."""
        if name not in COMMANDS:
            return None
        command = importlib.import_module(f"ssd_edge.cli.{name}").command
        assert isinstance(command, click.Command)
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """List the commands from the table above, without importing any."""
        with formatter.section("Commands"):
            formatter.write_dl(list(COMMANDS.items()))


@click.group(cls=LazyGroup, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, prog_name="ssd-edge")
def main() -> None:
    """Sparse continual learning that keeps learning where it runs.

    \b
    Example:
      ssd-edge demo
    """
