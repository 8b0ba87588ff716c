"""Generates the modules that know the C interface from include/luat_kv.h, when the package is built.

luat_kv/_declarations.py is for cffi's ABI mode, and plain Python. luat_kv/_compiled is an extension module for cffi's
API mode, in which a call takes less time. It is compiled if there is a compiler, and the package works without it.
Both are generated from the header, so no structure or signature is written a second time by hand.
"""

import pathlib
import re

import cffi

# The header's path in the repository, and in a source distribution.
header = pathlib.Path("../../include/luat_kv.h")
if pathlib.Path("luat_kv.h").exists():
    header = pathlib.Path("luat_kv.h")


def declarations(text: str) -> str:
    """Returns the header without preprocessor directives, except #defines of numbers, which cffi accepts."""
    text = re.sub(r"/\*.*?\*/", "", text, flags=re.DOTALL)
    text = re.sub(r"^#ifdef __cplusplus\n.*?^#endif.*?\n", "", text, flags=re.DOTALL | re.MULTILINE)
    return re.sub(r"^#(?!define LUAT_KV_\w+ -?\d+$).*\n", "", text, flags=re.MULTILINE)


def pointers(text: str) -> str:
    """Returns the declarations with a variable in place of each function: a pointer to a function of that type."""
    return re.sub(r"^(\w[\w ]*[ *])(luat_kv_\w+)\(", r"static \1(*\2)(", text, flags=re.MULTILINE)


declared = declarations(header.read_text(encoding="utf-8"))
functions = re.findall(r"\b(luat_kv_\w+)\(", declared)

# What is in the compiled module beside the interface. It is linked with no library: the package loads the library as in
# ABI mode, and passes the address of each function.
COMPILED = """
const char *function_name(size_t index);
void set_function(size_t index, uintptr_t address);
"""

SOURCE = """
#include <stddef.h>
#include <stdint.h>
#include <string.h>
%(pointers)s
static void *const functions[] = {%(addresses)s};
static const char *const names[] = {%(names)s, NULL};

/* The name of the function at an index; NULL at the end. */
static const char *function_name(size_t index) { return names[index]; }

static void set_function(size_t index, uintptr_t address) { memcpy(functions[index], &address, sizeof address); }
""" % {
    "pointers": pointers(declared),
    "addresses": ", ".join(f"&{name}" for name in functions),
    "names": ", ".join(f'"{name}"' for name in functions),
}

abi = cffi.FFI()
abi.cdef(declared)
abi.set_source("luat_kv._declarations", None)

compiled = cffi.FFI()
compiled.cdef(declared + COMPILED)
# If it cannot be compiled, setuptools says so and goes on.
compiled.set_source("luat_kv._compiled", SOURCE, optional=True)
