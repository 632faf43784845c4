"""How a service behind a URL is asked, and how a deletion from it is undone."""

from dataclasses import dataclass

from experiments.config.fields import check_fields, setting
from overunlearn_jax.spelling import did_you_mean

DIALECTS = {  # with the forms that a request may have, the default first
    "v2": ("flat", "nested"),
    "v1": ("instances", "inputs"),
    "mlflow": ("inputs", "instances", "dataframe_split"),
    "hugging_face": (),
}
UNDO = ("snapshot", "command", "replica", "none")


@dataclass(frozen=True)
class ConnectionConfig:
    """A service behind --service_url: how it is asked, and how a deletion is undone."""

    dialect: str = setting(
        "v2",
        "v2: Open Inference Protocol (KServe, Triton, Seldon MLServer, OpenVINO); v1: KServe's first protocol and "
        "TensorFlow Serving; mlflow: /invocations; hugging_face: PNG in, labels with scores out; or "
        "my_module:my_function, which takes nothing and returns a dialect of your own: "
        "overunlearn_jax/services/http/dialects/own.py has an example",
    )
    model_name: str = setting("", "of the model on the server; v2 and v1 need it")
    model_version: str = setting("", "of the model on the server; empty: the server's choice")
    input_name: str = setting("", "of the model's input for images; empty: what the metadata say, or none")
    output_name: str = setting(
        "", "of the output that has probabilities, such as predict_proba of MLServer's scikit-learn runtime"
    )
    request_form: str = setting(
        "",
        "how a request holds images; "
        + ", ".join(f"{name}: {' or '.join(forms)}" for name, forms in DIALECTS.items() if forms)
        + "; empty: the first",
    )
    service_layout: str = setting(
        "", "of the images that the service takes; empty: what its metadata say, or NHWC", ("", "NHWC", "NCHW", "flat")
    )
    service_pixels: str = setting(
        "",
        "range of a pixel: unit is [0, 1], 8bit is 0 ... 255, signed is the data's own; empty: by the data type that "
        "the metadata say, or unit",
        ("", "unit", "8bit", "signed"),
    )
    token_env: str = setting("", "name of the environment variable that holds the service's token; not the token")
    token_file: str = setting("", "file that holds the service's token")
    request_timeout: float = setting(60.0, "seconds that one request may take to be answered", least=1e-3)
    service_retries: int = setting(
        5, "times that a request is sent again after 429, 502, 503, 504 or a broken connection", least=0
    )
    request_rate: float = setting(0.0, "requests a second, at most; 0: no limit", least=0)
    requests_in_flight: int = setting(4, "requests under way at a time", least=1)
    service_batch: int = setting(32, "images in a request", least=1)
    deletion_url: str = setting(
        "",
        "of the service that deletes, by the schema in overunlearn_jax/services/http/schema.md; empty: --service_url",
    )
    deletion_token_env: str = setting(
        "",
        "name of the environment variable that holds the token for --deletion_url; without one the service's token is "
        "sent there where it is the same host and port as --service_url, and none where it is another",
    )
    deletion_token_file: str = setting("", "file that holds the token for --deletion_url")
    deletion_pixels: str = setting(
        "unit", "of images in a deletion: numbers in [0, 1], or 8-bit ones", ("unit", "uint8")
    )
    deletion_timeout: float = setting(3600.0, "seconds that a deletion may take before it is given up", least=1e-3)
    undo: str = setting(
        "snapshot",
        "how a deletion is undone; snapshot: POST /snapshots before and /snapshots/ID/restore after it; command: "
        "--undo_command brings the service back; replica: --undo_command starts a fresh one for each deletion and "
        "prints its URL; none: requests cannot be compared, and an audit says so",
        UNDO,
    )
    undo_command: str = setting("", "of --undo=command and --undo=replica")

    def __post_init__(self) -> None:
        check_fields(self)
        if self.dialect not in DIALECTS and ":" not in self.dialect:
            raise ValueError(
                f"--dialect={self.dialect}: expected one of {', '.join(DIALECTS)}, or my_module:my_function"
                f"{did_you_mean(self.dialect, DIALECTS)}"
            )
        forms = DIALECTS.get(self.dialect, ())
        if self.request_form and self.request_form not in forms:
            raise ValueError(
                f"--request_form={self.request_form} with --dialect={self.dialect}: expected "
                f"{'one of ' + ', '.join(forms) if forms else 'none'}"
            )
        for flag in ("token", "deletion_token"):
            env, file = getattr(self, f"{flag}_env"), getattr(self, f"{flag}_file")
            if env and file:
                raise ValueError(
                    f"--{flag}_env={env} and --{flag}_file={file}: a service has one token, give one of the two"
                )
        if (self.deletion_token_env or self.deletion_token_file) and not self.deletion_url:
            raise ValueError(
                f"--deletion_token_env={self.deletion_token_env} --deletion_token_file={self.deletion_token_file}: "
                "expected --deletion_url, the service that it is for; that of --service_url is --token_env or "
                "--token_file"
            )
        needed = self.undo in ("command", "replica")
        if needed != bool(self.undo_command):
            raise ValueError(
                f"--undo={self.undo} {'needs' if needed else 'has no use for'} --undo_command: "
                f"{'give one' if needed else 'leave it out'}"
            )
