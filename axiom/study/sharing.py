"""Kernels of several processes at the same time on one GPU, by NVIDIA's MPS where the driver has it.

Without it the processes take turns on the whole GPU, though the kernels of a small model leave most of it idle. MPS
changes no setting of the GPU. A process that commits a fatal fault on the GPU ends the others with it; their runs are
begun again.
"""

import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager

CONTROL = "nvidia-cuda-mps-control"
PIPE, LOG = "CUDA_MPS_PIPE_DIRECTORY", "CUDA_MPS_LOG_DIRECTORY"
START_SECONDS = 60.0
OPENED = """
import ctypes
cuda, device, context = ctypes.CDLL("libcuda.so.1"), ctypes.c_int(), ctypes.c_void_p()
failed = cuda.cuInit(0) or cuda.cuDeviceGet(ctypes.byref(device), 0)
raise SystemExit(bool(failed or cuda.cuDevicePrimaryCtxRetain(ctypes.byref(context), device)))
"""
"""Whether a process can use a GPU, told by its exit status."""


@contextmanager
def kernels_together() -> Iterator[dict[str, str]]:
    """The environment of processes that are to share their GPUs so; empty where that cannot be had.

    The daemon is the block's own and ends with it. Where somebody has set `CUDA_MPS_PIPE_DIRECTORY`, that stays.
    """
    control = shutil.which(CONTROL)
    if control is None or PIPE in os.environ:
        yield {}
        return
    with tempfile.TemporaryDirectory(prefix="axiom-mps-", ignore_cleanup_errors=True) as folder:
        places = {PIPE: folder, LOG: folder}
        # It is to see every GPU: numbers in CUDA_VISIBLE_DEVICES of its clients count those that it sees.
        environment = {name: value for name, value in os.environ.items() if name != "CUDA_VISIBLE_DEVICES"} | places
        if not _done([control, "-d"], environment):
            yield {}
            return
        try:
            yield places if _done([sys.executable, "-c", OPENED], os.environ | places) else {}
        finally:
            _done([control], environment, "quit -t 5\n")


def _done(command: list[str], environment: Mapping[str, str], said: str = "") -> bool:
    """Whether a command ended well, and soon."""
    try:
        return not subprocess.run(
            command,
            env=environment,
            input=said,
            encoding="utf-8",
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            timeout=START_SECONDS,
            check=False,
        ).returncode
    except (OSError, subprocess.TimeoutExpired):
        return False
