"""What a program with unittest cases may reach, beside Python's libraries: it uses a machine as scripts do.

It may start the environment's Python and the system's commands, which run behind the same layers, and signal processes
where it sees only its own. It finds files that belong to packages (fonts, types of files, nltk's data), no others.
"""

from __future__ import annotations

import os
from collections.abc import Sequence

from raysweep.execution.isolation.layers import Access
from raysweep.execution.isolation.seccomp import Starts

NLTK_DATA = "nltk_data"
"""The folder of an environment in which nltk's data is found."""
_IN_ENVIRONMENT = ("bin", "share", "etc/fonts", "ssl/certs", "ssl/cert.pem", "ssl/openssl.cnf", NLTK_DATA, "pyvenv.cfg")
_CERTIFICATES = (  # and OpenSSL's settings, wherever distributions have them; keys lie in folders beside them
    "/etc/ssl/certs", "/etc/ssl/cert.pem", "/etc/ssl/ca-bundle.pem", "/etc/ssl/openssl.cnf", "/etc/ssl/openssl.cnf.d",
    "/etc/pki/tls/certs", "/etc/pki/tls/openssl.cnf", "/etc/pki/tls/openssl.d", "/etc/pki/ca-trust/extracted",
    "/etc/crypto-policies", "/etc/ca-certificates/extracted", "/var/lib/ca-certificates",
)  # fmt: skip
_CGROUP = ("cpu.max", "cpu/cpu.cfs_quota_us", "cpu/cpu.cfs_period_us", "memory.max", "memory/memory.limit_in_bytes")
_READABLE = (
    "/usr/share", "/usr/local/share", "/usr/include", "/etc/fonts", "/etc/mime.types", "/etc/localtime", "/etc/passwd",
    "/etc/group", "/sys/devices/system/cpu", *_CERTIFICATES, *(f"/sys/fs/cgroup/{name}" for name in _CGROUP),
)  # fmt: skip
_EXECUTABLE = ("/bin", "/usr/bin", "/usr/local/bin", "/lib", "/lib64", "/usr/lib", "/usr/lib64")


def access(prefixes: Sequence[str], python: str) -> Access:
    """Return what programs of an environment may reach. `python`: its interpreter, as it was started."""
    own = [f"{prefix}/{name}" for prefix in prefixes for name in _IN_ENVIRONMENT]
    executable = [*_EXECUTABLE, *(f"{prefix}/bin" for prefix in prefixes), os.path.realpath(python)]
    return Access([*own, *_READABLE], executable, Starts.PATHS | Starts.PROCESSES | Starts.SCRIPTS, libraries=True)


def variables(prefixes: Sequence[str]) -> dict[str, str]:
    """Return what the environment's variables say, beside those of every slot."""
    return {
        "PATH": ":".join([*(f"{prefix}/bin" for prefix in prefixes), "/usr/bin", "/bin"]),
        "TZ": "UTC",
        "MPLBACKEND": "Agg",
        "NLTK_DATA": f"{prefixes[0]}/{NLTK_DATA}",
        "TF_CPP_MIN_LOG_LEVEL": "3",
        "TF_ENABLE_ONEDNN_OPTS": "0",  # as BigCodeBench has it: without, sums are added in another order
        "CUDA_VISIBLE_DEVICES": "",
        "GIT_CONFIG_NOSYSTEM": "1",
    }
