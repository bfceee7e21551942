"""nginx and HAProxy, which stand in front of our servers: with as little configuration as they need, or with ours."""

from __future__ import annotations

import os
import re
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.servers.zaqar import HOST, ServerFailed, ServerProcess, on_a_free_port, status_of

KINDS = ("nginx", "haproxy")
_ETC = Path(__file__).resolve().parents[2] / "etc"

# The least that a configuration has.
_DEFAULTS = {
    "nginx": "server {{ listen {host}:{port}; location / {{ proxy_pass http://{host}:{backend}; }} }}",
    "haproxy": """\
defaults
    mode http
    timeout connect 5s
    timeout client 30s
    timeout server 30s
frontend clients
    bind {host}:{port}
    default_backend servers
backend servers
    server one {host}:{backend}
""",
}
_SAMPLES = {"nginx": "nginx.conf.sample", "haproxy": "haproxy.cfg.sample"}
# nginx's own places are those of its package. The rest of its main file is a distribution's.
_NGINX = """\
daemon off;
pid {directory}/pid;
error_log stderr;
{user}
events {{}}
http {{
    access_log off;
    client_body_temp_path {directory}/body;
    proxy_temp_path {directory}/proxy;
    fastcgi_temp_path {directory}/fastcgi;
    uwsgi_temp_path {directory}/uwsgi;
    scgi_temp_path {directory}/scgi;
    {servers}
}}
"""


def _configuration(kind: str, port: int, backend: int, *, shipped: bool) -> str:
    if not shipped:
        return _DEFAULTS[kind].format(host=HOST, port=port, backend=backend)
    sample = (_ETC / _SAMPLES[kind]).read_text().replace("127.0.0.1:8888", f"{HOST}:{backend}")
    return re.sub(r"(listen |bind :)80\b", lambda found: f"{found[1].rstrip(':')}{HOST}:{port}", sample)


@contextmanager
def balancer(kind: str, directory: Path, backend: int, *, shipped: bool) -> Iterator[tuple[str, int]]:
    """Run nginx or HAProxy before the port ``backend`` of this machine; yield its address. Raises ServerFailed.

    ``shipped``: with the sample configuration in ``etc``, but for the addresses.
    """
    program = shutil.which(kind, path=f"{os.environ['PATH']}:/usr/sbin")
    if program is None:
        raise ServerFailed(f"{kind} is not installed (Debian packages nginx-light and haproxy)")
    directory.mkdir()
    file = directory / "conf"

    def start(port: int) -> ServerProcess:
        text = _configuration(kind, port, backend, shipped=shipped)
        command = [program, "-db", "-f", str(file)]
        if kind == "nginx":
            user = "user root;" if os.geteuid() == 0 else ""  # the directory of a test is its user's
            text = _NGINX.format(directory=directory, user=user, servers=text)
            command = [program, "-c", str(file), "-e", "stderr", "-p", str(directory)]
        file.write_text(text)
        return ServerProcess(kind, command, directory / "log")

    process, port = on_a_free_port(start, lambda port: status_of(HOST, port, "/") > 0)
    try:
        yield HOST, port
    finally:
        process.stop()
