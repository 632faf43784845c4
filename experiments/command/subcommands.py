"""The sub-commands: what each does, in the words of its help, and the module behind it."""

from typing import NamedTuple

from experiments.command.interrupts import INTERRUPTED, NO_VERDICT, STOPPED

RESUMES = (
    "Flags after a flagfile override it. A run may be stopped or killed at any time: the same command goes on where it "
    "was."
)


class Subcommand(NamedTuple):
    """A program: a module with `define_flags()` and `main(arguments)`, started by `launch`.

    `main` gets the arguments that are no flags, and may return an exit status.
    """

    name: str
    does: str  # one line
    module: str
    function: str = "main"
    about: tuple[str, ...] = ()  # further paragraphs of its help, before the flags
    examples: tuple[tuple[str, str], ...] = ()  # arguments, and what they do
    takes: str = ""  # arguments beside flags
    first: tuple[str, ...] = ()  # flags that most people need
    notes: tuple[str, ...] = ()  # paragraphs behind the flags
    failed: int = 1  # exit status of wrong flags and errors
    interrupted: int = INTERRUPTED  # exit status after Ctrl-C
    stopped: str = STOPPED  # what Ctrl-C prints
    keeps_memory: bool = True  # what it frees, which is faster; not where a process stays for months


RUN = Subcommand(
    "run",
    "Measures how much a malicious unlearning request makes a model forget.",
    "experiments.main",
    examples=(
        ("", "the quickstart, 3 minutes on 2 CPU cores"),
        ("--flagfile=experiments/flagfiles/cifar10_cpu.cfg --data_dir=FOLDER", "a named experiment"),
        (
            "--dataset=photos.npz --class_a=cat --class_b=dog --taus=1e-4,1e-3 --experiment=photos "
            "--workdir=runs/photos",
            "your own images",
        ),
        ("--config=WORKDIR/config.json", "an earlier run again"),
    ),
    first=(
        "dataset",
        "data_dir",
        "class_a",
        "class_b",
        "model",
        "trained",
        "width",
        "epochs",
        "unlearning",
        "method_settings",
        "taus",
        "attacks",
        "fractions",
        "search",
        "max_steps",
        "forgetting",
        "seeds",
        "experiment",
        "workdir",
        "force",
    ),
    notes=(RESUMES,),
)
AUDIT = Subcommand(
    "audit",
    "Fails a release whose unlearning can be made to forget too much.",
    "experiments.audit",
    about=(
        "Exit status 0: every malicious request is shown, at 95 % confidence, to cost its class and the other no more "
        "than --max_over_unlearning beyond an honest request of the same samples, of these test images. 1: one costs "
        "more, these seeds cannot tell, too few samples could be pushed, or an honest request changes nothing or costs "
        "more than --max_honest_cost. 2: there is no verdict, and an error says why.",
    ),
    examples=(
        (
            "--unlearning=my_service:forget --model=my_models:make --trained=my_models:load --dataset=photos.npz "
            "--class_a=cat --class_b=dog --max_over_unlearning=0.05 --seeds=0-4",
            "your own JAX model and method, in modules here or on PYTHONPATH",
        ),
        (
            "--service=my_service:MyService --dataset=photos.npz --class_a=cat --class_b=dog --seeds=0-4",
            "a service of any framework: predict, forget and reset",
        ),
        (
            "--service_url=https://models.example --dialect=v2 --model_name=digits --token_env=MODEL_TOKEN",
            "a service that is deployed, with deletion and snapshots over HTTP",
        ),
        ("--unlearning=sisa", "a method that is here, on scikit-learn's digits"),
    ),
    first=(
        "max_over_unlearning",
        "max_honest_cost",
        "service",
        "service_url",
        "unlearning",
        "method_settings",
        "model",
        "trained",
        "dataset",
        "data_dir",
        "class_a",
        "class_b",
        "taus",
        "attacks",
        "fractions",
        "search",
        "forgetting",
        "seeds",
        "workdir",
        "force",
    ),
    notes=(
        "WORKDIR/junit.xml says the verdict to a pipeline, WORKDIR/report.html to people.",
        "An audit that was stopped or killed goes on with the same command, unless the source file of --unlearning or "
        "--model, the weights of --trained or the data have changed: then it asks for another --workdir, or --force.",
        "Keep the functions of --unlearning and --model in two files: a change in the file of the model makes another "
        "victim, to be trained and pushed against anew.",
    ),
    failed=NO_VERDICT,
    interrupted=NO_VERDICT,
    stopped=STOPPED.replace("stopped", "stopped, and there is no verdict"),
)
PROBE = Subcommand(
    "probe",
    "Says what a deployed service reveals, and what an audit of it would cost.",
    "experiments.probe",
    about=(
        "Asks a few hundred queries and names the search that fits. URL is http://HOST:PORT or https://HOST. Nothing "
        "is deleted, and nothing is written.",
    ),
    examples=(
        ("https://models.example --model_name=digits --token_env=MODEL_TOKEN", "a service that speaks the v2 protocol"),
        ("http://localhost:5000 --dialect=mlflow --service_layout=flat", "MLflow's server"),
    ),
    takes="URL",
    first=("dialect", "model_name", "output_name", "token_env", "dataset", "data_dir", "class_a", "fractions"),
)
OF_THE_SCALE = "Networks, epochs, seeds and the workdir (runs/{}_cpu) are those of --scale, unless they are given."
SUITE_FIRST = ("scale", "dry_run", "data_dir", "workdir", "cache_dir", "seeds", "force")
PAPER = Subcommand(
    "paper",
    "Makes the paper's tables and figures.",
    "experiments.main",
    "paper",
    about=(
        "NAME is all, a table (table_04) or a figure (figure_03). Each study is run once, whoever needs it.",
        OF_THE_SCALE.format("paper"),
    ),
    examples=(
        ("table_04 --scale=cpu --data_dir=FOLDER", "one table, with networks that 2 CPU cores can train"),
        ("all --scale=cpu --data_dir=FOLDER --dry_run", "what all of them would cost"),
    ),
    takes="NAME",
    first=SUITE_FIRST,
    notes=("A setting that a table or figure fixes itself is refused.", RESUMES),
)
METHODS = Subcommand(
    "methods",
    "Compares the unlearning methods, each at several strengths, by five requests.",
    "experiments.main",
    "methods",
    about=("With METHODs, those alone.", OF_THE_SCALE.format("methods")),
    examples=(
        ("--scale=cpu --data_dir=FOLDER", "all of them"),
        ("scrub sisa --scale=cpu --data_dir=FOLDER", "two of them"),
        ("--dry_run", "what all of them would cost"),
    ),
    takes="[METHOD ...]",
    first=SUITE_FIRST,
    notes=("A setting that the grid of methods fixes itself is refused.", RESUMES),
)
VICTIMS = Subcommand(
    "victims",
    "Trains the victims of a run and attacks nothing: a run with the same flags and --cache_dir then finds them.",
    "experiments.victims.__main__",
    examples=(("--flagfile=experiments/flagfiles/victims_paper.cfg --data_dir=FOLDER", "those at the paper's sizes"),),
    first=("dataset", "data_dir", "cache_dir", "seeds", "model", "blocks", "width"),
    notes=(RESUMES,),
)
CONTROLS = Subcommand(
    "controls",
    "Compares a push with a longer honest step, and with honest requests as people make them.",
    "experiments.controls.__main__",
    examples=(("--data_dir=FOLDER --seeds=0-9", "ten victims of width 16 on prepared CIFAR-10"),),
    first=("methods", "honest_cost", "data_dir", "workdir", "cache_dir", "seeds", "width"),
    notes=(RESUMES,),
)
DEFENCES = Subcommand(
    "defences",
    "Compares defences, each against attackers who know it, and what each costs honest people.",
    "experiments.defences.__main__",
    examples=(("--data_dir=FOLDER --seeds=0-2", "three victims of width 16 on prepared CIFAR-10"),),
    first=("methods", "honest_cost", "data_dir", "workdir", "cache_dir", "seeds", "width"),
    notes=(RESUMES,),
)
CONTRIBUTORS = Subcommand(
    "contributors",
    "Trains on an attacker's samples and deletes them, also exactly: what that costs beyond honest deletions.",
    "experiments.defences.contributors.__main__",
    examples=(("--data_dir=FOLDER --seeds=0-2", "three seeds, 10,000 training images of prepared CIFAR-10"),),
    first=("held", "train_samples", "honest_cost", "data_dir", "workdir", "cache_dir", "seeds", "width", "epochs"),
    notes=(RESUMES,),
)
U_LIRA = Subcommand(
    "u_lira",
    "Trains models that know their data, has each forget half of some samples, and asks who can tell (U-LiRA, KLOM).",
    "experiments.u_lira.__main__",
    examples=(("--data_dir=FOLDER", "sixteen models of width 16 on 10,000 images of prepared CIFAR-10"),),
    first=(
        "methods",
        "models",
        "requested",
        "train_samples",
        "honest_cost",
        "data_dir",
        "workdir",
        "cache_dir",
        "epochs",
    ),
    notes=(RESUMES,),
)
CAMPAIGN = Subcommand(
    "campaign",
    "Harms whole runs at random, for as long as you like: kills, flipped bits, wrong flags, data and functions.",
    "experiments.campaign.__main__",
    examples=(
        ("--minutes=5 --seed=0", "all kinds of faults in turn"),
        ("--faults=kills --faults=flips --out=counts.json", "two of them, and a file of their counts"),
    ),
    notes=("Exit status 0: no defect. 1: there are some; their folders are kept in --workdir.",),
    stopped="stopped: what was found so far is in trials.jsonl",
)
ALONE = {
    each.name: each for each in (VICTIMS, CONTROLS, DEFENCES, CONTRIBUTORS, U_LIRA, CAMPAIGN)
}  # `python -m` and the module starts them
SERVE = Subcommand(
    "serve",
    "Serves a model that forgets over HTTP: a reference to attack and to learn from.",
    "experiments.serve",
    about=(
        "It trains or finds the victim that overunlearn run attacks with the same flags and its first seed. "
        "Predictions are the Open Inference Protocol's, version 2 and 1; /openapi.json says how samples are deleted.",
    ),
    examples=(
        ("", "scikit-learn's digits, forgotten by one gradient step"),
        (
            "--dataset=photos.npz --unlearning=scrub --port=0 --receipts --workdir=runs/photos",
            "nobody deletes what is not theirs; a free port, which WORKDIR/server.json names",
        ),
    ),
    first=(
        "host",
        "port",
        "workdir",
        "dataset",
        "data_dir",
        "unlearning",
        "method_settings",
        "taus",
        "fidelity",
        "model",
        "trained",
        "width",
        "epochs",
        "seeds",
        "owners",
        "receipts",
        "open_predictions",
        "most_body",
        "most_pending",
        "most_pending_per_owner",
        "keep_versions",
    ),
    notes=(
        "A service that was stopped or killed goes on with the same command: deletions that it had accepted are done "
        "then, each once.",
        "It needs pip install -e '.[server]', and listens without TLS: put a proxy or KServe in front.",
    ),
    stopped="stopped: deletions that were accepted are done at the next start",
    keeps_memory=False,
)
SUBCOMMANDS = {each.name: each for each in (RUN, AUDIT, PROBE, PAPER, METHODS, SERVE)}
