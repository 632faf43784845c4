"""`--service_url=URL`: the service that the flags describe, with its token, dialect, deletion and undo."""

import contextlib
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from experiments.config import Config, ConnectionConfig
from overunlearn_jax.services.http import (
    BySubmission,
    ClientSettings,
    HttpClient,
    HttpService,
    HuggingFace,
    Mlflow,
    NoUndo,
    OpenInference,
    Replica,
    Secret,
    Snapshot,
    TensorFlowServing,
    UndoCommand,
    token_from,
)
from overunlearn_jax.services.http.deletion import Polling
from overunlearn_jax.services.http.dialects import Dialect
from overunlearn_jax.services.http.undo import Undo
from overunlearn_jax.types import DatasetSpec
from overunlearn_jax.user_code import import_named, running


@contextmanager
def connected(config: Config, spec: DatasetSpec, directory: Path | None) -> Iterator[HttpService]:
    """The service, for as long as the block lasts.

    `directory` is where the id of an open snapshot is kept; None: nowhere. Raises ValueError for a token, a URL, a
    dialect or metadata that are wrong, and OSError where nobody answers.
    """
    own, url = config.connection, config.service.service_url
    token = token_from(env=own.token_env, file=own.token_file)
    settings = ClientSettings(
        timeout=own.request_timeout,
        retries=own.service_retries,
        rate=own.request_rate,
        in_flight=own.requests_in_flight,
        batch_size=own.service_batch,
    )
    client = HttpClient(url, token=token, settings=settings)
    deletions = _deletions(own, client, token) if own.deletion_url else None
    _warn(client)
    if deletions:
        _warn(deletions)
    with contextlib.ExitStack() as stack:
        stack.callback(client.close)
        service = HttpService(
            spec,
            client,
            dialect_of(own),
            layout=own.service_layout,
            pixel_range=own.service_pixels,
            deletion=BySubmission(eight_bit=own.deletion_pixels == "uint8"),
            undo=_undo(own, directory),
            deletions=deletions,
            polling=Polling(longest=own.deletion_timeout),
        )
        stack.callback(service.close)
        yield service


def dialect_of(config: ConnectionConfig) -> Dialect:
    """The dialect that the flags name, one of the user's own included."""
    name, model, version = config.dialect, config.model_name, config.model_version
    form, fields = config.request_form, {"input_name": config.input_name, "output": config.output_name}
    if name == "v2":
        return OpenInference(model, version=version, nested=form == "nested", **fields)
    if name == "v1":
        return TensorFlowServing(model, version=version, by_columns=form == "inputs", **fields)
    if name == "mlflow":
        return Mlflow(form or "inputs")
    if name == "hugging_face":
        return HuggingFace()
    make = import_named(name, "--dialect=")
    with running(f"--dialect={name}", "my_function()"):
        made = make()
    missing = [each for each in ("describe", "to_request", "from_response") if not callable(getattr(made, each, None))]
    missing += [] if hasattr(made, "images_per_request") else ["images_per_request"]
    if missing:
        raise ValueError(f"--dialect={name} returned a {type(made).__name__} without {', '.join(missing)}")
    dialect: Dialect = made
    return dialect


def _warn(client: HttpClient) -> None:
    if client.exposes_token:
        print(f"WARNING: the token travels to {client.url} unencrypted: use https", file=sys.stderr, flush=True)


def _deletions(own: ConnectionConfig, client: HttpClient, token: Secret | None) -> HttpClient:
    """The client of --deletion_url: with its own token, or with the service's where both are at one origin."""
    given = token_from(env=own.deletion_token_env, file=own.deletion_token_file, flag="deletion_token")
    without = HttpClient(own.deletion_url, settings=client.settings)
    if given is None and without.origin == client.origin:
        given = token
    return HttpClient(own.deletion_url, token=given, settings=client.settings) if given else without


def _undo(config: ConnectionConfig, directory: Path | None) -> Undo:
    match config.undo:
        case "command":
            return UndoCommand(config.undo_command)
        case "replica":
            return Replica(config.undo_command, on_start=_warn)
        case "none":
            return NoUndo()
    return Snapshot(directory)
