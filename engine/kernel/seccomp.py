"""Seccomp: a profile compiled to BPF by libseccomp, and the filter loaded into a process.

Shape: profiles are JSON as the Docker CLI sends it; `seccomp_default.json` is the Docker Engine's
       own default profile (Apache License 2.0), so containers meet the limits they expect.
Source: seccomp(2), seccomp_rule_add(3).
"""

from __future__ import annotations

import ctypes
import errno
import json
import os
from functools import cache
from typing import Any

from engine.kernel._libc import SYS_SECCOMP, syscall

_ERRNO = 0x00050000
_ACTIONS = {
    "SCMP_ACT_KILL": 0x00000000,
    "SCMP_ACT_KILL_THREAD": 0x00000000,
    "SCMP_ACT_KILL_PROCESS": 0x80000000,
    "SCMP_ACT_TRAP": 0x00030000,
    "SCMP_ACT_ERRNO": _ERRNO,
    "SCMP_ACT_TRACE": 0x7FF00000,
    "SCMP_ACT_LOG": 0x7FFC0000,
    "SCMP_ACT_ALLOW": 0x7FFF0000,
}
_COMPARE = {
    "SCMP_CMP_NE": 1,
    "SCMP_CMP_LT": 2,
    "SCMP_CMP_LE": 3,
    "SCMP_CMP_EQ": 4,
    "SCMP_CMP_GE": 5,
    "SCMP_CMP_GT": 6,
    "SCMP_CMP_MASKED_EQ": 7,
}
_MACHINES = {"x86_64": ("amd64", "SCMP_ARCH_X86_64"), "aarch64": ("arm64", "SCMP_ARCH_AARCH64")}
_DEFAULT = os.path.join(os.path.dirname(__file__), "seccomp_default.json")
_SECCOMP_SET_MODE_FILTER = 1


class _Argument(ctypes.Structure):
    _fields_ = (
        ("arg", ctypes.c_uint),
        ("op", ctypes.c_int),
        ("datum_a", ctypes.c_uint64),
        ("datum_b", ctypes.c_uint64),
    )


class _Program(ctypes.Structure):
    _fields_ = (("length", ctypes.c_ushort), ("filter", ctypes.c_char_p))


@cache
def _library() -> ctypes.CDLL:
    library = ctypes.CDLL("libseccomp.so.2", use_errno=True)
    library.seccomp_init.restype = ctypes.c_void_p
    library.seccomp_init.argtypes = (ctypes.c_uint32,)
    library.seccomp_release.argtypes = (ctypes.c_void_p,)
    library.seccomp_arch_add.argtypes = (ctypes.c_void_p, ctypes.c_uint32)
    library.seccomp_arch_resolve_name.argtypes = (ctypes.c_char_p,)
    library.seccomp_arch_resolve_name.restype = ctypes.c_uint32
    library.seccomp_syscall_resolve_name.argtypes = (ctypes.c_char_p,)
    library.seccomp_attr_set.argtypes = (ctypes.c_void_p, ctypes.c_int, ctypes.c_uint32)
    library.seccomp_export_bpf.argtypes = (ctypes.c_void_p, ctypes.c_int)
    library.seccomp_rule_add_array.argtypes = (
        ctypes.c_void_p,
        ctypes.c_uint32,
        ctypes.c_int,
        ctypes.c_uint,
        ctypes.POINTER(_Argument),
    )
    return library


def default_profile() -> dict[str, Any]:
    """Return the profile that containers get when none is asked for."""
    with open(_DEFAULT, encoding="utf-8") as file:
        profile: dict[str, Any] = json.load(file)
    return profile


def compile_profile(profile: dict[str, Any], capabilities: frozenset[str]) -> bytes:
    """Return the BPF program for a profile and the capabilities that the process will hold.

    Raises: ValueError (unknown action or operator) · OSError (libseccomp refused a rule).
    """
    library = _library()
    context = library.seccomp_init(_action(profile, "defaultAction", "defaultErrnoRet"))
    if not context:
        raise OSError(errno.ENOMEM, "seccomp_init")
    try:
        # Without this libseccomp sets no_new_privs itself on load and makes setuid programs fail.
        library.seccomp_attr_set(context, 3, 0)
        for name in _architectures(profile):
            token = library.seccomp_arch_resolve_name(name.encode())
            _check(library.seccomp_arch_add(context, token), name, ignore=(errno.EEXIST,))
        for rule in profile.get("syscalls") or ():
            if _applies(rule, capabilities):
                _add(library, context, rule)
        memory = os.memfd_create("seccomp", os.MFD_CLOEXEC)
        try:
            _check(library.seccomp_export_bpf(context, memory), "export")
            return os.pread(memory, os.fstat(memory).st_size, 0)
        finally:
            os.close(memory)
    finally:
        library.seccomp_release(context)


def load(program: bytes) -> None:
    """Put a compiled filter on the calling process, for good. Source: seccomp(2)."""
    value = _Program(len(program) // 8, program)
    syscall("seccomp", SYS_SECCOMP, _SECCOMP_SET_MODE_FILTER, 0, ctypes.byref(value))


def _action(rule: dict[str, Any], key: str = "action", errno_key: str = "errnoRet") -> int:
    name = rule.get(key)
    if name not in _ACTIONS:
        raise ValueError(f"seccomp: unknown action {name!r}")
    action = _ACTIONS[name]
    if action == _ERRNO:
        number = rule.get(errno_key)
        return action | (errno.EPERM if number is None else int(number))
    return action


def _architectures(profile: dict[str, Any]) -> list[str]:
    wanted = _MACHINES.get(os.uname().machine, ("", ""))[1]
    names = list(profile.get("architectures") or ())
    for entry in profile.get("archMap") or ():
        if entry["architecture"] == wanted:
            names += [wanted, *(entry.get("subArchitectures") or ())]
    return [name.removeprefix("SCMP_ARCH_").lower() for name in names]


def _applies(rule: dict[str, Any], capabilities: frozenset[str]) -> bool:
    arch = _MACHINES.get(os.uname().machine, ("", ""))[0]
    kernel = tuple(int(n) for n in os.uname().release.split("-")[0].split(".")[:2] if n.isdigit())
    includes, excludes = rule.get("includes") or {}, rule.get("excludes") or {}
    minimum = includes.get("minKernel")
    return not (
        (includes.get("arches") and arch not in includes["arches"])
        or (excludes.get("arches") and arch in excludes["arches"])
        or not set(includes.get("caps") or ()) <= capabilities
        or set(excludes.get("caps") or ()) & capabilities
        or (minimum and kernel < tuple(int(n) for n in minimum.split(".")))
    )


def _add(library: ctypes.CDLL, context: int, rule: dict[str, Any]) -> None:
    action = _action(rule)
    wanted = rule.get("args") or ()
    arguments = (_Argument * len(wanted))()
    for slot, argument in zip(arguments, wanted, strict=True):
        if argument["op"] not in _COMPARE:
            raise ValueError(f"seccomp: unknown operator {argument['op']!r}")
        slot.arg, slot.op = argument["index"], _COMPARE[argument["op"]]
        slot.datum_a, slot.datum_b = argument["value"], argument.get("valueTwo") or 0
    for name in rule.get("names") or [rule.get("name", "")]:
        number = library.seccomp_syscall_resolve_name(name.encode())
        if number == -1:  # a call newer than this libseccomp: the default action stands
            continue
        code = library.seccomp_rule_add_array(context, action, number, len(wanted), arguments)
        # A rule equal to the default action, or of a call that this machine lacks, changes nothing.
        _check(code, name, ignore=(errno.EACCES, errno.EDOM, errno.EEXIST))


def _check(code: int, subject: str, ignore: tuple[int, ...] = ()) -> None:
    if code < 0 and -code not in ignore:
        raise OSError(-code, f"seccomp: {os.strerror(-code)}", subject)
