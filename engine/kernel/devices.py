"""Which devices a cgroup may use: a BPF program on its v2 group.

Source: kernel Documentation/admin-guide/cgroup-v2.rst, "Device controller"; bpf(2).
"""

from __future__ import annotations

import ctypes
import os
import struct

from engine.kernel._libc import syscall

_SYS_BPF = {"x86_64": 321, "aarch64": 280}.get(os.uname().machine, 321)
_PROG_LOAD, _PROG_ATTACH = 5, 8
_PROG_TYPE_CGROUP_DEVICE, _ATTACH_CGROUP_DEVICE = 15, 6
_TYPES = {"b": 1, "c": 2}
_ACCESS = {"m": 1, "r": 2, "w": 4}

# Opcodes of linux/bpf.h; the 32-bit forms, since every field of the context is a u32.
_LOAD, _MOVE, _SHIFT, _AND_VALUE, _AND = 0x61, 0xBC, 0x74, 0x54, 0x5C
_UNLESS_VALUE, _UNLESS, _RESULT, _EXIT = 0x56, 0x5E, 0xB7, 0x95


def _instruction(
    code: int, target: int = 0, source: int = 0, jump: int = 0, value: int = 0
) -> bytes:
    return struct.pack("<BBhi", code, target | source << 4, jump, value)


def compile_rules(rules: tuple[str, ...]) -> bytes:
    """Return the program that allows what one of the rules allows and denies all else.

    Shape: rules as of cgroup v1, "c 1:3 rwm", with "a" for both types and "*" for any number.
    Raises: ValueError(not a rule).
    """
    # r2 type, r3 access, r4 major, r5 minor; r1 is free once they are read.
    program = [
        _instruction(_LOAD, 2, 1, 0),
        _instruction(_MOVE, 3, 2),
        _instruction(_SHIFT, 3, value=16),
        _instruction(_AND_VALUE, 2, value=0xFFFF),
        _instruction(_LOAD, 4, 1, 4),
        _instruction(_LOAD, 5, 1, 8),
    ]
    for rule in rules:
        program += _rule(rule)
    program += [_instruction(_RESULT, 0, value=0), _instruction(_EXIT)]
    return b"".join(program)


def _rule(rule: str) -> list[bytes]:
    kind, numbers, access = rule.split()
    major, separator, minor = numbers.partition(":")
    if kind not in ("a", *_TYPES) or not separator or not set(access) <= _ACCESS.keys():
        raise ValueError(f"not a device rule: {rule!r}")
    # Each test leaves the block when it fails; how far that is, is known at the end.
    tests: list[tuple[int, int, int, int]] = []
    if kind != "a":
        tests.append((_UNLESS_VALUE, 2, 0, _TYPES[kind]))
    if set(access) != _ACCESS.keys():
        tests.append((_MOVE, 1, 3, 0))
        tests.append((_AND_VALUE, 1, 0, sum(_ACCESS[letter] for letter in set(access))))
        tests.append((_UNLESS, 1, 3, 0))
    for register, number in ((4, major), (5, minor)):
        if number != "*":
            tests.append((_UNLESS_VALUE, register, 0, int(number)))
    length = len(tests) + 2
    block = [
        _instruction(code, target, source, length - index - 1 if _jumps(code) else 0, value)
        for index, (code, target, source, value) in enumerate(tests)
    ]
    return [*block, _instruction(_RESULT, 0, value=1), _instruction(_EXIT)]


def _jumps(code: int) -> bool:
    return code in (_UNLESS_VALUE, _UNLESS)


def attach(program: bytes, cgroup_fd: int) -> None:
    """Load a program and put it on a v2 cgroup, for as long as the group lives."""
    instructions = ctypes.create_string_buffer(program, len(program))
    terms = ctypes.create_string_buffer(b"Apache-2.0")
    load = struct.pack(
        "=IIQQIIQII",
        _PROG_TYPE_CGROUP_DEVICE,
        len(program) // 8,
        ctypes.addressof(instructions),
        ctypes.addressof(terms),
        *(0, 0, 0, 0, 0),
    )
    fd = syscall("bpf", _SYS_BPF, _PROG_LOAD, load, len(load), subject="BPF_PROG_LOAD")
    try:
        place = struct.pack("=IIII", cgroup_fd, fd, _ATTACH_CGROUP_DEVICE, 0)
        syscall("bpf", _SYS_BPF, _PROG_ATTACH, place, len(place), subject="BPF_PROG_ATTACH")
    finally:
        os.close(fd)
