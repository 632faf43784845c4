"""What a service behind a URL reveals, the search that fits, and what an audit of it would cost.

  overunlearn probe https://models.example --dialect=v2 --model_name=digits --token_env=MODEL_TOKEN --dataset=digits

Asks a few hundred queries around test images of --dataset, and deletes nothing.
"""

if __name__ == "__main__":  # before all else is imported: Ctrl-C is one line from here on
    from experiments.command import start

    start("probe", "python -m experiments.probe")

from absl import flags

from experiments.config import flags as config_flags


def define_flags() -> None:
    """Every setting of a run, of which the data and the connection are read."""
    config_flags.define_flags()


def main(arguments: list[str]) -> None:
    """Prints what the service reveals. Raises ValueError for wrong flags and for a service that answers nothing."""
    if len(arguments) == 2 and not flags.FLAGS.service_url:
        flags.FLAGS["service_url"].parse(arguments[1])
    elif len(arguments) > 1 or not flags.FLAGS.service_url:
        raise ValueError(f"given {arguments[1:]}; expected one URL, as in overunlearn probe https://models.example")
    config = config_flags.from_flags(flags.FLAGS)
    from experiments.requests.settings import classes_of, load_splits  # after the flags: wrong ones answer at once
    from experiments.victims.over_http import connected
    from overunlearn_jax.auditing.recommending import recommend
    from overunlearn_jax.auditing.revealing import probe
    from overunlearn_jax.black_box import BlackBox
    from overunlearn_jax.data import request_size

    splits = load_splits(config, 0)
    class_a = classes_of(config.data, config.attack, splits.spec).a
    with connected(config, splits.spec, None) as service:
        found = probe(BlackBox(splits.spec, service.predict), splits.test.images)
        print(f"{service.client.url}: {service.description.words}\n{found}")
        print(f"* sent: {service.sent}")
    advice = recommend(found, splits.spec)
    samples = request_size(splits.train, class_a, max(config.attack.fractions))
    print("the search that fits, as --search=auto takes it:", *(f"* {line}" for line in advice.why), sep="\n")
    print(f"* {advice.search}")
    print(f"an audit pushes {advice.cost(samples)} a seed")
