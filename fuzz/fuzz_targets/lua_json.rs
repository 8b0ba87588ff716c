//! The Lua module's JSON, both ways: any text is refused by a string, or is a value that is written and read again as
//! the same text.
#![no_main]

use std::ffi::{CStr, c_int};

use libfuzzer_sys::fuzz_target;
use mlua_sys as ffi;

/// Only so that the module is linked.
use luat_kv as _;

unsafe extern "C-unwind" {
    fn luaopen_luat_kv(l: *mut ffi::lua_State) -> c_int;
}

const SCRIPT: &CStr = c"
local KV, text = ...
local json = KV.json
local read, value = pcall(json.decode, text)
if not read then return type(value) == 'string' end
local wrote, once = pcall(json.encode, value)
if not wrote then -- a document that is only null is nil, and names may come twice
  return type(once) == 'string' and (value == nil or once:find('nil') ~= nil)
end
local twice = json.encode(json.decode(once))
return once == twice
";

fuzz_target!(|text: &[u8]| {
    // SAFETY: the state is this function's own, has room for what is pushed, and every error is caught by lua_pcall.
    unsafe {
        let l = ffi::luaL_newstate();
        ffi::luaL_openlibs(l);
        assert_eq!(
            ffi::luaL_loadbufferx(l, SCRIPT.as_ptr(), SCRIPT.count_bytes(), c"=script".as_ptr(), c"t".as_ptr()),
            0
        );
        ffi::lua_pushcclosure(l, luaopen_luat_kv, 0);
        assert_eq!(ffi::lua_pcall(l, 0, 1, 0), 0);
        ffi::lua_pushlstring(l, text.as_ptr().cast(), text.len());
        if ffi::lua_pcall(l, 2, 1, 0) != 0 {
            panic!("{}", CStr::from_ptr(ffi::lua_tostring(l, -1)).to_string_lossy());
        }
        assert_eq!(ffi::lua_toboolean(l, -1), 1, "{:?}", String::from_utf8_lossy(text));
        ffi::lua_close(l);
    }
});
