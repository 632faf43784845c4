"""What users may type, store and write, right or wrong, by Hypothesis: command lines, data files, functions."""

from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np
from hypothesis import strategies as st

from experiments.config import DEFAULTS

# What counts work: larger numbers are no fault, and would take hours.
FREE = frozenset({"workdir", "cache_dir", "data_dir", "dataset", "service_timeout"})  # set by the trials, or harmless
MOST_WORK = 4
ODD = (
    *("", " ", "nan", "inf", "-inf", "1e400", "-1", "0", "1e-400", "0x10", "1_0", "1.5", "True", "none", "None"),
    *(
        "1,1",
        "1,,2",
        ",",
        "1-0",
        "0-3",
        "-",
        "--",
        "é",
        "\u202eabc",
        "a b",
        "a\nb",
        "../..",
        "/dev/null",
        "/proc/self/mem",
    ),
    *("%s", "$HOME", "'", '"', "<b>", "a:b", ":", "os:getcwd", "json:loads", "builtins:print", "a=b", "x" * 400, "🦋"),
    *("9" * 30, "18446744073709551616", "ant", "bee", "cat", "ANT", "0", "2", "ant # a note"),
)


def _is_cheap(flag: str, value: str) -> bool:
    """Whether a run with this value would end within seconds, if it is taken at all."""
    default = DEFAULTS[flag]
    kind = type(default[0] if isinstance(default, tuple) else default)
    if kind is not int:
        return True
    numbers = [part for part in value.replace("-", ",").split(",") if part.strip().isdigit()]
    return all(int(number) <= MOST_WORK or int(number) >= 1 << 64 for number in numbers)


@st.composite
def changed_flags(draw: st.DrawFn) -> dict[str, str]:
    """One to four flags with values of any kind."""
    names = draw(st.lists(st.sampled_from(sorted(DEFAULTS.keys() - FREE)), min_size=1, max_size=4, unique=True))
    values = st.one_of(
        st.sampled_from(ODD),
        st.integers(-2, 4).map(str),
        st.floats(allow_subnormal=False).map(str),
        st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"]), max_size=8),  # as a shell could pass
    )
    return {name: draw(values.filter(partial(_is_cheap, name))) for name in names}


@st.composite
def data_arrays(draw: st.DrawFn) -> dict[str, np.ndarray]:
    """The members of an .npz file: a right set of 48 images, with up to three things changed."""
    rng = np.random.default_rng(draw(st.integers(0, 9)))
    labels: Any = np.repeat(np.arange(3), 16)
    images: Any = rng.uniform(0, 1, (48, 8, 8, 1)).astype(np.float32)
    images[labels == 1, :4] *= 0.3
    images[labels == 2, 4:] *= 0.3
    arrays = {"images": images, "labels": labels, "class_names": np.array(["ant", "bee", "cat"])}
    for name in draw(st.lists(st.sampled_from(sorted(CHANGES)), max_size=3, unique=True)):
        try:
            arrays = CHANGES[name](dict(arrays))
        except (IndexError, KeyError, ValueError, TypeError):  # two changes that do not go together
            continue
    return arrays


def _with(name: str, make: Callable[[np.ndarray], Any]) -> Callable[[dict[str, Any]], dict[str, Any]]:
    return lambda arrays: arrays | {name: make(arrays[name])}


def _without(name: str) -> Callable[[dict[str, Any]], dict[str, Any]]:
    return lambda arrays: {key: value for key, value in arrays.items() if key != name}


def _holed(value: float) -> Callable[[np.ndarray], np.ndarray]:
    def hole(images: np.ndarray) -> np.ndarray:
        images = images.astype(np.float32)
        images[5, 2, 2] = value
        return images

    return hole


CHANGES: dict[str, Callable[[dict[str, Any]], dict[str, Any]]] = {
    "8 bits": _with("images", lambda images: (images * 255).astype(np.uint8)),
    "255 in floats": _with("images", lambda images: images * 255),
    "float16": _with("images", lambda images: images.astype(np.float16)),
    "float64": _with("images", lambda images: images.astype(np.float64)),
    "a NaN": _with("images", _holed(np.nan)),
    "infinity": _with("images", _holed(np.inf)),
    "negative": _with("images", _holed(-0.5)),
    "no channel": _with("images", lambda images: images[..., 0]),
    "colour": _with("images", lambda images: np.repeat(images, 3, -1)),
    "five channels": _with("images", lambda images: np.repeat(images, 5, -1)),
    "channels first": _with("images", lambda images: images.transpose(0, 3, 1, 2)),
    "constant": _with("images", lambda images: images * 0),
    "one pixel": _with("images", lambda images: images[:, :1, :1]),
    "wide": _with("images", lambda images: images[:, :4]),
    "no images": _with("images", lambda images: images[:0]),
    "objects": _with("images", lambda images: np.array([None] * len(images))),
    "complex": _with("images", lambda images: images.astype(np.complex64)),
    "fewer labels": _with("labels", lambda labels: labels[:-3]),
    "one-hot": _with("labels", lambda labels: np.eye(3)[labels]),
    "from 1": _with("labels", lambda labels: labels + 1),
    "minus": _with("labels", lambda labels: labels - 1),
    "huge": _with("labels", lambda labels: labels * 10**9),
    "floats": _with("labels", lambda labels: labels.astype(float)),
    "halves": _with("labels", lambda labels: labels + 0.5),
    "strings": _with("labels", lambda labels: np.array(["ant", "bee", "cat"])[labels]),
    "one class": _with("labels", lambda labels: labels * 0),
    "a class of one": _with("labels", lambda labels: np.where(np.arange(len(labels)) == 40, 0, np.minimum(labels, 1))),
    "names short": _with("class_names", lambda names: names[:2]),
    "names twice": _with("class_names", lambda names: np.array(["ant", "bee", "ant"])),
    "names odd": _with("class_names", lambda names: np.array(["ant", "b\ne<e>$", "../cat"])),
    "names numbers": _with("class_names", lambda names: np.arange(3)),
    "a stranger": lambda arrays: arrays | {"notes": np.arange(3)},
    "no labels": _without("labels"),
    "no pictures": _without("images"),
    "no names": _without("class_names"),
}

BODIES = (
    "return params",
    "return None",
    "return params.params",
    "raise KeyError('theirs')",
    "raise SystemExit(0)",
    "return jax.tree.map(lambda leaf: leaf * 0, params)",
    "return jax.tree.map(lambda leaf: leaf * jnp.nan, params)",
    "return jax.tree.map(lambda leaf: leaf[:1], params)",
    "return jax.tree.map(lambda leaf: leaf.astype(jnp.float16), params)",
    "return jax.tree.map(lambda leaf: 0.5 * leaf, params)",
    "request.images[:] = 0; return params",
    "return params, request",
    "return 'forgotten'",
    "yield params",
    "print('x' * 100000); return params",
    "import gone; return params",
    "import sys; sys.stderr.close(); return params",
)
SIGNATURES = ("params, request, key, retain=None", "params, request, key", "params, *rest, **named", "", "self")


@st.composite
def unlearning_functions(draw: st.DrawFn) -> str:
    """The source of a module with a function `forget`."""
    body, signature = draw(st.sampled_from(BODIES)), draw(st.sampled_from(SIGNATURES))
    return f"import jax\nimport jax.numpy as jnp\n\ndef forget({signature}):\n    {body}\n"
