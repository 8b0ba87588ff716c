//! Reads arguments and options. It converts nothing and ignores nothing.

use std::ffi::{CStr, c_int};
use std::time::Duration;

use super::call::Call;
use super::ffi;
use super::scratch::LuaError;
use super::stack::{Slot, Upvalue, pop, slot, string_at, whole};
use crate::Result;
use crate::internals::{closed, from_utf8, invalid, quoted};

/// An error about the argument at `index`.
pub(super) fn bad<T>(index: c_int, message: impl Into<String>) -> Result<T, LuaError> {
    Err(LuaError::Argument(index, message.into()))
}

impl<'a> Call<'a> {
    /// Returns the object that a method was called on.
    #[inline(always)]
    pub(super) fn object<T>(&self, what: &str, metatable: Upvalue) -> Result<&'a T, LuaError> {
        // SAFETY: popping what `object_below` pushed.
        let object = self.object_below(metatable).inspect(|_| unsafe { pop(self.l, 1) });
        match object {
            Some(Some(object)) => Ok(object),
            Some(None) => Err(closed().into()),
            None => self.no_object(what),
        }
    }

    /// Returns the contents of the slot that a method was called on; `None` if it is none of these. Leaves the metatable
    /// on the stack.
    #[inline(always)]
    pub(super) fn object_below<T>(&self, metatable: Upvalue) -> Option<&'a Slot<T>> {
        let known = self.scratch.metatables[metatable as usize - Upvalue::Store as usize];
        // SAFETY: any index is valid. The userdata is the first argument of this call and stays on its stack. Its
        // metatable shows that it is a slot for `T`. Only other calls empty slots, and none can run during a body.
        unsafe {
            let is_one = ffi::lua_getmetatable(self.l, 1) != 0 && ffi::lua_topointer(self.l, -1) == known;
            if is_one { slot::<T>(self.l, 1).as_ref() } else { None }
        }
    }

    #[cold]
    fn no_object<T>(&self, what: &str) -> Result<T, LuaError> {
        // A common mistake is a full stop instead of the colon.
        bad(1, format!("{what} expected, got {}; a method is called with ':'", self.type_name(1)))
    }

    #[inline]
    pub(super) fn type_of(&self, index: c_int) -> c_int {
        // SAFETY: any index is valid.
        unsafe { ffi::lua_type(self.l, index) }
    }

    /// The name of a value's type, as in Lua's own messages.
    pub(super) fn type_name(&self, index: c_int) -> &'static str {
        self.name_of(self.type_of(index))
    }

    pub(super) fn name_of(&self, kind: c_int) -> &'static str {
        // SAFETY: Lua's type names are static.
        let name = unsafe { CStr::from_ptr(ffi::lua_typename(self.l, kind)) };
        name.to_str().unwrap_or("?")
    }

    /// Returns the bytes of a string.
    #[inline(always)]
    pub(super) fn bytes(&self, index: c_int) -> Option<&'a [u8]> {
        // SAFETY: the string is an argument, or in a table that is one, and so outlives the body.
        unsafe { string_at(self.l, index) }
    }

    /// Reads a string argument that must be UTF-8: a key or a name. Numbers are refused, since 10/2 is "5.0" in one
    /// version of Lua and "5" in another, which would be two keys.
    #[inline(always)]
    pub(super) fn text(&self, index: c_int, what: &str) -> Result<&'a str, LuaError> {
        match self.bytes(index) {
            Some(bytes) => utf8(bytes, what),
            None => self.no_text(index),
        }
    }

    #[cold]
    fn no_text<T>(&self, index: c_int) -> Result<T, LuaError> {
        bad(index, format!("string expected, got {}", self.type_name(index)))
    }

    /// Reads an integer argument; `None` for nil.
    pub(super) fn optional_whole(&self, index: c_int) -> Result<Option<i64>, LuaError> {
        match (self.type_of(index), self.as_integer(index)) {
            (ffi::LUA_TNIL, _) => Ok(None),
            (_, Some(number)) => Ok(Some(number)),
            (ffi::LUA_TNUMBER, _) => bad(index, "whole number expected"),
            _ => bad(index, format!("number expected, got {}", self.type_name(index))),
        }
    }

    /// Reads an argument of seconds; `None` for nil.
    pub(super) fn optional_seconds(&self, index: c_int) -> Result<Option<Duration>, LuaError> {
        match self.type_of(index) {
            ffi::LUA_TNIL => Ok(None),
            // SAFETY: it is a number.
            ffi::LUA_TNUMBER => match seconds(unsafe { ffi::lua_tonumber(self.l, index) }) {
                Ok(time) => Ok(Some(time)),
                Err(message) => bad(index, message),
            },
            _ => bad(index, format!("number expected, got {}", self.type_name(index))),
        }
    }

    /// Returns a number if it is an integer, however this Lua stores it.
    pub(super) fn as_integer(&self, index: c_int) -> Option<i64> {
        if self.type_of(index) != ffi::LUA_TNUMBER {
            return None;
        }
        // SAFETY: it is a number, so neither call converts it.
        unsafe {
            if ffi::lua_isinteger(self.l, index) != 0 {
                return Some(ffi::lua_tointeger(self.l, index) as i64);
            }
            whole(ffi::lua_tonumber(self.l, index))
        }
    }

    /// Whether a table has an `__index`. Raw reads do not see what it provides, and would ignore it.
    fn inherits(&self, table: c_int) -> bool {
        // SAFETY: as in `options`. (`lua_rawget` would need the name pushed, which can raise an error.)
        unsafe {
            if ffi::lua_getmetatable(self.l, table) == 0 {
                return false;
            }
            let metatable = ffi::lua_gettop(self.l);
            ffi::lua_pushnil(self.l);
            let mut found = false;
            while !found && ffi::lua_next(self.l, metatable) != 0 {
                found = self.bytes(metatable + 1) == Some(b"__index");
                pop(self.l, 1);
            }
            ffi::lua_settop(self.l, metatable - 1);
            found
        }
    }

    /// A string in place of options is most likely meant for the first option that takes one.
    fn options_expected(&mut self, argument: c_int, names: &[&'static str]) -> String {
        let expected = format!("table expected, got {}", self.type_name(argument));
        let is_url = self.bytes(argument).is_some_and(|text| text.windows(3).any(|part| part == b"://"));
        let meant = if is_url { ["url", "prefix"] } else { ["path", "prefix"] };
        let meant = meant.into_iter().find(|name| names.contains(name));
        match (self.type_of(argument), meant) {
            (ffi::LUA_TSTRING, Some(name)) => format!("{expected}: did you mean {{ {name} = … }}?"),
            _ => expected,
        }
    }

    /// Goes through an options table, which may be missing. Calls `each` with the name of each option, one of `names`,
    /// and the index of its value.
    pub(super) fn options(
        &mut self,
        argument: c_int,
        names: &[&'static str],
        mut each: impl FnMut(&mut Self, &'static str, Opt) -> Result<(), LuaError>,
    ) -> Result<(), LuaError> {
        match self.type_of(argument) {
            ffi::LUA_TNIL | ffi::LUA_TNONE => return Ok(()),
            ffi::LUA_TTABLE => {}
            _ => return bad(argument, self.options_expected(argument, names)),
        }
        if self.inherits(argument) {
            return bad(argument, "options must be fields of the table itself, but its metatable has __index");
        }
        // SAFETY: a C function has LUA_MINSTACK slots, of which this uses a few. The table does not change meanwhile.
        unsafe {
            ffi::lua_pushnil(self.l);
            while ffi::lua_next(self.l, argument) != 0 {
                let index = ffi::lua_gettop(self.l);
                let Some(name) = self.bytes(index - 1) else {
                    return bad(argument, format!("an option's name is a string, not a {}", self.type_name(index - 1)));
                };
                let Some(known) = names.iter().find(|known| known.as_bytes() == name) else {
                    return bad(argument, format!("unknown option {}", with_suggestion(name, names)));
                };
                each(self, known, Opt { argument, name: known, index })?;
                pop(self.l, 1);
            }
        }
        Ok(())
    }
}

/// The index of an option's value, and how messages name it.
#[derive(Clone, Copy)]
pub(super) struct Opt {
    argument: c_int,
    name: &'static str,
    pub index: c_int,
}

impl Opt {
    pub(super) fn wrong<T>(self, message: impl std::fmt::Display) -> Result<T, LuaError> {
        bad(self.argument, format!("option '{}': {message}", self.name))
    }

    fn expected<T>(self, call: &Call<'_>, what: &str) -> Result<T, LuaError> {
        self.wrong(format_args!("{what} expected, got {}", call.type_name(self.index)))
    }

    pub(super) fn bytes<'a>(self, call: &Call<'a>) -> Result<&'a [u8], LuaError> {
        call.bytes(self.index).map_or_else(|| self.expected(call, "string"), Ok)
    }

    pub(super) fn text<'a>(self, call: &Call<'a>) -> Result<&'a str, LuaError> {
        utf8(self.bytes(call)?, self.name)
    }

    /// The index of a table.
    pub(super) fn table(self, call: &Call<'_>) -> Result<c_int, LuaError> {
        if call.type_of(self.index) == ffi::LUA_TTABLE { Ok(self.index) } else { self.expected(call, "table") }
    }

    pub(super) fn boolean(self, call: &Call<'_>) -> Result<bool, LuaError> {
        match call.type_of(self.index) {
            // SAFETY: it is a boolean.
            ffi::LUA_TBOOLEAN => Ok(unsafe { ffi::lua_toboolean(call.l, self.index) } != 0),
            _ => self.expected(call, "boolean"),
        }
    }

    pub(super) fn number(self, call: &Call<'_>) -> Result<f64, LuaError> {
        match call.type_of(self.index) {
            // SAFETY: it is a number.
            ffi::LUA_TNUMBER => Ok(unsafe { ffi::lua_tonumber(call.l, self.index) }),
            _ => self.expected(call, "number"),
        }
    }

    /// Reads a time of seconds.
    pub(super) fn seconds(self, call: &Call<'_>) -> Result<Duration, LuaError> {
        seconds(self.number(call)?).or_else(|message| self.wrong(message))
    }

    pub(super) fn as_integer(self, call: &Call<'_>) -> Result<i64, LuaError> {
        let number = self.number(call)?;
        call.as_integer(self.index)
            .map_or_else(|| self.wrong(format_args!("whole number expected, got {number:?}")), Ok)
    }

    /// Reads a string that must be one of a few words.
    pub(super) fn as_choice<T: Copy>(self, call: &Call<'_>, words: &[(&'static str, T)]) -> Result<T, LuaError> {
        choice(self.bytes(call)?, words).or_else(|unknown| self.wrong(format_args!("unknown value {unknown}")))
    }
}

/// Returns a time of seconds. One that is too long, such as `math.huge`, never ends. The error is a text for a message.
fn seconds(number: f64) -> Result<Duration, String> {
    match number >= 0.0 {
        true => Ok(Duration::try_from_secs_f64(number).unwrap_or(Duration::MAX)),
        false => Err(format!("seconds from 0 up expected, got {number:?}")),
    }
}

/// Returns the meaning of one of a few words. The error is a text for a message, with a suggestion.
pub(super) fn choice<T: Copy>(name: &[u8], words: &[(&'static str, T)]) -> Result<T, String> {
    match words.iter().find(|(word, _)| word.as_bytes() == name) {
        Some((_, meaning)) => Ok(*meaning),
        None => Err(with_suggestion(name, &words.iter().map(|(word, _)| *word).collect::<Vec<_>>())),
    }
}

/// `'expiration_ttl' (did you mean 'expirationTtl'?)`. If no word is similar, all are listed.
fn with_suggestion(name: &[u8], known: &[&str]) -> String {
    /// Words that are less similar are not suggested. clap uses the same threshold.
    const NEAR: f64 = 0.7;
    let name = String::from_utf8_lossy(name);
    let likeness = |word: &str| {
        let (word, name) = (word.to_lowercase(), name.to_lowercase());
        // For example "ttl" in "expirationTtl".
        let part = if name.len() > 2 && word.contains(&name) { 0.75 } else { 0.0 };
        strsim::jaro(&word, &name).max(part)
    };
    let nearest = known.iter().max_by(|a, b| likeness(a).total_cmp(&likeness(b)));
    let shown = quoted(&name);
    let shown = shown.trim_matches(|end| end == '"' || end == '…');
    match nearest {
        Some(word) if likeness(word) > NEAR => format!("'{shown}' (did you mean '{word}'?)"),
        _ => format!("'{shown}' (there are: {})", known.join(", ")),
    }
}

#[inline(always)]
pub(super) fn utf8<'a>(bytes: &'a [u8], what: &str) -> Result<&'a str, LuaError> {
    from_utf8(bytes).or_else(|_| not_utf8(bytes, what))
}

#[cold]
fn not_utf8<T>(bytes: &[u8], what: &str) -> Result<T, LuaError> {
    Err(invalid(format!("the {what} is not UTF-8: {}", quoted(&String::from_utf8_lossy(bytes)))).into())
}
