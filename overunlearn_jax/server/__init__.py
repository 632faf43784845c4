"""A reference machine-learning service that predicts and forgets over HTTP: to attack, and to learn from.

A journal is written before anything changes; every answer is of exactly one version of the model; a deletion that was
acknowledged is done once, whatever is killed when. `overunlearn serve` starts it.

    tokens.py receipts.py      who may do what, and whose sample is whose
    bodies.py pictures.py      what comes in: limits, JSON, pixels
    inference.py requests.py   predictions and deletions; app.py: routes; openapi.py, schemas.py: their description
    journal.py versions.py     what is on disk; queue.py, payloads.py and lineage.py: its tables
    private.py                 who may read what is on disk
    core.py worker.py          the model that answers, and the thread that asks the gates and forgets

It is one process with one model. What a deployment has beside it (TLS, replicas, autoscaling, a registry of models,
traffic split between versions) is the work of KServe or of a platform of one's own, in front of a runtime such as the
one in experiments/serving/mlserver_runtime.py.
"""

import importlib.util as _import_util

for _name in ("starlette", "uvicorn", "orjson", "prometheus_client", "anyio"):
    if _import_util.find_spec(_name) is None:
        raise ImportError(f"the service needs {_name}: in the clone pip install -e '.[server]'")
