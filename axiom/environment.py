"""What a process needs around it: a home to keep caches in, a folder for temporary files, a name of its user.

Batch systems and containers run programs without some of these. The libraries that we use look for them when they are
imported, so the command line settles them first; a variable that the user has set stays.
"""

import atexit
import gc
import getpass
import importlib
import os
import resource
import stat
import sys
import tempfile
from pathlib import Path

from axiom.errors import ConfigError

CACHES = {
    "AXIOM_CACHE_DIR": ".cache/axiom",
    "PREFECT_HOME": ".prefect",
    "TORCHINDUCTOR_CACHE_DIR": ".cache/torchinductor",
    "TRITON_CACHE_DIR": ".triton/cache",
    "VLLM_CACHE_ROOT": ".cache/vllm",
}
"""Variables that name folders which are written, and where they lie in a home. Hugging Face's cache is not among them:
models that a read-only home holds are to be found."""


VARIABLES = {"caches": "AXIOM_CACHE_DIR", "Prefect's files": "PREFECT_HOME"}
"""What names a folder that is not where it should be."""


def settle() -> str | None:
    """Make the environment one that every library can run in; returns a sentence if caches moved for it.

    Raises ConfigError when no folder for temporary files can be written.
    """
    _stand_somewhere()
    temporary_folder()
    _name_the_user()
    if home() is not None and os.access(str(home()), os.W_OK | os.X_OK):
        return None
    missing = [variable for variable in CACHES if not os.environ.get(variable)]
    if home() is not None and not missing:
        return None
    place, why = shelter(), f"the home folder {home()} cannot be written" if home() else "there is no home folder"
    if home() is None:
        os.environ["HOME"] = str(place)
    for variable in missing:
        os.environ[variable] = str(place / CACHES[variable])
    return (
        f"{why}: caches and Prefect's files are kept in {place}; set HOME, or AXIOM_CACHE_DIR and PREFECT_HOME, "
        "to keep them elsewhere"
    )


def home() -> Path | None:
    """The user's home folder, if there is one."""
    path = os.path.expanduser("~")
    return Path(path) if os.path.isabs(path) and os.path.isdir(path) else None


def cache_dir() -> Path:
    """Where converted models live between runs: `AXIOM_CACHE_DIR`, else `~/.cache/axiom`."""
    named = os.environ.get("AXIOM_CACHE_DIR")
    return Path(named) if named else (home() or shelter()) / CACHES["AXIOM_CACHE_DIR"]


def prefect_home() -> Path:
    """Where Prefect keeps its database and settings: `PREFECT_HOME`, else `~/.prefect`."""
    named = os.environ.get("PREFECT_HOME")
    return Path(named).expanduser() if named else (home() or shelter()) / CACHES["PREFECT_HOME"]


def temporary_folder() -> Path:
    """Where temporary files go. Raises ConfigError when there is no such folder."""
    try:
        return Path(tempfile.gettempdir())
    except FileNotFoundError as error:
        raise ConfigError(
            f"no folder for temporary files can be written ({error.strerror or error}); set TMPDIR to one that can"
        ) from None


def shelter() -> Path:
    """A folder of this user's alone among the temporary ones, in the place of a home that is missing."""
    path = temporary_folder() / f"axiom-{os.getuid()}"
    try:
        path.mkdir(mode=0o700, exist_ok=True)
    except FileExistsError:  # a file of that name
        return Path(tempfile.mkdtemp(prefix=path.name))
    found = path.lstat()
    ours = stat.S_ISDIR(found.st_mode) and found.st_uid == os.getuid() and not found.st_mode & 0o022
    return path if ours else Path(tempfile.mkdtemp(prefix=path.name))


def _stand_somewhere() -> None:
    try:
        os.getcwd()
    except FileNotFoundError:
        raise ConfigError("the current folder has been removed; change to one that exists and call again") from None


ADDRESSES_GIB = 72
"""What the chart engine reserves, and hardly uses, of a process's addresses: V8 ends the process without them."""
THREADS = 48
"""What a run and its private server need; a run of the smallest learner was seen with 36."""


def check_addresses() -> None:
    """Raise ConfigError where `ulimit -v` is below what a chart needs."""
    limit = resource.getrlimit(resource.RLIMIT_AS)[0]
    if limit != resource.RLIM_INFINITY and limit < ADDRESSES_GIB << 30:
        raise ConfigError(
            f"ulimit -v = {limit / 2**30:.3g} GiB is below the {ADDRESSES_GIB} GiB of addresses that drawing charts "
            f"reserves (and does not use); set `ulimit -v unlimited`, and limit memory by a control group"
        )


def check_threads() -> None:
    """Raise ConfigError where `ulimit -u` has no room for a run's threads. It does not bind root."""
    limit = resource.getrlimit(resource.RLIMIT_NPROC)[0]
    if os.getuid() == 0 or limit == resource.RLIM_INFINITY or limit > MANY_THREADS:
        return
    used = sum(_threads(entry) for entry in Path("/proc").iterdir() if entry.name.isdigit())
    if limit - used < THREADS:
        raise ConfigError(
            f"ulimit -u = {limit} leaves room for {max(0, limit - used)} processes and threads of this user, and a run "
            f"needs {THREADS}; raise `ulimit -u`"
        )


MANY_THREADS = 4096
"""From such a limit on nothing is counted."""


def _threads(process: Path) -> int:
    """Threads of a process of this user, 0 of another's or of one that has ended."""
    try:
        return len(list((process / "task").iterdir())) if process.stat().st_uid == os.getuid() else 0
    except OSError:
        return 0


def _name_the_user() -> None:
    """Some libraries ask for the user's name, which a uid of a container or a namespace may lack."""
    try:
        getpass.getuser()
    except (KeyError, OSError):
        os.environ["USER"] = f"uid-{os.getuid()}"


def imported(*modules: str) -> None:
    """Import what is not yet. An import makes no garbage, and looking for some takes a quarter of its time."""
    missing = [name for name in modules if name not in sys.modules]
    if not missing:
        return
    looked = gc.isenabled()
    gc.disable()
    try:
        for name in missing:
            importlib.import_module(name)
    finally:
        keep_all()
        if looked:
            gc.enable()


def keep_all() -> None:
    """Have what is in memory stay there: no collection looks at it again before Python ends."""
    gc.freeze()
    atexit.register(gc.unfreeze)  # else nanobind, with which triton is made, prints pages of what was not collected


def peak_memory() -> dict[str, float]:
    """MiB that this process has taken at its peak, and of a GPU's memory what torch has allocated, if it is loaded."""
    kibibytes = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    found = {"peak_memory_mib": round(kibibytes / 1024, 1)}
    torch = sys.modules.get("torch")
    if torch is not None and torch.cuda.is_initialized():
        found["peak_gpu_mib"] = round(torch.cuda.max_memory_allocated() / 2**20, 1)
    return found
