"""A fuzzer of OpenAPI services finds nothing, where one is installed: SCHEMATHESIS names it, or PATH has it."""

import os
import shutil
import subprocess

import pytest

pytest.importorskip("overunlearn_jax.server", exc_type=ImportError)

from overunlearn_jax.server.settings import ServerSettings
from tests.server.small_service import BOSS, running

PROGRAM = os.environ.get("SCHEMATHESIS") or shutil.which("schemathesis") or ""
# Of what the schema allows, not all is taken: as many labels as images, as many values as the shape says.
CHECKS = (
    "not_a_server_error,status_code_conformance,content_type_conformance,response_headers_conformance,"
    "response_schema_conformance,negative_data_rejection,unsupported_method,ignored_auth"
)


@pytest.mark.skipif(not PROGRAM, reason="needs pip install schemathesis, or SCHEMATHESIS")
def test_nothing_that_a_fuzzer_sends_is_answered_wrongly(tmp_path):
    with running(tmp_path, ServerSettings(most_pending=10**6)) as made:
        done = subprocess.run(
            [
                *(PROGRAM, "run", f"{made.client.url}/openapi.json", "--checks", CHECKS, "--max-time", "20"),
                *("--header", f"Authorization: Bearer {BOSS}", "--warnings", "off", "--continue-on-failure"),
            ],
            cwd=tmp_path,
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )
        assert done.returncode == 0, done.stdout[-4000:]
        text = made.client.send("GET", "/metrics").body
        assert not [
            line for line in text.splitlines() if line.startswith("http_requests_total") and 'status="5' in line
        ]
