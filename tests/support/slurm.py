"""A real SLURM cluster on this machine: two nodes, in a temporary folder, with daemons of its own.

Needs root and the Debian packages `slurm-wlm` and `munge`; nothing of the machine's own configuration is used.
"""

from __future__ import annotations

import os
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

NODES = ("one", "two")
MAX_ARRAY_SIZE = 6
"""Smaller than on any real cluster, so that a few tasks need several arrays."""
_MEMORY_GROUP = Path("/sys/fs/cgroup/memory")
_CONFIG = """\
ClusterName=tests
SlurmctldHost={host}(127.0.0.1)
AuthType=auth/munge
AuthInfo=socket={folder}/munge/socket
SlurmUser=root
SlurmdUser=root
StateSaveLocation={folder}/state
SlurmdSpoolDir={folder}/spool-%n
SlurmctldPidFile={folder}/slurmctld.pid
SlurmdPidFile={folder}/slurmd-%n.pid
SlurmctldLogFile={folder}/slurmctld.log
SlurmdLogFile={folder}/slurmd-%n.log
SlurmctldPort={ports[0]}
ProctrackType=proctrack/linuxproc
TaskPlugin={task_plugin}
SelectType=select/cons_tres
SelectTypeParameters=CR_Core_Memory
DefMemPerCPU=100
SlurmdParameters=config_overrides
AccountingStorageType=accounting_storage/none
JobAcctGatherType=jobacct_gather/none
MpiDefault=none
ReturnToService=2
MaxArraySize={max_array_size}
KillWait=2
SlurmdTimeout=5
PreemptType=preempt/partition_prio
PreemptMode=REQUEUE
SchedulerParameters=batch_sched_delay=0,sched_interval=1,bf_interval=1
GresTypes=gpu
{nodes}
PartitionName=main Nodes=one Default=YES MaxTime=60 State=UP PriorityTier=1
PartitionName=urgent Nodes=one State=UP PriorityTier=9
PartitionName=lossy Nodes=one State=UP PriorityTier=1 PreemptMode=CANCEL
PartitionName=second Nodes=two State=UP
"""


class SlurmCluster:
    """The daemons of a cluster.

    Args:
        folder: their files.
        hidden: a folder that the node `two` does not see.
        max_array_size: the largest job array.
    """

    def __init__(self, folder: Path, hidden: Path, max_array_size: int = MAX_ARRAY_SIZE):
        self.folder, self.hidden, self.max_array_size = folder, hidden, max_array_size
        self.limits_memory = os.access(_MEMORY_GROUP, os.W_OK)
        self.config = folder / "slurm.conf"
        self.environment = {**os.environ, "SLURM_CONF": str(self.config)}

    def start(self) -> None:
        """Start all daemons, and wait until the nodes are ready."""
        ports = _free_ports(3)
        nodes = [
            f"NodeName={name} NodeHostname={_host()} NodeAddr=127.0.0.1 Port={port} CPUs=4 RealMemory=2000"
            f"{' Gres=gpu:2' if name == 'one' else ''} State=UNKNOWN"
            for name, port in zip(NODES, ports[1:], strict=True)
        ]
        self.config.write_text(
            _CONFIG.format(
                host=_host(),
                folder=self.folder,
                ports=ports,
                nodes="\n".join(nodes),
                max_array_size=self.max_array_size,
                task_plugin="task/cgroup" if self.limits_memory else "task/none",
            )
        )
        (self.folder / "gres.conf").write_text(
            "NodeName=one Name=gpu File=/dev/null\nNodeName=one Name=gpu File=/dev/zero\n"
        )
        (self.folder / "cgroup.conf").write_text("CgroupAutomount=no\nConstrainRAMSpace=yes\n")
        for name in ("munge", "state", *(f"spool-{node}" for node in NODES)):
            (self.folder / name).mkdir(mode=0o700)
        key = self.folder / "munge" / "key"
        key.write_bytes(os.urandom(128))
        key.chmod(0o600)
        files = {"socket": "socket", "key-file": "key", "pid-file": "pid", "log-file": "log", "seed-file": "seed"}
        self.run("munged", "--force", *(f"--{option}={self.folder}/munge/{name}" for option, name in files.items()))
        self.run("slurmctld")
        for node in NODES:
            self.start_node(node)
        deadline = time.monotonic() + 60
        while set(self.run("sinfo", "--noheader", "--format=%T").split()) != {"idle"}:
            if time.monotonic() > deadline:
                raise TimeoutError("\n".join(path.read_text()[-1500:] for path in sorted(self.folder.glob("*.log"))))
            time.sleep(0.2)

    def start_node(self, node: str) -> None:
        """Start the daemon of a node; `two` in a mount namespace of its own, where the hidden folder is empty."""
        if node == "two":
            script = 'mount -t tmpfs none "$0" && exec slurmd -N two'
            self.run("unshare", "--mount", "sh", "-c", script, str(self.hidden))
        else:
            self.run("slurmd", "-N", node)

    def kill_node(self, node: str) -> None:
        """Kill the daemon of a node and the processes of its jobs."""
        os.kill(int((self.folder / f"slurmd-{node}.pid").read_text()), signal.SIGKILL)
        own = {f"SLURM_CONF={self.config}".encode(), f"SLURMD_NODENAME={node}".encode()}
        tasks, parents = [], set()
        for path in Path("/proc").glob("[0-9]*/environ"):
            with suppress(OSError):
                if own <= set(path.read_bytes().split(b"\0")):
                    tasks.append(path.parent.name)
                    parent = path.with_name("stat").read_text().rpartition(")")[2].split()[1]
                    if Path("/proc", parent, "comm").read_text() == "slurmstepd\n":
                        parents.add(parent)
        for pid in (*parents, *tasks):  # the parents first: they would report the end of the tasks
            with suppress(ProcessLookupError):
                os.kill(int(pid), signal.SIGKILL)

    def run(self, *command: str, check: bool = True) -> str:
        """Run a command with the cluster's configuration; returns its output."""
        process = subprocess.run(
            command, env=self.environment, text=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, check=False
        )
        if check and process.returncode:
            raise RuntimeError(f"{command}: {process.stdout}")
        return process.stdout

    def stop(self) -> None:
        """End the daemons, with the jobs."""
        with suppress(RuntimeError):
            self.run("scancel", "--me")
            time.sleep(1)
        pids = []
        for path in (*self.folder.glob("slurmd-*.pid"), self.folder / "slurmctld.pid", self.folder / "munge" / "pid"):
            with suppress(OSError, ValueError):
                pids.append(int(path.read_text()))
                os.kill(pids[-1], signal.SIGTERM)
        deadline = time.monotonic() + 15
        while time.monotonic() < deadline and any(_is_running(pid) for pid in pids):
            time.sleep(0.1)
        for group in sorted(_MEMORY_GROUP.glob("slurm*/**/"), reverse=True):
            with suppress(OSError):
                group.rmdir()


def why_not() -> str:
    """Why no cluster can be started here; empty if one can."""
    if os.geteuid():
        return "a SLURM cluster needs root"
    missing = [name for name in ("slurmctld", "slurmd", "munged", "unshare") if shutil.which(name) is None]
    return f"not installed: {', '.join(missing)} (apt-get install slurm-wlm munge)" if missing else ""


@contextmanager
def slurm_cluster(max_array_size: int = MAX_ARRAY_SIZE) -> Iterator[SlurmCluster]:
    """A cluster that runs while the block does."""
    folder = Path(tempfile.mkdtemp(prefix="slurm-", dir="/tmp"))
    hidden = Path(tempfile.mkdtemp(prefix="hidden-", dir="/tmp"))
    cluster = SlurmCluster(folder, hidden, max_array_size)
    try:
        cluster.start()
        yield cluster
    finally:
        cluster.stop()
        shutil.rmtree(folder, ignore_errors=True)
        shutil.rmtree(hidden, ignore_errors=True)


def _is_running(pid: int) -> bool:
    try:
        return "\nState:\tZ" not in Path(f"/proc/{pid}/status").read_text()
    except OSError:
        return False


def _host() -> str:
    return socket.gethostname().split(".")[0]


def _free_ports(count: int) -> list[int]:
    with_sockets = [socket.socket() for _ in range(count)]
    try:
        for entry in with_sockets:
            entry.bind(("127.0.0.1", 0))
        return [entry.getsockname()[1] for entry in with_sockets]
    finally:
        for entry in with_sockets:
            entry.close()
