//! Writes values on Lua's stack as JSON text, without an intermediate form.
//!
//! It uses only raw reads: no metamethod runs, and no function here raises a Lua error (see `call`), so all of it is
//! part of a body. If a table has to be read through metamethods, the body ends, and runs again with a plain copy of
//! the table (see `plain`). Tables are interpreted as in lua-cjson.

use std::ffi::c_int;
use std::io::{self, Write};

use super::ffi;
use super::scratch::LuaError;
use super::stack::{HAS_INTEGERS, NULL, State, Upvalue, pop, string_at, whole};
use crate::internals::{failed, from_utf8, invalid, max_json_depth, quoted};
use crate::{Code, Result};

/// The depth of JSON that is written and read.
pub(super) const MAX_DEPTH: usize = max_json_depth();

/// Stack slots that encoding needs: a table, a key and a value for each level, and some more.
const SLOTS: c_int = 3 * MAX_DEPTH as c_int + 40;

/// An array may have this many items before its holes are counted, and then this many slots for each item: the defaults
/// of lua-cjson's `encode_sparse_array`.
const SPARSE_SAFE: i64 = 10;
const SPARSE_RATIO: i64 = 2;

/// Makes the stack large enough for [`write()`]. Can raise an error.
pub(super) unsafe fn reserve(l: State) {
    // SAFETY: the caller owns nothing that needs dropping.
    unsafe { ffi::luaL_checkstack(l, SLOTS, c"JSON".as_ptr()) };
}

/// Writes an argument as JSON, replacing the contents of `out`; or, if it has one at `index`, the field `metadata` of
/// an argument. A text of more than `limit` bytes is an error about `what`.
///
/// The stack must have been [reserved](reserve).
pub(super) fn write(
    l: State,
    (argument, index): (c_int, c_int),
    out: &mut Vec<u8>,
    limit: usize,
    what: &'static str,
) -> Result<(), LuaError> {
    out.clear();
    let mut writer = Writer { l, out, limit, what, proxy: false };
    // SAFETY: the index belongs to this call, and the stack is large enough.
    unsafe {
        let top = ffi::lua_gettop(l);
        writer.value(ffi::lua_absindex(l, index), 0).map_err(|fault| {
            // When the body is run again, nothing of this run may be where an argument that was not given would be.
            ffi::lua_settop(l, top);
            if writer.proxy { LuaError::Proxy { argument, metadata: index != argument } } else { fault.into() }
        })
    }
}

/// Whether it is the light userdata NULL, or the value that this instance of the module uses for null.
pub(super) fn is_null(l: State, index: c_int) -> bool {
    // SAFETY: any index is valid, and neither a raw comparison nor these reads can raise an error.
    unsafe {
        ffi::lua_rawequal(l, index, Upvalue::Null.index()) != 0
            || (ffi::lua_type(l, index) == ffi::LUA_TLIGHTUSERDATA && ffi::lua_touserdata(l, index) == NULL)
    }
}

struct Writer<'a> {
    l: State,
    out: &'a mut Vec<u8>,
    limit: usize,
    what: &'static str,
    /// Set if a table has to be read through its metamethods.
    proxy: bool,
}

/// A large text must not abort the process when memory runs out.
impl Write for Writer<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.out.try_reserve(bytes.len()).map_err(|_| io::ErrorKind::OutOfMemory)?;
        self.out.extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

// SAFETY of all that follows: indices are absolute and valid. A function that pushes a value pops it, unless an error
// ends everything. No function is called that could raise a Lua error or run Lua code.
impl Writer<'_> {
    unsafe fn value(&mut self, index: c_int, depth: usize) -> Result<()> {
        // SAFETY: see above.
        unsafe {
            match ffi::lua_type(self.l, index) {
                ffi::LUA_TNIL => self.put("null")?,
                ffi::LUA_TLIGHTUSERDATA | ffi::LUA_TUSERDATA | ffi::LUA_TTABLE if is_null(self.l, index) => {
                    self.put("null")?
                }
                ffi::LUA_TBOOLEAN => {
                    self.put(if ffi::lua_toboolean(self.l, index) != 0 { "true" } else { "false" })?;
                }
                ffi::LUA_TNUMBER => self.number(index).write(self)?,
                ffi::LUA_TSTRING => self.string(string_at(self.l, index).unwrap_or_default())?,
                ffi::LUA_TTABLE => self.table(index, depth)?,
                _ => return Err(invalid(format!("JSON cannot represent a {}", self.type_name(index)))),
            }
        }
        self.check_len(0)
    }

    fn put(&mut self, text: &str) -> Result<()> {
        written(self.write_all(text.as_bytes()))
    }

    /// Stops early: shared tables can produce more text than there is memory.
    fn check_len(&self, more: usize) -> Result<()> {
        if self.out.len() + more <= self.limit {
            return Ok(());
        }
        let message =
            format!("{} is at least {} bytes long; the limit is {}", self.what, self.out.len() + more, self.limit);
        Err(failed(Code::Limit, message))
    }

    fn string(&mut self, bytes: &[u8]) -> Result<()> {
        self.check_len(bytes.len())?;
        let text = from_utf8(bytes).map_err(|_| {
            invalid(format!("a JSON string must be UTF-8: {}", quoted(&String::from_utf8_lossy(bytes))))
        })?;
        written(serde_json::to_writer(self, text).map_err(io::Error::from))
    }

    /// Returns the number at `index`.
    unsafe fn number(&self, index: c_int) -> Number {
        // SAFETY: it is a number.
        unsafe {
            if HAS_INTEGERS && ffi::lua_isinteger(self.l, index) != 0 {
                Number::Int(ffi::lua_tointeger(self.l, index) as i64)
            } else {
                Number::of(ffi::lua_tonumber(self.l, index))
            }
        }
    }

    unsafe fn table(&mut self, index: c_int, depth: usize) -> Result<()> {
        if depth == MAX_DEPTH {
            return Err(invalid(format!("nested deeper than {MAX_DEPTH}; does a table contain itself?")));
        }
        // SAFETY: see above.
        unsafe {
            match self.shape(index)? {
                Shape::Array(len) => self.array(index, len, depth),
                Shape::Object => self.object(index, depth),
            }
        }
    }

    /// An array has only integer keys from 1 on, and not too many holes.
    unsafe fn shape(&mut self, index: c_int) -> Result<Shape> {
        let (mut max, mut count) = (0, 0);
        // SAFETY: see above.
        unsafe {
            let (marked, meta) = self.metatable(index);
            if meta.pairs {
                return self.proxy();
            }
            ffi::lua_pushnil(self.l);
            while ffi::lua_next(self.l, index) != 0 {
                pop(self.l, 1);
                let place = match ffi::lua_type(self.l, -1) {
                    ffi::LUA_TNUMBER => whole(ffi::lua_tonumber(self.l, -1)).filter(|place| *place > 0),
                    _ => None,
                };
                let Some(place) = place else {
                    pop(self.l, 1);
                    return match marked {
                        true => Err(invalid("an array has a key that is not a whole number from 1 up")),
                        false => Ok(Shape::Object),
                    };
                };
                max = max.max(place);
                count += 1;
            }
            if meta.len || (meta.index && count == 0) {
                return self.proxy();
            }
            if max > SPARSE_SAFE && max > count * SPARSE_RATIO {
                return Err(invalid(format!(
                    "an array with {count} items has its last at {max}: too many holes; with strings for keys it is an object"
                )));
            }
            Ok(if count > 0 || marked { Shape::Array(max) } else { Shape::Object })
        }
    }

    /// Returns whether a table is marked as an array, and otherwise which metamethods it has.
    unsafe fn metatable(&self, index: c_int) -> (bool, Meta) {
        let mut meta = Meta::default();
        // SAFETY: see above. The metatable of arrays contains the names of the metamethods.
        unsafe {
            if ffi::lua_getmetatable(self.l, index) == 0 {
                return (false, meta);
            }
            let marked = ffi::lua_rawequal(self.l, -1, Upvalue::Array.index()) != 0;
            if !marked {
                for (place, has) in (1..).zip([&mut meta.pairs, &mut meta.len, &mut meta.index]) {
                    ffi::lua_rawgeti(self.l, Upvalue::Array.index(), place);
                    ffi::lua_rawget(self.l, -2);
                    *has = ffi::lua_type(self.l, -1) != ffi::LUA_TNIL;
                    pop(self.l, 1);
                }
            }
            pop(self.l, 1);
            (marked, meta)
        }
    }

    /// Ends the writing, since a table has to be read through its metamethods.
    fn proxy<T>(&mut self) -> Result<T> {
        self.proxy = true;
        Err(invalid("a table has metamethods"))
    }

    unsafe fn array(&mut self, index: c_int, len: i64, depth: usize) -> Result<()> {
        self.put("[")?;
        for place in 1..=len {
            if place > 1 {
                self.put(",")?;
            }
            // SAFETY: see above.
            unsafe {
                ffi::lua_rawgeti(self.l, index, place as ffi::lua_Integer);
                self.value(ffi::lua_gettop(self.l), depth + 1)?;
                pop(self.l, 1);
            }
        }
        self.put("]")
    }

    unsafe fn object(&mut self, index: c_int, depth: usize) -> Result<()> {
        self.put("{")?;
        let mut first = true;
        // SAFETY: see above.
        unsafe {
            ffi::lua_pushnil(self.l);
            while ffi::lua_next(self.l, index) != 0 {
                if !std::mem::take(&mut first) {
                    self.put(",")?;
                }
                let value = ffi::lua_gettop(self.l);
                self.key(index, value - 1)?;
                self.put(":")?;
                self.value(value, depth + 1)?;
                pop(self.l, 1);
            }
        }
        self.put("}")
    }

    /// Writes a key of an object. A number becomes its decimal text.
    unsafe fn key(&mut self, table: c_int, key: c_int) -> Result<()> {
        // SAFETY: see above.
        unsafe {
            match ffi::lua_type(self.l, key) {
                ffi::LUA_TSTRING => {
                    let name = string_at(self.l, key).unwrap_or_default();
                    if self.is_a_number_too(table, name) {
                        let name = quoted(&String::from_utf8_lossy(name));
                        return Err(invalid(format!("two keys of a table have one name in JSON: {name}")));
                    }
                    self.string(name)
                }
                ffi::LUA_TNUMBER => {
                    self.put("\"")?;
                    self.number(key).as_key().write(self)?;
                    self.put("\"")
                }
                _ => Err(invalid(format!("JSON keys are strings or numbers, not a {}", self.type_name(key)))),
            }
        }
    }

    /// Whether the table has a numeric key with the text `name`.
    unsafe fn is_a_number_too(&self, table: c_int, name: &[u8]) -> bool {
        if !name.first().is_some_and(|first| *first == b'-' || first.is_ascii_digit()) {
            return false;
        }
        let Ok(text) = std::str::from_utf8(name) else { return false };
        let int = if HAS_INTEGERS { text.parse().ok().map(Number::Int) } else { None };
        let float = text.parse().ok().map(Number::of);
        [int, float].into_iter().flatten().any(|number| {
            let (number, mut same) = (number.as_key(), Vec::new());
            if number.write(&mut same).is_err() || same != name {
                return false;
            }
            // SAFETY: see above.
            unsafe {
                match number {
                    Number::Int(int) if HAS_INTEGERS => ffi::lua_pushinteger(self.l, int as ffi::lua_Integer),
                    Number::Int(int) => ffi::lua_pushnumber(self.l, int as f64),
                    Number::Float(float) => ffi::lua_pushnumber(self.l, float),
                }
                ffi::lua_rawget(self.l, table);
                let there = ffi::lua_type(self.l, -1) != ffi::LUA_TNIL;
                pop(self.l, 1);
                there
            }
        })
    }

    unsafe fn type_name(&self, index: c_int) -> String {
        // SAFETY: Lua's type names are static C strings.
        unsafe {
            let name = ffi::lua_typename(self.l, ffi::lua_type(self.l, index));
            std::ffi::CStr::from_ptr(name).to_string_lossy().into_owned()
        }
    }
}

/// The metamethods that provide the contents of a table.
pub(super) const METAMETHODS: [&std::ffi::CStr; 3] = [c"__pairs", c"__len", c"__index"];

/// Which of them a table has.
#[derive(Default)]
struct Meta {
    pairs: bool,
    len: bool,
    index: bool,
}

enum Shape {
    /// The length includes holes.
    Array(i64),
    Object,
}

#[derive(Clone, Copy)]
enum Number {
    Int(i64),
    Float(f64),
}

impl Number {
    /// A float. In a Lua without integers, a 64-bit integer is one, and is written without a fraction or an exponent,
    /// so that `incr` accepts it.
    fn of(number: f64) -> Number {
        let is_int = !HAS_INTEGERS && (number != 0.0 || number.is_sign_positive());
        match whole(number) {
            Some(int) if is_int => Number::Int(int),
            _ => Number::Float(number),
        }
    }

    /// The number as it is as a key of a table: an integer if possible, and never -0.0.
    fn as_key(self) -> Number {
        match self {
            Number::Float(float) if HAS_INTEGERS => whole(float).map_or(self, Number::Int),
            Number::Float(0.0) => Number::Int(0),
            number => number,
        }
    }

    fn write(self, out: &mut impl Write) -> Result<()> {
        match self {
            Number::Int(int) => written(write!(out, "{int}")),
            Number::Float(float) if float.is_finite() => {
                written(serde_json::to_writer(out, &float).map_err(io::Error::from))
            }
            Number::Float(float) => Err(invalid(format!("JSON cannot represent {float}"))),
        }
    }
}

/// Writing into memory fails only if memory is exhausted.
fn written(result: io::Result<()>) -> Result<()> {
    result.map_err(|why| match why.kind() {
        io::ErrorKind::OutOfMemory => failed(Code::NoMem, "out of memory while writing JSON"),
        _ => failed(Code::Internal, why.to_string()),
    })
}
