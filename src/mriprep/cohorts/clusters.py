"""Where cases are done: this machine, a Dask cluster that runs already, or jobs of a batch system.

On this machine nothing listens on the network: scheduler and worker live in
this process and talk through memory, and cases are done in child processes.
Elsewhere workers are reached over TCP (or TLS, as Dask is configured): whoever
can reach the port of a scheduler can run code as its user.
"""

from __future__ import annotations

import contextlib
import importlib.util
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mriprep.core import EngineMissing, InputError
from mriprep.core.errors import nearest

from . import machine

#: The resource of workers that says how much memory cases may fill, MB.
MEMORY = "mriprep-MB"
#: Batch systems, and the class of dask-jobqueue for each.
SYSTEMS = {
    "slurm": "SLURMCluster",
    "pbs": "PBSCluster",
    "sge": "SGECluster",
    "lsf": "LSFCluster",
}
#: Dask without what a batch run has no use for: servers of web pages, profiles, waiting for replies.
_CONFIG = {
    "distributed.scheduler.http.routes": [],
    "distributed.worker.http.routes": [],
    "distributed.worker.profile.enabled": False,
    "distributed.admin.low-level-log-length": 100,
    "distributed.scheduler.work-stealing": True,
    # A worker that is lost is no fault of the case that it was doing: twice, and it is told.
    "distributed.scheduler.allowed-failures": 1,
}


@dataclass(frozen=True)
class Where:
    """Where to do cases.

    Parameters
    ----------
    jobs : int or None
        Cases at once on this machine; None for as many as fit.
    scheduler : str or None
        Address of a scheduler that runs already, ``tcp://host:8786``.
    cluster : str or None
        A batch system: ``slurm``, ``pbs``, ``sge``, ``lsf``.
    cluster_options : mapping
        For the batch system, as dask-jobqueue takes them; and ``jobs``, how
        many of its jobs.
    threads : int or None
        Threads of every library in each case; cores/jobs by default.
    memory_mb : float or None
        What cases may fill of this machine; 90 % of what is free by default.
    """

    jobs: int | None = None
    scheduler: str | None = None
    cluster: str | None = None
    cluster_options: Mapping[str, Any] | None = None
    threads: int | None = None
    memory_mb: float | None = None

    @property
    def local(self) -> bool:
        """Whether it is this machine."""
        return self.scheduler is None and self.cluster is None

    def budget_mb(self) -> float:
        """What cases may fill of this machine, MB."""
        return self.memory_mb or machine.SHARE * machine.memory_mb()


def slots(where: Where, case_mb: float) -> int:
    """Cases at once on this machine: as told, or as many as its cores and its memory take."""
    if where.jobs is not None:
        return where.jobs
    per_case = where.threads or 1
    return max(1, min(machine.cores() // per_case, int(where.budget_mb() // max(case_mb, 1.0))))


@contextlib.contextmanager
def connected(where: Where, jobs: int) -> Iterator[Any]:
    """A Dask client for where cases are done; on this machine, `jobs` at once.

    Raises
    ------
    InputError
        If a scheduler is not reached, or options of a cluster are not right.
    """
    import dask
    from distributed import Client

    with dask.config.set(_CONFIG), contextlib.ExitStack() as stack:
        if where.scheduler is not None:
            try:
                client = Client(where.scheduler, timeout=20, set_as_default=False)
            except (OSError, ValueError) as error:
                raise InputError(
                    f"the scheduler '{where.scheduler}' is not reached: {_first_line(error)}",
                    hint="give its address as `dask scheduler` prints it, for instance"
                    " tcp://127.0.0.1:8786",
                ) from None
        else:
            cluster = stack.enter_context(
                contextlib.closing(_jobqueue(where) if where.cluster else _here(where, jobs))
            )
            client = Client(cluster, set_as_default=False)
        stack.enter_context(contextlib.closing(client))
        yield client


def _here(where: Where, jobs: int) -> Any:
    """A scheduler and a worker in this process, deaf to the network."""
    import dask
    from distributed import LocalCluster

    # Its only worker is in this process: it is not given up when the clock jumps.
    with dask.config.set({"distributed.scheduler.worker-ttl": None}):
        cluster = LocalCluster(
            n_workers=1,
            threads_per_worker=jobs,
            processes=False,
            dashboard_address="127.0.0.1:0",
            scheduler_kwargs={"dashboard": False},
            worker_dashboard_address="127.0.0.1:0",
            memory_limit=0,  # what is in memory is small; cases are measured in their own processes
            resources={MEMORY: where.budget_mb()},
            silence_logs=50,
        )
    # Dask opens a port for web pages even where there are none.
    cluster.scheduler.http_server.stop()
    for worker in cluster.workers.values():
        worker.http_server.stop()
    return cluster


def check(where: Where) -> None:
    """Refuse a batch system that there is not, before anything is begun.

    Raises
    ------
    InputError
        If it is not known, or the number of its jobs makes no sense.
    EngineMissing
        If dask-jobqueue is not installed.
    """
    if where.cluster is None:
        return
    if where.cluster not in SYSTEMS:
        raise InputError(
            f"there is no cluster '{where.cluster}'", hint=nearest(where.cluster, SYSTEMS)
        )
    if importlib.util.find_spec("dask_jobqueue") is None:
        raise EngineMissing(
            f"--cluster {where.cluster} needs dask-jobqueue, which is not installed",
            hint='pip install "mriprep[cluster]"',
        )
    wanted = (where.cluster_options or {}).get("jobs", 1)
    if not isinstance(wanted, int) or isinstance(wanted, bool) or wanted < 1:
        raise InputError(f"'jobs' of the cluster's options must be a whole number, got {wanted!r}")


def _jobqueue(where: Where) -> Any:
    import dask_jobqueue

    assert where.cluster is not None
    options = dict(where.cluster_options or {})
    wanted = options.pop("jobs", where.jobs or 1)
    # One worker a job, whose threads keep child processes: they share the job's memory.
    processes = int(options.setdefault("processes", 1))
    if where.threads is not None and isinstance(options.get("cores"), int):
        # A job does as many cases at once as its cores take; the last of two options counts.
        at_once = max(1, options["cores"] // processes // where.threads)
        extra = [*options.get("worker_extra_args", []), "--nthreads", str(at_once)]
        options["worker_extra_args"] = extra
    make = getattr(dask_jobqueue, SYSTEMS[where.cluster])
    try:
        cluster = make(**options)
        cluster.scale(jobs=wanted)
    except (TypeError, ValueError) as error:
        raise InputError(
            f"the options of the cluster are not right: {_first_line(error)}",
            hint="for instance  cores: 8, memory: 32GB, walltime: '04:00:00', queue: normal",
        ) from None
    return cluster


def read_options(path: Path) -> dict[str, Any]:
    """The options of a cluster from a YAML file.

    Raises
    ------
    InputError
        If it cannot be read, or is no mapping.
    """
    import yaml

    from mriprep.io.given import read_text
    from mriprep.io.strict_yaml import LONGEST, strict_yaml

    try:
        _, content = strict_yaml(read_text(path, LONGEST))
    except (OSError, ValueError, yaml.YAMLError) as error:
        raise InputError(
            f"the options of the cluster '{path}' cannot be read: {_first_line(error)}"
        ) from None
    if not isinstance(content, dict):
        raise InputError(
            f"the options of the cluster '{path}' are no mapping",
            hint="for instance:  {cores: 8, memory: 32GB, walltime: '04:00:00', jobs: 20}",
        )
    return {str(k): v for k, v in content.items()}


# -- other machines ---------------------------------------------------------------------------


@dataclass(frozen=True)
class Workers:
    """The workers that there are.

    Parameters
    ----------
    addresses : tuple of str
        Each worker's.
    threads : int
        Cases at once, on all together.
    memory_mb : float
        The most that cases may fill of any of them; 0 where none says it.
    """

    addresses: tuple[str, ...] = ()
    threads: int = 0
    memory_mb: float = 0.0


def workers_of(client: Any) -> Workers:
    """The workers that a client's scheduler has now; each is asked for its memory, once."""
    found = client.scheduler_info(n_workers=-1)["workers"]
    new = [a for a, about in found.items() if MEMORY not in about["resources"]]
    if new:
        client.run(_offer, workers=new, on_error="ignore")
        found = client.scheduler_info(n_workers=-1)["workers"]
    return Workers(
        tuple(found),
        sum(w["nthreads"] for w in found.values()),
        max((w["resources"].get(MEMORY, 0.0) for w in found.values()), default=0.0),
    )


async def _offer(dask_worker: Any) -> None:
    limit = getattr(dask_worker.memory_manager, "memory_limit", None)
    free = machine.SHARE * machine.memory_mb()
    await dask_worker.set_resources(**{MEMORY: min(free, limit / 1e6) if limit else free})


def threads_for(client: Any, where: Where, jobs: int) -> int:
    """Threads of every library in each case: the cores of a machine shared by its cases."""
    if where.threads is not None:
        return where.threads
    if where.local:
        return max(1, machine.cores() // jobs)
    found = client.scheduler_info(n_workers=-1)["workers"]
    cores = client.run(machine.cores)
    busy: dict[str, int] = {}
    for about in found.values():
        busy[about["host"]] = busy.get(about["host"], 0) + about["nthreads"]
    shares = [cores[a] // busy[w["host"]] for a, w in found.items() if a in cores]
    return max(1, min(shares, default=1))


def _first_line(error: BaseException) -> str:
    return next((line for line in str(error).splitlines() if line.strip()), type(error).__name__)
