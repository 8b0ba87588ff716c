# The module is made of luat_kv.h when the package is built (declare.py). What cffi makes of it has no static types.
from typing import Any

ffi: Any
