import pytest

from tests.services.http.fake_server import served


@pytest.fixture
def server():
    pytest.importorskip("httpx", reason="pip install -e '.[http]'")
    pytest.importorskip("tenacity", reason="pip install -e '.[http]'")
    with served() as (url, state):
        yield url, state
