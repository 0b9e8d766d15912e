"""Methods of one's own: registered in a process, or brought by an installed package."""

from __future__ import annotations

from pathlib import Path
from typing import ClassVar

import pytest

from ssd_edge import train
from ssd_edge.methods import METHODS, Method, parse_method, register
from ssd_edge.methods.registry import is_everywhere
from ssd_edge_runtime.errors import OptionError

QUICK = {"hidden": (24,), "epochs": 1, "tasks": 5, "until_task": 1}
STRANGER = '''
from typing import ClassVar
from ssd_edge.methods import Method

class Doubled(Method):
    """Twice the loss."""
    name: ClassVar[str] = "doubled"

    def loss(self, loss, batch, task):
        return 2 * loss
'''


@pytest.fixture(autouse=True)
def forgotten(monkeypatch: pytest.MonkeyPatch) -> None:
    """What a test registers is gone after it."""
    monkeypatch.setattr("ssd_edge.methods.registry.METHODS", METHODS | {})


def of(name: object) -> type[Method]:
    return type("Own", (Method,), {"name": name})


@pytest.fixture
def package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An installed package that brings a method, and one that is broken."""
    (tmp_path / "stranger_method.py").write_text(STRANGER)
    info = tmp_path / "stranger-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: stranger\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text(
        "[ssd_edge.methods]\ndoubled = stranger_method:Doubled\n"
        "lost = stranger_method:Lost\nother = stranger_method:Doubled\n"
    )
    monkeypatch.syspath_prepend(str(tmp_path))
    return tmp_path


@register
class Halved(Method):
    """Half the loss."""

    name: ClassVar[str] = "halved"


del METHODS["halved"]


def test_a_registered_method_trains_and_resumes(tmp_path: Path) -> None:
    register(Halved)
    assert not is_everywhere("halved")
    run = train("digits", method="sdmlp+halved", output=tmp_path / "run", **QUICK)
    assert run.config.spec.names == ("sdmlp", "halved")
    assert register(Halved) is Halved


@pytest.mark.parametrize("name", [None, "", "A", "a+b", "a,b", "-a", "a b"])
def test_names_that_could_not_be_asked_for(name: object) -> None:
    with pytest.raises(OptionError, match="a method's name is of small letters, digits, - and _, got"):
        register(of(name))


def test_what_is_no_method_or_taken() -> None:
    with pytest.raises(OptionError, match="a method is a subclass of Method, got 3"):
        register(3)  # type: ignore[arg-type]
    with pytest.raises(OptionError, match="there is a method 'ssd' already"):
        register(of("ssd"))


def test_a_package_brings_methods(package: Path) -> None:
    assert parse_method("sdmlp+doubled").names == ("sdmlp", "doubled")
    assert is_everywhere("doubled")
    plain, twice = (
        train("digits", method=method, lr=lr, clip_norm=9e9, **QUICK)
        for method, lr in (("sdmlp", 0.02), ("sdmlp+doubled", 0.01))
    )
    for name, value in plain.network.state_dict().items():
        assert (twice.network.state_dict()[name] - value).abs().max() < 1e-4, name
    with pytest.raises(OptionError, match="there is a method 'doubled' already"):
        register(of("doubled"))


def test_a_package_that_is_broken_is_named(package: Path) -> None:
    with pytest.raises(
        OptionError, match=r"method 'lost' of stranger_method:Lost cannot be loaded .AttributeError"
    ):
        parse_method("lost")
    with pytest.raises(
        OptionError, match="'other': stranger_method:Doubled is no subclass of Method with that name"
    ):
        parse_method("other")
    with pytest.raises(OptionError, match=r"method must be one of ssd, .*, doubled, lost, other .*got 'foo'"):
        parse_method("foo")


def test_installed_packages_are_not_listed_for_a_known_name(monkeypatch: pytest.MonkeyPatch) -> None:
    """That takes a tenth of a second, and a run asks for its method a hundred times."""

    def never() -> dict[str, object]:
        raise AssertionError("listed")

    monkeypatch.setattr("ssd_edge.methods.registry._installed", never)
    assert parse_method("ssd+ewc").names == ("ssd", "ewc")
    assert is_everywhere("ssd")
