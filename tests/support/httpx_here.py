"""How httpx behaves in the process of the tests: patient, and with the public authorities read once.

It reads a hundred and forty of them for each client that is made, 20 to 40 ms of work, and the tests make thousands.
"""

import functools
import inspect
import os
import ssl
from typing import Any

import httpx
from httpx._transports import default  # no public way to set what a client without `verify` trusts

SECONDS = 60.0
"""By itself it waits five for anything, and a machine with other things to do may stall for longer."""


def prepare(trust_variables: frozenset[str]) -> None:
    """Once per process. Where one of the variables is set, a client reads what it names, as ever."""
    for phase in ("connect", "read", "write", "pool"):
        setattr(inspect.signature(httpx.Client).parameters["timeout"].default, phase, SECONDS)

    made: Any = default.create_ssl_context  # type: ignore[attr-defined]  # imported there, not exported

    @functools.cache
    def public() -> ssl.SSLContext:
        context: ssl.SSLContext = made()
        return context

    def create_ssl_context(verify: Any = True, cert: Any = None, trust_env: bool = True) -> Any:
        if verify is True and cert is None and not trust_variables & os.environ.keys():
            return public()
        return made(verify=verify, cert=cert, trust_env=trust_env)

    default.create_ssl_context = create_ssl_context  # type: ignore[attr-defined]  # see above
