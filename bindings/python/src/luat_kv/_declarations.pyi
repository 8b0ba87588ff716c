# declare.py generates the module from luat_kv.h when the package is built. cffi's objects have no static types.
from typing import Any

ffi: Any
