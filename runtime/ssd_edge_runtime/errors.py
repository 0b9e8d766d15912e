"""Errors that a user can act on; the command line prints each as one line and exits with status 2."""


class SSDEdgeError(ValueError):
    """Something the user gave cannot be used; the message names the thing and the fix."""

    @classmethod
    def unless(cls, condition: bool, message: str) -> None:
        """Raise this error with ``message`` unless ``condition`` holds."""
        if not condition:
            raise cls(message)


class EdgeModelError(SSDEdgeError):
    """A model file, or what was asked of a model, is not valid; nothing has changed."""


class DataError(SSDEdgeError):
    """A data set cannot be read or does not fit."""


class OptionError(SSDEdgeError):
    """An option's value breaks a rule."""


class DataWarning(UserWarning):
    """Something in a file was left out, or taken for what it may not be."""


class ScaleWarning(DataWarning):
    """Samples whose values are far from those that the model was trained on, or were brought there.

    ``kind`` says in which way, the same for all samples that are wrong alike.
    """

    def __init__(self, message: str, kind: str = "") -> None:
        super().__init__(message)
        self.kind = kind


class FewSamplesWarning(UserWarning):
    """A class has been shown too few times to be answered."""


def first_line(error: Exception) -> str:
    """The first line of what a library raised, cut to a length that fits a message."""
    lines = str(error).strip().splitlines()
    return lines[0][:300] if lines else type(error).__name__


class MissingExtraError(SSDEdgeError):
    """An optional dependency is not installed."""

    def __init__(self, feature: str, extra: str = "train") -> None:
        super().__init__(f"{feature} needs the [{extra}] extra: pip install 'ssd-edge[{extra}]'")
