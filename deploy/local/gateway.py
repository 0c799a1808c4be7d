"""The university's gateway in front of the four services: a real nginx with the configuration that is deployed."""

import os
import re
import shutil
from collections.abc import Mapping
from pathlib import Path

from deploy.local.errors import LocalStackError
from deploy.local.processes import Program

#: Where packages put nginx; /usr/sbin stands on few paths.
FOLDERS = "/usr/sbin:/usr/local/sbin:/usr/bin:/usr/local/bin:/opt/homebrew/bin"
GATEWAY = Path(__file__).resolve().parents[1] / "gateway"
#: One machine sends the requests of all people here, so nothing is limited by its address.
SETTINGS = {
    "GATEWAY_NAME": "localhost",
    "GATEWAY_RESOLVER": "127.0.0.1",
    "GATEWAY_REQUESTS_PER_SECOND": "100000",
    "GATEWAY_BURST": "100000",
    "GATEWAY_CALLBACKS_PER_SECOND": "100000",
    "GATEWAY_CALLBACK_BURST": "100000",
    "GATEWAY_CONNECTIONS": "10000",
    "GATEWAY_BODY_SIZE": "2m",
    "GATEWAY_DOCUMENT_SIZE": "25m",
}


def nginx() -> str:
    """The nginx of this machine, or the one that NGINX names. Raises LocalStackError without one."""
    named = os.environ.get("NGINX", "")
    found = shutil.which(named or "nginx", path=os.environ.get("PATH", "") if named else FOLDERS)
    if found is None:
        raise LocalStackError(
            f"GATEWAY=1 needs nginx, and {named or 'nginx'} is not there: install it (the package is called nginx), or "
            "name it in NGINX, or leave GATEWAY out."
        )
    return found


def program(
    folder: Path,
    listen: str,
    upstreams: Mapping[str, str],
    settings: Mapping[str, str] | None = None,
    templates: tuple[str, ...] = ("gateway.conf",),
) -> Program:
    """nginx with the deployed templates filled in; without `tls.conf` it listens in clear.

    `settings` overrides SETTINGS. Raises LocalStackError when nginx is not installed.
    """
    folder = folder.resolve()
    (folder / "conf.d").mkdir(parents=True, exist_ok=True)
    values = {
        **SETTINGS,
        "GATEWAY_LISTEN": listen,
        **{f"{name.upper()}_UPSTREAM": address for name, address in upstreams.items()},
        **(settings or {}),
    }
    for template in templates:
        text = (GATEWAY / f"{template}.template").read_text(encoding="utf-8")
        filled = re.sub(r"\$\{([A-Z_]+)\}", lambda match: values[match[1]], text)
        (folder / "conf.d" / template).write_text(_moved(filled, folder), encoding="utf-8")
    main = (GATEWAY / "nginx.conf").read_text(encoding="utf-8")
    (folder / "nginx.conf").write_text(_moved(main, folder), encoding="utf-8")
    command = [nginx(), "-p", str(folder), "-e", "stderr", "-c", str(folder / "nginx.conf"), "-g", "daemon off;"]
    return Program("gateway", command, folder)


def _moved(text: str, folder: Path) -> str:
    """The configuration with the container's folders below `folder`. Both logs go to the log of the process."""
    return text.replace("/tmp/", f"{folder}/").replace("/etc/nginx/", f"{folder}/")
