"""What is true of each unlearning method before any of them is imported: flags and pages read it without JAX.

registry.py says all that a new method needs.
"""

from typing import NamedTuple

from overunlearn_jax.spelling import did_you_mean


class MethodFacts(NamedTuple):
    """One method, by what its callers have to know."""

    about: str
    needs_retained: bool = True  # it cannot do without training data that stays
    has_rates: bool = False  # its strength is a rate tau, and the paper has several readings of it
    has_scope: bool = True  # which parameters it changes can be chosen
    trains: bool = False  # it trains models anew, and has to know how the victim was trained
    prepares: bool = False  # the victim itself is trained for it


USER_METHOD = MethodFacts("a function of the user's own", has_scope=False)  # given what it may need
METHOD_FACTS = {
    "first_order": MethodFacts("one gradient step, Warnecke et al., NDSS 2023", needs_retained=False, has_rates=True),
    "fine_tuning": MethodFacts("training on the request under random labels, as in the paper", needs_retained=False),
    "gradient_ascent": MethodFacts(
        "the negative gradient of Golatkar et al., CVPR 2020, bounded", needs_retained=False
    ),
    "influence": MethodFacts("a Newton step, Guo et al., ICML 2020"),
    "neg_grad_plus": MethodFacts("ascent beside descent, Kurmanji et al., NeurIPS 2023"),
    "random_labels": MethodFacts("random labels beside retained data, Golatkar et al., CVPR 2020"),
    "salun": MethodFacts("random labels on salient weights, Fan et al., ICLR 2024"),
    "selective_dampening": MethodFacts("weights shrunk, Foster et al., AAAI 2024"),
    "scrub": MethodFacts("a student unlike its teacher, Kurmanji et al., NeurIPS 2023"),
    "retain_tuning": MethodFacts("further training on what stays, Golatkar et al., CVPR 2020"),
    "retrain": MethodFacts("training from scratch on what stays: the yardstick", has_scope=False, trains=True),
    "sisa": MethodFacts(
        "shards and slices, Bourtoule et al., IEEE S&P 2021", has_scope=False, trains=True, prepares=True
    ),
}


def facts_of(method: str) -> MethodFacts:
    """Of a method of METHOD_FACTS, or of the user's `my_module:my_function`. Raises ValueError for another name."""
    if ":" in method:
        return USER_METHOD
    if method not in METHOD_FACTS:
        raise ValueError(
            f"unlearning is {method!r}; expected my_module:my_function or one of {', '.join(METHOD_FACTS)}"
            f"{did_you_mean(method, METHOD_FACTS)}"
        )
    return METHOD_FACTS[method]
