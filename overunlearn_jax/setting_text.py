"""Settings as text, `name=value,name=value`: of unlearning methods, and of defences."""

import inspect
from typing import Any


def read_settings(text: str) -> dict[str, str]:
    """`"steps=50,weight=0.9"` as a dict. Raises ValueError for a part that is no setting, or one given twice.

    Examples:
      >>> read_settings("steps=50, weight=0.9")
      {'steps': '50', 'weight': '0.9'}
    """
    settings: dict[str, str] = {}
    for part in filter(None, (part.strip() for part in text.split(","))):
        key, equals, value = (piece.strip() for piece in part.partition("="))
        if not equals or not key or not value or key in settings:
            raise ValueError(f"settings are {text!r}: {part!r} is wrong; expected name=value,name=value, each once")
        settings[key] = value
    return settings


def read_value(whose: str, key: str, text: str, default: Any) -> Any:
    """The value of a setting, of the type of its default: float where that is None or there is none.

    Raises:
      ValueError: a text that is none; the message says whose setting it is.

    Examples:
      >>> read_value("retrain", "epochs", "50", 30)
      50
    """
    kind = float if default in (None, inspect.Parameter.empty) else type(default)
    try:
        if kind is bool:
            return {"true": True, "false": False}[text.lower()]
        return kind(text)
    except (ValueError, KeyError) as error:
        raise ValueError(f"{whose} cannot read {key}={text}: expected {kind.__name__}, as in {default}") from error
