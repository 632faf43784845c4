"""What a run is made of beside its flags: a user's own code and data, which may change under the same names."""

import hashlib
import inspect
import sys
from pathlib import Path

from experiments.config import Config
from experiments.trained import digest_of, load_trained
from overunlearn_jax import data
from overunlearn_jax.user_code import import_named


def sources_of(config: Config) -> dict[str, str]:
    """Digests of the user's own code and data, by the flag that names them; empty where all is this package's.

    Weights that were trained elsewhere count, whatever loads them. Code counts with the source files of the named
    module and of the function itself: helpers that they import are not seen. Data count where they are a path; a data
    set's name stands for its version.
    """
    found = {flag: of_code(flag, name) for flag in ("unlearning", "model") if ":" in (name := getattr(config, flag))}
    if config.trained:
        found["trained"] = digest_of(load_trained(config.trained))
    if data.is_path(config.dataset):
        found["dataset"] = data.digest(
            data.load(config.dataset, seed=config.seeds[0], image_size=config.image_size or None)
        )
    return found


def changed_since(noted: dict[str, str], now: dict[str, str]) -> list[str]:
    """The flags whose code or data are others than those noted; what was not noted then may be anything."""
    return [flag for flag, digest in now.items() if noted.get(flag, digest) != digest]


def of_code(flag: str, name: str) -> str:
    """A digest of the source files that `--flag=my_module:my_function` names."""
    function = import_named(name, f"--{flag}=")
    files = dict.fromkeys(map(_file_of, (sys.modules[name.partition(":")[0]], function)))
    hasher = hashlib.blake2b(digest_size=8)
    for file in filter(None, files):
        hasher.update(Path(file).read_bytes())
    return hasher.hexdigest()


def _file_of(thing: object) -> str | None:
    try:
        return inspect.getsourcefile(inspect.unwrap(thing))  # type: ignore[arg-type]
    except TypeError:  # built in, or an object that is neither module, class nor function
        return None
