# Compiled from what declare.py generates when the package is built. cffi's objects have no static types.
from typing import Any

ffi: Any
lib: Any
