"""A node whose fsyncs fail from the moment on that somebody writes to a pipe: `python failing_disk.py PIPE -m kvstore --config F`.

    test ── a byte ──► pipe ──► thread of the node ── seccomp filter, on all threads ──► fsync, fdatasync: EIO

The kernel answers the call in place of the disk (seccomp with SECCOMP_RET_ERRNO), so everything above it is as it is in production.
"""

from __future__ import annotations

import ctypes
import errno
import platform
import struct
import sys
import threading

NUMBERS = {"x86_64": (74, 75, 317), "aarch64": (82, 83, 277)}  # of fsync, fdatasync, seccomp
_NO_NEW_PRIVS, _SET_MODE_FILTER, _ALL_THREADS = 38, 1, 1
_LOAD, _EQUAL, _RETURN = 0x20, 0x15, 0x06
_ALLOW, _ERRNO = 0x7FFF0000, 0x00050000


class _Program(ctypes.Structure):
    _fields_ = [("length", ctypes.c_ushort), ("instructions", ctypes.c_char_p)]


def fail_fsyncs() -> None:
    """From now on every fsync of this process fails. Raises OSError if the kernel refuses."""
    fsync, fdatasync, seccomp = NUMBERS[platform.machine()]
    instructions = [
        (_LOAD, 0, 0, 0),  # the number of the call
        (_EQUAL, 1, 0, fsync),
        (_EQUAL, 0, 1, fdatasync),
        (_RETURN, 0, 0, _ERRNO | errno.EIO),
        (_RETURN, 0, 0, _ALLOW),
    ]
    packed = b"".join(struct.pack("=HBBI", *each) for each in instructions)
    program = _Program(len(instructions), packed)
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.prctl(_NO_NEW_PRIVS, 1, 0, 0, 0) or libc.syscall(
        seccomp, _SET_MODE_FILTER, _ALL_THREADS, ctypes.byref(program)
    ):
        raise OSError(ctypes.get_errno(), "the kernel refused the filter")


def main() -> int:
    pipe = sys.argv[1]
    sys.argv = [sys.argv[0], *sys.argv[sys.argv.index("--config") :]]

    def wait() -> None:
        with open(pipe, "rb") as told:
            told.read(1)
        fail_fsyncs()
        print("fsyncs fail from now on", file=sys.stderr, flush=True)

    threading.Thread(target=wait, daemon=True).start()
    from kvstore.__main__ import main as serve

    return serve()


if __name__ == "__main__":
    sys.exit(main())
