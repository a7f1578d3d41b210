"""A Prometheus of one's own, with a past: samples are pushed with the times that the caller gives them.

Contract: it is the real server of the local cluster's pins, in a folder of its own, gone at the end. The past comes in
by remote write (version 1: protobuf in snappy, both written here by hand, since samples of one series are nothing but
fixed-size records), which takes samples of any age within the out-of-order window.
"""

import ssl
import struct
import tempfile
import time
import urllib.error
import urllib.request
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import yaml
from numpy.typing import NDArray

from localcluster import DEFAULT_WAIT_SECONDS, binaries, build
from localcluster.errors import ClusterError
from localcluster.ports import free_ports
from localcluster.processes import Process, Processes

_START_SECONDS = DEFAULT_WAIT_SECONDS
_SAMPLES_A_REQUEST = 50_000
_SENDS = 3
"""Attempts to send a request. Prometheus 3.13 sometimes panics in its handler of remote write and closes the connection
without an answer; the protocol asks a sender to send such a request again."""
_SEND_AGAIN_SECONDS = 0.5
_ANSWER_SECONDS = 60.0
_LITERAL_BYTES = 65_536

Labels = Mapping[str, str]


class SecuredWeb(Protocol):
    """A server behind TLS: its web configuration, and how a client reaches it."""

    @property
    def file(self) -> Path: ...

    def context(self) -> ssl.SSLContext: ...


class PushedPrometheus:
    """One server; `url` is where it answers."""

    def __init__(
        self,
        folder: Path,
        *,
        scrape: Sequence[str] = (),
        scrape_seconds: float = 1.0,
        jobs: Sequence[Mapping[str, Any]] = (),
        rules: Sequence[Path] = (),
        flags: Sequence[str] = (),
        web: SecuredWeb | None = None,
    ) -> None:
        build.ensure_built(["prometheus"])
        self.port = free_ports(1)[0]
        self.url = f"http{'s' if web else ''}://127.0.0.1:{self.port}"
        self._context = web.context() if web else None
        self.headers: dict[str, str] = {}
        """Headers of `push`, for a server that asks for a user."""
        period = f"{round(scrape_seconds * 1000)}ms"
        config = folder / "prometheus.yaml"
        config.write_text(
            yaml.safe_dump(
                {
                    "global": {
                        "scrape_interval": period,
                        "scrape_timeout": period,
                        "evaluation_interval": period,
                    },
                    "rule_files": [str(file) for file in rules],
                    "storage": {"tsdb": {"out_of_order_time_window": "60d"}},
                    "scrape_configs": [
                        {
                            "job_name": "spillway",
                            "honor_labels": True,
                            "static_configs": [{"targets": list(scrape)}],
                        },
                        *map(dict, jobs),
                    ],
                }
            )
        )
        (folder / "logs").mkdir()
        self._processes = Processes(folder / "logs")
        self._process = Process(
            "prometheus",
            [
                str(binaries.find("prometheus")),
                f"--config.file={config}",
                f"--storage.tsdb.path={folder / 'data'}",
                "--storage.tsdb.retention.time=60d",
                f"--web.listen-address=127.0.0.1:{self.port}",
                "--web.enable-remote-write-receiver",
                "--log.level=warn",
                *([f"--web.config.file={web.file}"] if web else []),
                *flags,
            ],
        )

    def start(self) -> None:
        self._processes.start(self._process)
        deadline = time.monotonic() + _START_SECONDS
        while not self._ready():
            if self._processes.pid("prometheus") is None:
                raise ClusterError(f"Prometheus ended: {self._log()}")
            if time.monotonic() > deadline:
                raise ClusterError(f"Prometheus did not start: {self._log()}")
            time.sleep(0.05)

    def end(self) -> None:
        """As when it is lost; `start` brings it back with its data."""
        self._processes.end("prometheus", kill=True)

    def close(self) -> None:
        self._processes.close()

    def _log(self) -> str:
        """The end of its log; from the panic on, if there was one."""
        text = self._processes.log("prometheus").read_text()
        panicked = text.rfind("panic")
        return text[-4000:] if panicked < 0 else text[max(0, panicked - 500) :][:4000]

    def _ready(self) -> bool:
        try:
            with urllib.request.urlopen(f"{self.url}/-/ready", timeout=5, context=self._context) as answer:  # noqa: S310
                return bool(answer.status == 200)
        except urllib.error.HTTPError as error:
            with error:
                return error.code == 401
        except (urllib.error.URLError, OSError):
            return False

    def push(self, series: Sequence[tuple[Labels, NDArray[np.float64], NDArray[np.float64]]]) -> None:
        """Write samples: labels (with `__name__`), times in Unix seconds, values.

        Raises:
            ClusterError: the server refused them, or did not answer.
        """
        batch: list[bytes] = []
        samples = 0
        for labels, times, values in series:
            batch.append(_field(1, _time_series(labels, times, values)))
            samples += times.size
            if samples >= _SAMPLES_A_REQUEST:
                self._send(b"".join(batch))
                batch, samples = [], 0
        if batch:
            self._send(b"".join(batch))

    def _send(self, message: bytes) -> None:
        request = urllib.request.Request(  # noqa: S310  # loopback
            f"{self.url}/api/v1/write",
            data=_snappy(message),
            headers={
                "Content-Type": "application/x-protobuf",
                "Content-Encoding": "snappy",
                "X-Prometheus-Remote-Write-Version": "0.1.0",
                **self.headers,
            },
        )
        for attempt in range(1, _SENDS + 1):
            try:
                with urllib.request.urlopen(request, timeout=_ANSWER_SECONDS, context=self._context):  # noqa: S310  # loopback
                    return
            except urllib.error.HTTPError as error:
                with error:
                    raise ClusterError(f"Prometheus refused samples: {error.read().decode()[:500]}") from error
            except OSError as error:
                ended = self._processes.return_code("prometheus")
                if ended is not None or attempt == _SENDS:
                    said = f"{error!r}; Prometheus' return code is {ended}, its log: {self._log()}"
                    raise ClusterError(said) from error
            if "panic" in self._log():
                # The handler that panicked may hold a lock for ever, so that no later request is answered.
                self.end()
                self.start()
            time.sleep(_SEND_AGAIN_SECONDS)


@contextmanager
def prometheus_running(**options: Any) -> Iterator[PushedPrometheus]:  # noqa: ANN401  # those of the server
    """A server for the length of the block."""
    with tempfile.TemporaryDirectory(prefix="prometheus-") as folder:
        server = PushedPrometheus(Path(folder), **options)
        try:
            server.start()
            yield server
        finally:
            server.close()


def _time_series(labels: Labels, times: NDArray[np.float64], values: NDArray[np.float64]) -> bytes:
    head = b"".join(
        _field(1, _field(1, name.encode()) + _field(2, text.encode())) for name, text in sorted(labels.items())
    )
    # Milliseconds since 1970 take six bytes as a varint until the year 2109, so all samples are of one size.
    millis = np.round(times * 1000).astype(np.uint64)
    if times.size and not (millis.min() >= 1 << 35 and millis.max() < 1 << 42):
        raise ValueError("times are Unix seconds between 1971 and 2109")
    records = np.empty((times.size, 18), dtype=np.uint8)
    records[:, 0:3] = (0x12, 16, 0x09)
    records[:, 3:11] = values.astype("<f8").view(np.uint8).reshape(-1, 8)
    records[:, 11] = 0x10
    for index in range(6):
        more = 0x80 if index < 5 else 0
        records[:, 12 + index] = ((millis >> np.uint64(7 * index)) & np.uint64(0x7F)).astype(np.uint8) | more
    return head + records.tobytes()


def _field(number: int, content: bytes) -> bytes:
    return _varint(number << 3 | 2) + _varint(len(content)) + content


def _varint(value: int) -> bytes:
    out = bytearray()
    while value > 0x7F:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    out.append(value)
    return bytes(out)


def _snappy(data: bytes) -> bytes:
    """Snappy's block format, with nothing compressed: literals alone."""
    parts = [_varint(len(data))]
    for first in range(0, len(data), _LITERAL_BYTES):
        literal = data[first : first + _LITERAL_BYTES]
        parts += [b"\xf4", struct.pack("<H", len(literal) - 1), literal]
    return b"".join(parts)
