"""Flags that ask for the optional parts."""

from absl import flags

NAMES = ("robustness", "robustness_retrained", "robustness_samples", "seconds", "costs", "digests")


def define_flags() -> None:
    """One for each part, and what a part needs to know."""
    flags.DEFINE_bool(
        "robustness",
        False,
        "measure robustness, calibration and knowledge near forgotten samples, too (robustness.jsonl)",
    )
    flags.DEFINE_bool("robustness_retrained", False, "with --robustness: of a retrained model, too, a training a seed")
    flags.DEFINE_integer("robustness_samples", 500, "with --robustness: test images of class A, and of others", 1)
    flags.DEFINE_bool(
        "seconds",
        False,
        "take the time that defences add to an honest deletion, too, with nothing running beside (seconds.jsonl)",
    )
    flags.DEFINE_bool("costs", False, "count what requests cost the server by method and of SISA, too (costs.jsonl)")
    flags.DEFINE_bool("digests", False, "measure what stored digests give away, too (digests.jsonl)")
