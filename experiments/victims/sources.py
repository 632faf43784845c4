"""What a run is made of beside its flags: a user's own code and data, which may change under the same names."""

from experiments.config import Config
from experiments.requests.settings import load_splits
from experiments.victims.trained import load_trained
from overunlearn_jax import data
from overunlearn_jax.defences.registry import read_gate, split_gates
from overunlearn_jax.services.fingerprint import weights_digest
from overunlearn_jax.user_code import source_digest


def sources_of(config: Config) -> dict[str, str]:
    """Digests of the user's own code and data, by the flag that names them; empty where all is this package's.

    Weights that were trained elsewhere count, whatever loads them. Code counts with the source files of the named
    module and of the function itself: helpers that they import are not seen. Data count where they are a path; a data
    set's name stands for its version.
    """
    named = {"unlearning": config.service.unlearning, "model": config.victim.model}
    found = {flag: source_digest(name, f"--{flag}=") for flag, name in named.items() if ":" in name}
    own_gates = [read_gate(each)[0] for each in split_gates(config.defences.gates) if ":" in each]
    if own_gates:
        found["gates"] = " ".join(source_digest(name, "--gates=") for name in own_gates)
    if config.victim.trained:
        found["trained"] = weights_digest(load_trained(config.victim.trained))
    if data.is_path(config.data.dataset):
        found["dataset"] = data.digest(load_splits(config, config.run.seeds[0]))
    return found
