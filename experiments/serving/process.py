"""`overunlearn serve` in a process of its own."""

import contextlib
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import TracebackType

STARTING = 600.0  # seconds, in which it may train


class Service:
    """A service that is started, stopped and killed.

    Args:
      workdir: its folder.
      flags: of `overunlearn serve`, beside --workdir and --port.
      environment: of its process; None: of this one.
    """

    def __init__(self, workdir: Path, flags: Sequence[str], environment: Mapping[str, str] | None = None):
        self.workdir, self._note = workdir, workdir / "server.json"
        workdir.mkdir(parents=True, exist_ok=True)
        self._note.unlink(missing_ok=True)
        self._output = open(workdir / "output.txt", "ab")  # noqa: SIM115  # closed with the process
        self._process = subprocess.Popen(
            [sys.executable, "-m", "experiments.serve", f"--workdir={workdir}", "--port=0", *flags],
            stdout=self._output,
            stderr=subprocess.STDOUT,
            env=dict(os.environ if environment is None else environment),
        )

    @property
    def pid(self) -> int:
        """Of its process."""
        return self._process.pid

    def url(self) -> str:
        """Waits until it answers. Raises RuntimeError where it ends before."""
        deadline = time.monotonic() + STARTING
        while time.monotonic() < deadline:
            with contextlib.suppress(OSError, ValueError):
                noted = json.loads(self._note.read_text())
                if noted["pid"] == self._process.pid:
                    return str(noted["url"])
            if self._process.poll() is not None:
                last = (self.workdir / "output.txt").read_text(errors="replace").splitlines()[-5:]
                raise RuntimeError(f"the service ended with status {self._process.returncode}: {' '.join(last)}")
            time.sleep(0.02)
        self.kill()
        raise RuntimeError(f"the service has not started within {STARTING:g} s")

    def kill(self) -> None:
        """SIGKILL: no chance to clean up."""
        self._end(signal.SIGKILL)

    def stop(self) -> int:
        """SIGTERM; returns its exit status."""
        return self._end(signal.SIGTERM)

    def _end(self, number: signal.Signals) -> int:
        if self._process.poll() is None:
            self._process.send_signal(number)
        status = self._process.wait(60)
        self._output.close()
        return status

    def __enter__(self) -> "Service":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()
