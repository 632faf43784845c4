import pytest

from tests.services.http.fake_server import served


@pytest.fixture
def server(needs_http):
    with served() as (url, state):
        yield url, state


@pytest.fixture
def needs_http():
    pytest.importorskip("httpx", reason="pip install -e '.[http]'")
    pytest.importorskip("tenacity", reason="pip install -e '.[http]'")
