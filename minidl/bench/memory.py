"""The peak memory of training steps, each network in a process of its own."""

import os

from ..threads import VARIABLE
from . import measure
from .setting import Setting

# In MiB, beyond parameters, images and what a first step left behind that loaded
# libraries and compiled kernels. What the allocator merely keeps is given back first,
# where the C library can, so that it does not hide what a step needs.
_CPU = """
import ctypes, gc
from minidl.bench import nets
def status(key):
    for line in open("/proc/self/status"):
        if line.startswith(key):
            return int(line.split()[1])
if {torch}: import torch; torch.set_num_threads({threads})
nets.{step}(*{arguments})()
step = nets.{step}(*{arguments})
gc.collect()
if not {torch}: from minidl.kernels import release; release()
if hasattr(ctypes.CDLL(None), "malloc_trim"): ctypes.CDLL(None).malloc_trim(0)
open("/proc/self/clear_refs", "w").write("5")
before = status("VmRSS")
for _ in range(3): step()
print(max(status("VmHWM") - before, 4) / 1024)
"""
# Both libraries keep the device memory that they free: the most that they held.
_CUDA = """
from minidl.bench import nets
step = nets.{step}(*{arguments})
for _ in range(3): step()
if {torch}:
    import torch
    held = torch.cuda.max_memory_reserved()
else:
    from minidl import backend
    cupy = backend.xp_of(backend.asarray([0.0], None, "cuda"))
    held = cupy.get_default_memory_pool().total_bytes()
print(held / 2**20)
"""


def can_tell(device: str) -> bool:
    """Whether the system says how much a process has held at most."""
    return device == "cuda" or os.path.exists("/proc/self/clear_refs")


def peak(setting: Setting, name: str, size: int, torch_shift: str | None = None):
    """MiB of a step of ours, or of torch's if ``torch_shift`` is given."""
    arguments = [name, size, setting.device]
    if torch_shift:
        arguments.append(torch_shift)
    code = (_CPU if setting.device == "cpu" else _CUDA).format(
        step="torch_step" if torch_shift else "our_step",
        arguments=arguments,
        torch=bool(torch_shift),
        threads=setting.threads,
    )
    environment = {**os.environ, VARIABLE: str(setting.threads)}
    return float(measure.process(code, environment)[1])
