"""Serves a model that forgets, over HTTP: a reference to attack and to learn from.

  overunlearn serve --dataset=digits --unlearning=first_order --taus=2e-2 --port=8080 --workdir=runs/serve

It trains or finds the victim that `overunlearn run` attacks with the same flags and its first seed, and answers by the
Open Inference Protocol, version 2 (POST /v2/models/model/infer) and 1 (POST /v1/models/model:predict). A deletion is
POST /deletions with a token; /openapi.json says all there is. Deletions are done one after the other by the method of
--unlearning, while predictions go on. WORKDIR/journal.sqlite3 has every request before anything changes: a service that
was killed does at its next start what it was at, once.

WORKDIR/tokens/NAME has a token for each of --owners and one for admin, who takes and restores snapshots: an audit needs
that one. WORKDIR/tokens.json has them all, with their roles; what is changed in it holds from the next start on.
Training samples are shared out among the owners; WORKDIR/owners/NAME.npz has what each handed in. With --receipts
nobody deletes what is not theirs; without, as in the paper, whatever is submitted is forgotten. Only the user who
starts the service may enter WORKDIR, and read what it writes.

It listens on this machine alone, without TLS: a deployment puts KServe or its own platform in front.
"""

if __name__ == "__main__":  # before all else is imported: Ctrl-C is one line from here on
    from experiments.command import start

    start("serve", "python -m experiments.serve")

import os
import sys
from pathlib import Path
from typing import Any

from absl import flags

from experiments.config import Config
from experiments.config import flags as config_flags
from experiments.run.devices import check_devices

# Those of experiments.main are the quickstart's.
DEFAULTS: dict[str, Any] = {"experiment": "serve", "workdir": "runs/serve", "seeds": (0,)}
LIMITS = {  # of `ServerSettings`, whose defaults they are
    "most_body": (32 << 20, "bytes of a request's body, at most"),
    "most_images": (1024, "images in one prediction, at most"),
    "most_samples": (4096, "samples in one deletion, at most"),
    "most_pending": (256, "deletions that wait, at most; further ones are answered 429"),
    "most_pending_per_owner": (0, "deletions of one owner that wait, at most; 0: an equal share of --most_pending"),
    "keep_versions": (8, "earlier versions of the model that are kept on disk beside those of snapshots"),
}
MAY_BE_0 = ("most_pending_per_owner", "keep_versions")


def define_flags() -> None:
    """Where it listens, who may ask, limits, and every setting of a run."""
    flags.DEFINE_string("host", "127.0.0.1", "address that it listens on")
    flags.DEFINE_integer("port", 8080, "port that it listens on; 0: a free one", lower_bound=0, upper_bound=65535)
    flags.DEFINE_list(
        "owners",
        ["alice", "bob"],
        "whose the training samples are: they are dealt out in turn; of two names, each has every second one",
    )
    flags.DEFINE_bool("receipts", False, "a deletion has to be of samples that its sender handed in")
    flags.DEFINE_bool("open_predictions", False, "predictions need no token")
    flags.DEFINE_string("served_name", "model", "in the paths of predictions")
    flags.DEFINE_integer(
        "from_version", None, "an earlier version to go on from: what later ones forgot is known again"
    )
    for name, (default, text) in LIMITS.items():
        flags.DEFINE_integer(name, default, text, lower_bound=0 if name in MAY_BE_0 else 1)
    config_flags.define_flags(DEFAULTS)


def main(arguments: list[str]) -> int:
    """Serves until SIGTERM or Ctrl-C."""
    if len(arguments) > 1:
        raise ValueError(f"unexpected arguments {arguments[1:]}: every setting is a --flag, see --help")
    config = _config()
    check_devices()
    from experiments.serving.service import opened  # after the flags: --help and wrong flags answer at once
    from overunlearn_jax.files import write_json
    from overunlearn_jax.server.private import private_files
    from overunlearn_jax.server.running import bound, serve, url_of
    from overunlearn_jax.server.settings import ServerSettings

    given = flags.FLAGS
    settings = ServerSettings(
        model_name=given.served_name,
        receipts=given.receipts,
        open_predictions=given.open_predictions,
        **{name: getattr(given, name) for name in LIMITS},
    )
    workdir = Path(config.run.workdir)
    with (
        bound(given.host, given.port) as socket,  # before anything is trained
        private_files(),
        opened(config, tuple(given.owners), settings, given.from_version) as service,
    ):
        url = url_of(socket)

        def tell() -> None:
            write_json(workdir / "server.json", {"url": url, "pid": os.getpid()})
            print(f"{url} serves {config.data.dataset}, version {service.version}; it forgets by {config.service.name}")
            print(
                f"tokens: {service.tokens}/NAME for NAME in {', '.join(service.holders)}\nlog: {service.log}",
                flush=True,
            )

        serve(service.app, socket, tell)
        (workdir / "server.json").unlink(missing_ok=True)
    if service.busy:  # the journal has it: a thread that still computes would hold the process
        sys.stdout.flush()
        os._exit(0)
    return 0


def _config() -> Config:
    config = config_flags.from_flags(flags.FLAGS, DEFAULTS, needs_classes=False)
    for flag, given in (("service", config.service.service), ("service_url", config.service.service_url)):
        if given:
            raise ValueError(
                f"--{flag}={given} has no weights to keep versions of: serve a --model with --unlearning; overunlearn "
                "audit takes services that are there already"
            )
    return config
