"""Methods by name, those of other packages too, and ``a+b`` combinations of them."""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Mapping
from dataclasses import dataclass
from importlib.metadata import EntryPoint, entry_points
from typing import TYPE_CHECKING, Any

from ssd_edge.methods.adagrad import Adagrad
from ssd_edge.methods.classp import CLASSP
from ssd_edge.methods.clnp import CLNP
from ssd_edge.methods.ewc import EWC
from ssd_edge.methods.finetune import Finetune
from ssd_edge.methods.flymodel import FlyModel
from ssd_edge.methods.g2gnet import G2GNet
from ssd_edge.methods.joint import Joint
from ssd_edge.methods.lwf import LwF
from ssd_edge.methods.mas import MAS
from ssd_edge.methods.method import Method
from ssd_edge.methods.random_features import Random
from ssd_edge.methods.rigl import RigL
from ssd_edge.methods.sdmlp import SDMLP
from ssd_edge.methods.set import SET
from ssd_edge.methods.si import SI
from ssd_edge.methods.srigl import SRigL
from ssd_edge.methods.ssd import SSD
from ssd_edge.methods.views import Views
from ssd_edge_runtime.errors import OptionError

if TYPE_CHECKING:
    from ssd_edge_runtime.options import ReadoutKind

METHODS: dict[str, type[Method]] = {
    method.name: method
    for method in (
        *(SSD, SDMLP, Views, Finetune, Joint, Random, FlyModel),
        *(LwF, EWC, SI, MAS, SET, RigL, SRigL, G2GNet, Adagrad, CLASSP, CLNP),
    )
}
"""Every method by name: those of this package, and what was registered since."""
GROUP = "ssd_edge.methods"
"""Entry points of packages that bring methods."""
NAME = re.compile(r"[a-z][a-z0-9_-]*")


def register(method: type[Method]) -> type[Method]:
    """Make a method of one's own known by its ``name`` in this process; usable as a decorator.

    A package that is installed brings its methods to every process by entry points of the group
    ``ssd_edge.methods``. Raises OptionError for what is no method, and for a name that is taken.
    """
    good = isinstance(method, type) and issubclass(method, Method)
    OptionError.unless(good, f"a method is a subclass of Method, got {method!r}")
    name = getattr(method, "name", None)
    OptionError.unless(
        isinstance(name, str) and NAME.fullmatch(name) is not None,
        f"a method's name is of small letters, digits, - and _, got {name!r}",
    )
    # A cell of a notebook that is run again makes the class anew.
    again = name in METHODS and _place(METHODS[method.name]) == _place(method)
    OptionError.unless(again or name not in known_names(), f"there is a method {name!r} already")
    METHODS[method.name] = method
    return method


def known_names() -> tuple[str, ...]:
    """Of all methods that can be asked for."""
    return (*METHODS, *(name for name in _installed() if name not in METHODS))


def find_method(name: str) -> type[Method]:
    """The method called ``name``. Raises OptionError where there is none, or it cannot be loaded."""
    if name not in METHODS and name in (installed := _installed()):
        entry = installed[name]
        try:
            method = entry.load()
        except Exception as error:
            told = f"{type(error).__name__}: {error}".splitlines()[0]
            raise OptionError(f"method {name!r} of {entry.value} cannot be loaded ({told})") from error
        OptionError.unless(
            isinstance(method, type) and issubclass(method, Method) and getattr(method, "name", None) == name,
            f"method {name!r}: {entry.value} is no subclass of Method with that name",
        )
        METHODS[name] = method
    if name not in METHODS:  # what is installed takes a while to list
        raise OptionError(f"method must be one of {', '.join(known_names())} (joined by +), got {name!r}")
    return METHODS[name]


def is_everywhere(name: str) -> bool:
    """Whether a new process knows the method too."""
    return METHODS[name].__module__.startswith("ssd_edge.") or name in _installed()


def _place(method: type[Method]) -> tuple[str, str]:
    return method.__module__, method.__qualname__


def _installed() -> dict[str, EntryPoint]:
    return {entry.name: entry for entry in entry_points(group=GROUP)}


@dataclass(frozen=True)
class MethodSpec:
    """The methods joined by ``+``: one network (``finetune`` where none is named), then regularizers."""

    methods: tuple[type[Method], ...]

    @property
    def names(self) -> tuple[str, ...]:
        """Names in order."""
        return tuple(method.name for method in self.methods)

    @property
    def network(self) -> type[Method]:
        """The one that says what network is trained."""
        return self.methods[0]

    @property
    def topk(self) -> bool:
        """Whether the network has Top-K layers."""
        return self.network.topk

    @property
    def readout(self) -> ReadoutKind:
        """The usual readout."""
        return self.network.readout

    def default_k(self, hidden: int, analytic: bool) -> int:
        """k of a layer where none is given."""
        return self.network.default_k(hidden, analytic)

    def create(self, settings: Mapping[str, Mapping[str, Any]]) -> list[Method]:
        """The methods with their options, in the order their losses compose."""
        return [method(**settings.get(method.name, {})) for method in self.methods]


def parse_method(text: str) -> MethodSpec:
    """``ssd``, ``ssd+ewc``, ``ewc`` (which is ``finetune+ewc``). Raises OptionError."""
    names = text.split("+")
    chosen = [find_method(name) for name in names]
    OptionError.unless(len(set(names)) == len(names), f"method {text!r} names one twice")
    networks = [method for method in chosen if method.is_network]
    OptionError.unless(
        len(networks) <= 1, f"method {text!r} joins two networks: {', '.join(m.name for m in networks)}"
    )
    rest = [method for method in chosen if not method.is_network]
    return MethodSpec((*(networks or [Finetune]), *rest))


def check_settings(spec: MethodSpec, settings: Mapping[str, Mapping[str, Any]]) -> None:
    """Raise OptionError for options of methods that are not used, unknown ones and bad values."""
    for name, options in settings.items():
        OptionError.unless(name in spec.names, f"options for {name!r}, but the method is {'+'.join(spec.names)}")
        method = next(method for method in spec.methods if method.name == name)
        known = [item.name for item in dataclasses.fields(method.Options)]
        for option in options:
            listing = f"there are {', '.join(known)}" if known else "it has none"
            OptionError.unless(option in known, f"{name} has no option {option!r}; {listing}")
        try:
            method(**options)
        except TypeError as error:
            raise OptionError(f"an option of {name} has the wrong type ({error})") from error
