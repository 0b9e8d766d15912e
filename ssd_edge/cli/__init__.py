"""The command line: one module per command, imported only when that command runs."""

from __future__ import annotations

import difflib
import importlib
import sys
from collections.abc import Sequence
from typing import Any

import click

from ssd_edge.cli.help import write_terms
from ssd_edge.cli.terminal import INTERRUPTED, printable, put_aside

COMMANDS = {
    "demo": "The whole job on an embedded data set, in under a minute.",
    "train": "Train on a sequence of tasks; writes a run folder.",
    "encoder": "Train a small encoder for train --encoder.",
    "compare": "Several methods, several seeds, one table.",
    "prune": "Prune a run to its Top-K-active weights.",
    "sweep": "Accuracy against density, criterion by criterion.",
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
    "rebase": "Carry what a device learned over to a new base.",
    "history": "Earlier generations of a file.",
    "rollback": "Go back to an earlier generation.",
    "purge": "Delete the earlier generations of a file.",
    "keygen": "Make a key pair for signatures.",
    "sign": "Sign a file, so that devices can tell who made it.",
    "bench": "Measure this device.",
}


EXAMPLE = """\b
Example:
  ssd-edge demo
"""


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

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """Find the command; an unknown one is answered with the nearest name."""
        name = args[0]
        if name not in COMMANDS and not name.startswith("-") and not ctx.resilient_parsing:
            near = difflib.get_close_matches(name.lower(), COMMANDS, n=1)
            ctx.fail(f"No such command {name!r}." + (f" Did you mean {near[0]!r}?" if near else ""))
        return super().resolve_command(ctx, args)

    def main(self, args: Sequence[str] | None = None, *names: Any, **how: Any) -> Any:
        """As click has it, but Ctrl-C has the status that a shell gives it, and messages steer no terminal."""
        how, standalone = how | {"standalone_mode": False}, how.get("standalone_mode", True)
        try:
            status = super().main(args, *names, **how)
        except click.Abort:
            status = INTERRUPTED
        except click.ClickException as error:
            if not standalone:
                raise
            if not isinstance(error, click.exceptions.NoArgsIsHelpError):
                # It quotes what was typed, and there is no other place to change that.
                error.message = printable(error.message)  # type: ignore[misc]
            error.show()
            status = error.exit_code
        if standalone:
            sys.exit(status)
        return status

    def invoke(self, ctx: click.Context) -> Any:
        """Run the command."""
        try:
            return super().invoke(ctx)
        except KeyboardInterrupt:
            put_aside("stopped\n")
            ctx.exit(INTERRUPTED)

    def format_help(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Usage, example, text, options, commands, words."""
        self.format_usage(ctx, formatter)
        self.format_epilog(ctx, formatter)
        self.format_help_text(ctx, formatter)
        self.format_options(ctx, formatter)
        write_terms(formatter)

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """List the commands from the table above, without importing any."""
        with formatter.section("Commands"):
            formatter.write_dl(list(COMMANDS.items()))


def _print_version(ctx: click.Context, _parameter: click.Parameter, wanted: bool) -> None:
    if not wanted or ctx.resilient_parsing:
        return
    from ssd_edge_bench.machine.versions import versions

    for name, version in versions().items():
        click.echo(f"{name} {version or 'not installed'}")
    ctx.exit()


@click.group(cls=LazyGroup, epilog=EXAMPLE, context_settings={"help_option_names": ["-h", "--help"]})
@click.option(
    "--version",
    is_flag=True,
    is_eager=True,
    expose_value=False,
    callback=_print_version,
    help="Show the version, and those of the libraries underneath.",
)
def main() -> None:
    """Sparse continual learning that keeps learning where it runs."""
