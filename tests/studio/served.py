"""`persam serve` over the colour stand-in, as a process of its own. Where it calls beyond this machine is written down.

python -m tests.studio.served FILE WORD...
"""

import ipaddress
import sys
from pathlib import Path
from typing import Any

from tests.colour import ColourBackbone

_CALLS = ("socket.connect", "socket.getaddrinfo", "socket.sendto")


def _watch(log: Path) -> None:
    def watch(event: str, details: tuple[Any, ...]) -> None:
        if event in _CALLS:
            place = details[0] if event == "socket.getaddrinfo" else details[1]
            host = place[0] if isinstance(place, tuple) else place
            if not _is_here(host):
                with log.open("a") as file:
                    file.write(f"{event} {place}\n")

    sys.addaudithook(watch)


def _is_here(host: object) -> bool:
    if not isinstance(host, str) or host.startswith("/"):
        return True  # a socket of the file system
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


if __name__ == "__main__":
    _watch(Path(sys.argv[1]))
    from persam import api
    from persam.cli.main import main

    api.load_backbone = lambda model, **_: ColourBackbone()  # type: ignore[assignment]
    sys.exit(main(sys.argv[2:]))
