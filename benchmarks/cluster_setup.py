"""Runs the set-up commands of the files of clusters/ in a clean Debian, plans the study and judges programs there.

    python benchmarks/cluster_setup.py FOLDER [--wheels WHEELS] [--only aws gcp on-premise kuberay]

It needs root, debootstrap, Debian's mirror and PyPI. FOLDER becomes the root of the Debian, which later runs take as it
is; delete it afterwards. Each file gets a new user there, who has PyPI's uv, so that uv's installer isn't fetched.
WHEELS is a folder with releases to take in place of PyPI's, such as torch without the gigabytes for GPUs. A new
environment with Debian's pip stands in for KubeRay's image. The commands see only their own processes and mounts, so
nothing stays mounted. The plan is made without the hub. Ends with 1 if a command fails; those after it aren't run.
"""

from __future__ import annotations

import argparse
import os
import shlex
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

import yaml
from packaging.utils import parse_wheel_filename

REPO = Path(__file__).parent.parent
RAY_UP = ("aws", "gcp", "on-premise")
PACKAGES = "ca-certificates,curl,python3,python3-venv"
INSIDE = """
mount -t proc proc {root}/proc && mount --rbind /dev {root}/dev && mount --bind -o ro {wheels} {root}/mnt
exec chroot {root} su - {user} -c "bash /home/{user}/commands"
"""


def main() -> None:
    """Make the Debian, and run each file's commands in it."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--wheels", type=Path)
    parser.add_argument("--only", nargs="+", default=[*RAY_UP, "kuberay"])
    options = parser.parse_args()
    root = options.folder.resolve()
    if not root.exists():
        subprocess.run(["debootstrap", "--variant=minbase", f"--include={PACKAGES}", "bookworm", root], check=True)
        for name in ("resolv.conf", "hosts", "ssl/certs"):  # how this machine reaches PyPI
            subprocess.run(["cp", "-rLT", f"/etc/{name}", root / "etc" / name], check=True)
    with tempfile.TemporaryDirectory() as folder:
        made = Path(folder)
        pip = [sys.executable, "-m", "pip"]
        subprocess.run([*pip, "wheel", "-q", "--no-deps", "--wheel-dir", made / "dist", REPO], check=True)
        subprocess.run([*pip, "install", "-q", "--no-deps", "--target", made / "uv", "uv"], check=True)
        codes = [in_debian(name, root, made, options.wheels) for name in options.only]
    sys.exit(max(codes))


def in_debian(name: str, root: Path, made: Path, wheels: Path | None) -> int:
    """Run the commands of one file as a new user, and return 1 if one of them fails."""
    user = f"user-{name}"
    subprocess.run(["chroot", root, "userdel", "--remove", user], capture_output=True, check=False)
    subprocess.run(["chroot", root, "useradd", "--create-home", "--shell", "/bin/bash", user], check=True)
    home = root / "home" / user
    shutil.copytree(made / "dist", home / "dist")
    shutil.copytree(REPO / "configs", home / "configs")
    (home / ".local" / "bin").mkdir(parents=True)
    shutil.copy(made / "uv" / "bin" / "uv", home / ".local" / "bin")
    found = [parse_wheel_filename(path.name)[:2] for path in wheels.glob("*.whl")] if wheels else []
    (home / "pins").write_text("".join(f"{package}=={version}\n" for package, version in found))
    (home / "commands").write_text("\n".join(map(given, commands_of(name))))
    subprocess.run(["chroot", root, "chown", "-R", f"{user}:", f"/home/{user}"], check=True)
    print(f"== clusters/{name}.yaml", flush=True)
    script = INSIDE.format(root=shlex.quote(str(root)), wheels=shlex.quote(str(wheels or made)), user=user)
    clean = {"PATH": os.environ["PATH"], "LANG": "C.UTF-8"}
    entered = ["unshare", "--mount", "--pid", "--fork", "--kill-child", "bash", "-c", script]
    return subprocess.run(entered, env=clean, check=False).returncode


def commands_of(name: str) -> list[str]:
    """Return a file's commands, for a wheel in ~/dist, and those that look at what they made."""
    content = yaml.safe_load((REPO / "clusters" / f"{name}.yaml").read_text())
    environment = "~/raysweep"
    if name in RAY_UP:
        commands = [*content["setup_commands"], *content.get("head_setup_commands", [])]
    else:
        environment = "~/image"
        container = content["spec"]["rayClusterSpec"]["headGroupSpec"]["template"]["spec"]["containers"][0]
        (installing,) = container["command"]
        wheel = '"raysweep[all] @ file://$(ls ~/dist/*.whl)"'
        start, _, _ = installing.partition('"raysweep[all] @ ')
        commands = ["python3 -m venv ~/image", f"PATH=~/image/bin:$PATH; {start}{wheel}"]
    python = f"{environment}/bin/python"
    return [
        *commands,
        f"~/.local/bin/uv pip check --python {python}",
        f"{python} -c 'import boto3, deepspeed, flair, pylint, ray, sacremoses, torch'",
        f"HF_HUB_OFFLINE=1 {environment}/bin/raysweep plan configs/study.yaml",
        f"{environment}/bin/raysweep evaluate reference --problems humaneval --limit 10 --allow-code-execution",
    ]


def given(command: str) -> str:
    """Return a line of bash that gives a command as `ray up` does, with what this machine needs for its downloads."""
    trust = "SSL_CERT_FILE=/etc/ssl/certs/ca-certificates.crt PIP_CERT=/etc/ssl/certs/ca-certificates.crt"
    pins = "UV_FIND_LINKS=/mnt UV_CONSTRAINT=$HOME/pins PIP_FIND_LINKS=/mnt PIP_CONSTRAINT=$HOME/pins"
    quoted = shlex.quote(f"source ~/.bashrc; export {trust} {pins} UV_HTTP_TIMEOUT=180 && ({command})")
    return f"echo {shlex.quote('$ ' + command)}; bash --login -c -i {quoted} 2>&1 || {{ echo FAILED; exit 1; }}"


if __name__ == "__main__":
    main()
