"""The university's gateway in front of the four services: a real nginx with the configuration that is deployed."""

import re
import shutil
from collections.abc import Mapping
from pathlib import Path

from deploy.local.errors import LocalStackError
from deploy.local.processes import Program

TEMPLATE = Path(__file__).resolve().parents[1] / "gateway" / "gateway.conf.template"
_MAIN = """
worker_processes 1;
daemon off;
pid {folder}/nginx.pid;
error_log {folder}/error.log warn;
events {{ worker_connections 512; }}
http {{
    access_log off;
    client_body_temp_path {folder}/body;
    proxy_temp_path {folder}/proxy;
    fastcgi_temp_path {folder}/fastcgi;
    uwsgi_temp_path {folder}/uwsgi;
    scgi_temp_path {folder}/scgi;
    include {folder}/gateway.conf;
}}
"""


def program(folder: Path, listen: str, upstreams: Mapping[str, str]) -> Program:
    """nginx with the deployed template filled in. Raises LocalStackError when nginx is not installed."""
    nginx = shutil.which("nginx", path="/usr/sbin:/usr/local/sbin:/usr/bin:/usr/local/bin:/opt/homebrew/bin")
    if nginx is None:
        raise LocalStackError("GATEWAY=1 needs nginx: install it (the package is called nginx), or leave GATEWAY out.")
    folder.mkdir(parents=True, exist_ok=True)
    values = {"GATEWAY_LISTEN": listen} | {f"{name.upper()}_UPSTREAM": where for name, where in upstreams.items()}
    filled = re.sub(r"\$\{([A-Z_]+)\}", lambda match: values[match[1]], TEMPLATE.read_text(encoding="utf-8"))
    (folder / "gateway.conf").write_text(filled, encoding="utf-8")
    (folder / "nginx.conf").write_text(_MAIN.format(folder=folder.resolve()), encoding="utf-8")
    command = [nginx, "-p", str(folder.resolve()), "-e", str(folder.resolve() / "error.log"), "-c",
               str(folder.resolve() / "nginx.conf")]  # fmt: skip
    return Program("gateway", command, folder.resolve())
