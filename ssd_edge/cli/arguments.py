"""Arguments and options that several device commands share."""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click
from click.shell_completion import CompletionItem

from ssd_edge.cli.output import fail

F = TypeVar("F", bound=Callable[..., Any])
FILE = click.Path(path_type=Path)

model_argument = click.argument("model", type=FILE)
output_option = click.option("-o", "--output", type=FILE, help="Write here and leave MODEL as it is.")
keep_option = click.option(
    "--keep", type=click.IntRange(min=0), default=3, show_default=True, help="Earlier generations to keep."
)
lock_option = click.option(
    "--lock-timeout",
    type=click.FloatRange(min=0),
    default=10.0,
    show_default=True,
    help="Seconds to wait for another process that is writing the file.",
)
data_root_option = click.option("--data-root", type=FILE, help="Where local copies of built-in data sets are.")
stdin_format_option = click.option(
    "--stdin-format",
    type=click.Choice(["auto", "json", "npy"]),
    default="auto",
    show_default=True,
    help="What - reads: lines of JSON, or .npy arrays one after another; auto tells by the first byte.",
)


scale_option = click.option(
    "--scale-strict", is_flag=True, help="Refuse samples in another range than the model was trained on."
)
READING = ("label_column", "image_size", "image_fit", "window", "stride", "channels", "group")
"""Parameters of the options below."""


def image_size(context: click.Context, parameter: click.Parameter, text: str | None) -> Any:
    """``"96"`` as 96, ``"48x64"`` as (48, 64)."""
    if text is None:
        return None
    parts = text.lower().split("x")
    if len(parts) > 2 or not all(map(str.isdecimal, parts)):
        raise click.BadParameter(f"{text!r} is neither a number of pixels nor HEIGHTxWIDTH")
    sides = tuple(map(int, parts))
    return sides if len(sides) == 2 else sides[0]


def raw_reading_options(function: F) -> F:
    """How files are read; each option is passed on by itself, None where it is not given."""
    options = [
        click.option(
            "--label-column", metavar="NAME", help="Tables: column of the labels, by name or number [found out]."
        ),
        click.option(
            "--image-size",
            metavar="PIXELS",
            callback=image_size,
            help="Pictures: bring each to this square, or HEIGHTxWIDTH [a model's own].",
        ),
        click.option(
            "--image-fit",
            type=click.Choice(["crop", "pad", "stretch"]),
            help="How: keep the middle, all of it on black, or out of proportion [crop; a model's own].",
        ),
        click.option(
            "--window",
            type=int,
            metavar="ROWS",
            help="Tables: samples of so many rows of one label [a row; a model's own].",
        ),
        click.option(
            "--stride", type=int, metavar="ROWS", help="From the start of one to that of the next [a window]."
        ),
        click.option(
            "--channels", type=NameList(), metavar="NAMES", help="Columns of a window, in order [measurements]."
        ),
        click.option("--group", metavar="COLUMN", help="No window goes across a change in this column [none]."),
    ]
    for option in reversed(options):
        function = option(function)
    return function


def reading_options(function: F) -> F:
    """Options of a ``Reading``, passed on as ``reading``."""

    @functools.wraps(function)
    def wrapper(*args: Any, **kwargs: Any) -> Any:
        from ssd_edge.data import Reading
        from ssd_edge_runtime.errors import OptionError

        given = {name: value for name in READING if (value := kwargs.pop(name)) is not None}
        try:
            reading = Reading(**given)
        except OptionError as error:
            fail(str(error))
        return function(*args, reading=reading, **kwargs)

    return raw_reading_options(wrapper)  # type: ignore[return-value]


def require_stdin(stdin_format: str) -> None:
    """Raise OptionError where ``--stdin-format`` is given and nothing is read from there."""
    from ssd_edge_runtime.errors import OptionError

    OptionError.unless(
        stdin_format == "auto", f"stdin-format is an option of standard input, -; got {stdin_format}"
    )


def split_option(default: str) -> Callable[[F], F]:
    """``--split``, for data sets that have parts."""
    return click.option(
        "--split",
        type=click.Choice(["train", "test", "all"]),
        default=default,
        show_default=True,
        help="Part of a data set that has parts; a plain file is taken whole.",
    )


trusted_option = click.option(
    "--trusted",
    type=FILE,
    multiple=True,
    metavar="KEY",
    help="Load only what this public key has signed; repeatable, and added to SSD_EDGE_TRUSTED_KEYS.",
)
allow_older_option = click.option(
    "--allow-older",
    is_flag=True,
    help="Take a signed MODEL older than one that was taken before, from now on.",
)
sign_with_option = click.option(
    "--sign-with",
    type=FILE,
    metavar="KEY",
    envvar="SSD_EDGE_SIGN_WITH",
    show_envvar=True,
    help="Sign what is saved with this private key.",
)


note_option = click.option(
    "--note", metavar="TEXT", default="", help="Where the lessons came from, for the history in the file."
)


def loading_options(function: F) -> F:
    """``--no-verify`` (passed on as ``verify``), ``--trusted`` and ``--allow-older``."""
    option = click.option(
        "--verify/--no-verify", default=True, show_default=True, help="Check the file's digest before using it."
    )
    return option(trusted_option(allow_older_option(function)))


threads_option = click.option(
    "--threads", type=click.IntRange(min=1), default=1, show_default=True, help="Cores for the encoder, if any."
)


def engine_options(function: F) -> F:
    """``--engine`` and ``--threads``."""
    engine = click.option(
        "--engine",
        type=click.Choice(["auto", "csr", "onnxruntime"]),
        default="auto",
        show_default=True,
        help="What computes the answers.",
    )
    threads = click.option(
        "--threads", type=click.IntRange(min=1), default=1, show_default=True, help="Cores to use."
    )
    return engine(threads(function))


def writing_options(function: F) -> F:
    """``-o``, ``--note``, ``--keep``, ``--lock-timeout`` and ``--sign-with``."""
    return output_option(note_option(keep_option(lock_option(sign_with_option(function)))))


if TYPE_CHECKING:
    ParamType = click.ParamType[tuple[Any, ...]]
else:
    ParamType = click.ParamType  # generic only in later versions of click


class NameList(ParamType):
    """Names or numbers separated by commas."""

    name = "a,b,..."

    def __init__(self, kind: type = str, known: Sequence[str] = ()) -> None:
        self._kind, self._known = kind, known

    def shell_complete(self, ctx: click.Context, param: click.Parameter, incomplete: str) -> list[CompletionItem]:
        """Known names that are not in the list yet."""
        *before, last = incomplete.split(",")
        start = "".join(f"{name}," for name in before)
        return [
            CompletionItem(start + name) for name in self._known if name.startswith(last) and name not in before
        ]

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> tuple[Any, ...]:
        """``"1,32"`` becomes ``(1, 32)``."""
        if isinstance(value, tuple):
            return value
        try:
            return tuple(self._kind(part.strip()) for part in str(value).split(",") if part.strip())
        except ValueError:
            self.fail(f"{value!r} is not a list of whole numbers", param, ctx)
