"""Help pages: the example first, options under headings, long lists on ``--help-all``, words explained at the end.

click's own means suffice: a subclass of its Command writes the page.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any

import click

from ssd_edge.cli.glossary import terms_in
from ssd_edge.cli.groups import GROUPS, HEADINGS

MANY, SHOWN = 20, 10
"""A command with more options than MANY shows at most SHOWN before ``--help-all``."""
OTHERS = "Options"


class Command(click.Command):
    """A command whose page is told by this module.

    ``first``: long names of the options to show where there are many, else the first ones. ``headings``: of
    options that stand elsewhere than usual, by long name.
    """

    def __init__(
        self, *args: Any, first: Collection[str] = (), headings: Mapping[str, str] | None = None, **kwargs: Any
    ) -> None:
        super().__init__(*args, **kwargs)
        options = [param for param in self.params if isinstance(param, click.Option)]
        self.first = first or [long_name(option) for option in options[:SHOWN]]
        self.headings = headings or {}
        if len(options) + 1 > MANY:  # with --help
            self.params.append(help_all())

    def format_help(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Usage, example, text, the main options, words."""
        self.format_page(ctx, formatter, whole=False)

    def format_page(self, ctx: click.Context, formatter: click.HelpFormatter, *, whole: bool) -> None:
        """The page with the main options, or the ``whole`` of it."""
        self.format_usage(ctx, formatter)
        self.format_epilog(ctx, formatter)
        self.format_help_text(ctx, formatter)
        self.format_groups(ctx, formatter, whole)
        write_terms(formatter)

    def format_groups(self, ctx: click.Context, formatter: click.HelpFormatter, whole: bool) -> None:
        """Options under their headings, and how many more there are."""
        options = [param for param in self.get_params(ctx) if isinstance(param, click.Option)]
        shown = [option for option in options if whole or not self.is_extra(option)]
        for heading in (*GROUPS, OTHERS):
            rows = [option.get_help_record(ctx) for option in shown if self.heading_of(option) == heading]
            if rows:
                with formatter.section(heading):
                    formatter.write_dl([row for row in rows if row is not None])
        if len(shown) < len(options):
            formatter.write_paragraph()
            formatter.write_text(f"{len(options) - len(shown)} more options with --help-all.")

    def is_extra(self, option: click.Option) -> bool:
        """Whether an option is left to ``--help-all``."""
        return any(isinstance(param, HelpAll) for param in self.params) and long_name(option) not in self.first

    def heading_of(self, option: click.Option) -> str:
        """The heading that an option stands under."""
        name = long_name(option)
        return self.headings.get(name) or HEADINGS.get(name, OTHERS)


class HelpAll(click.Option):
    """``--help-all``."""


def help_all() -> HelpAll:
    """The option that shows all others."""

    def show(ctx: click.Context, _option: click.Parameter, wanted: bool) -> None:
        if not wanted or ctx.resilient_parsing:
            return
        assert isinstance(ctx.command, Command)
        formatter = ctx.make_formatter()
        ctx.command.format_page(ctx, formatter, whole=True)
        click.echo(formatter.getvalue().rstrip("\n"), color=ctx.color)
        ctx.exit()

    told = "Show all options and exit."
    return HelpAll(["--help-all"], is_flag=True, is_eager=True, expose_value=False, callback=show, help=told)


def long_name(option: click.Option) -> str:
    """``--output`` of ``-o, --output``; the first of several."""
    return next((name for name in option.opts if name.startswith("--")), option.opts[0])


def write_terms(formatter: click.HelpFormatter) -> None:
    """What the words of the page so far mean."""
    terms = terms_in(" ".join(formatter.getvalue().split()))
    if terms:
        with formatter.section("Words"):
            formatter.write_dl(terms)
