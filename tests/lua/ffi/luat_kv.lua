return require("luat_kv_ffi")
