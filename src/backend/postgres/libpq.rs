//! libpq, PostgreSQL's client library, loaded when the first store on a server opens.
//!
//! It is not linked, so that programs that use no server do not need it. Its functions are declared as in `libpq-fe.h`.

use std::ffi::{CStr, c_char, c_int, c_void};
use std::mem::ManuallyDrop;
use std::sync::OnceLock;

use libloading::Library;

use crate::error::{Code, Error, Result};

/// A connection (`PGconn`).
#[repr(C)]
pub(super) struct Conn {
    _opaque: [u8; 0],
}

/// A result (`PGresult`).
#[repr(C)]
pub(super) struct ResultPtr {
    _opaque: [u8; 0],
}

/// `PQconninfoOption`.
#[repr(C)]
pub(super) struct ConnOption {
    pub keyword: *mut c_char,
    pub envvar: *mut c_char,
    pub compiled: *mut c_char,
    pub val: *mut c_char,
    pub label: *mut c_char,
    pub dispchar: *mut c_char,
    pub dispsize: c_int,
}

pub(super) const CONNECTION_BAD: c_int = 1;

pub(super) const POLLING_FAILED: c_int = 0;
pub(super) const POLLING_READING: c_int = 1;
pub(super) const POLLING_OK: c_int = 3;

pub(super) const COMMAND_OK: c_int = 1;
pub(super) const TUPLES_OK: c_int = 2;
pub(super) const PIPELINE_SYNC: c_int = 10;
pub(super) const PIPELINE_ABORTED: c_int = 11;

/// Errors with their SQLSTATE (`PQERRORS_VERBOSE`).
pub(super) const ERRORS_VERBOSE: c_int = 2;

// The fields of an error.
pub(super) const SQLSTATE: c_int = b'C' as c_int;
pub(super) const PRIMARY: c_int = b'M' as c_int;
pub(super) const DETAIL: c_int = b'D' as c_int;
pub(super) const HINT: c_int = b'H' as c_int;
pub(super) const TABLE: c_int = b't' as c_int;

/// The first libpq that can send several statements before their answers arrive.
const OLDEST: c_int = 140_000;

#[cfg(target_vendor = "apple")]
const NAME: &str = "libpq.5.dylib";
#[cfg(not(target_vendor = "apple"))]
const NAME: &str = "libpq.so.5";

macro_rules! functions {
    ($($field:ident = $name:literal: fn($($argument:ty),*) $(-> $result:ty)?;)*) => {
        /// Functions of a libpq that stays loaded.
        pub(super) struct Libpq {
            $(pub $field: unsafe extern "C" fn($($argument),*) $(-> $result)?,)*
        }

        impl Libpq {
            fn of(library: &Library) -> Result<Libpq, libloading::Error> {
                // SAFETY: the types are those of `libpq-fe.h`, which libpq.so.5 keeps, and the library stays loaded.
                unsafe { Ok(Libpq { $($field: *library.get($name)?,)* }) }
            }

            /// One for tests without a server, which can do nothing but end connections.
            #[cfg(test)]
            pub fn that_ends(end: unsafe extern "C" fn(*mut Conn)) -> Libpq {
                $(unsafe extern "C" fn $field($(_: $argument),*) $(-> $result)? {
                    unreachable!()
                })*
                Libpq { finish: end, ..Libpq { $($field,)* } }
            }
        }
    };
}

functions! {
    cmd_tuples = c"PQcmdTuples": fn(*mut ResultPtr) -> *mut c_char;
    backend_pid = c"PQbackendPID": fn(*const Conn) -> c_int;
    clear = c"PQclear": fn(*mut ResultPtr);
    connect_poll = c"PQconnectPoll": fn(*mut Conn) -> c_int;
    connect_start = c"PQconnectStartParams": fn(*const *const c_char, *const *const c_char, c_int) -> *mut Conn;
    conninfo_free = c"PQconninfoFree": fn(*mut ConnOption);
    conninfo_parse = c"PQconninfoParse": fn(*const c_char, *mut *mut c_char) -> *mut ConnOption;
    consume_input = c"PQconsumeInput": fn(*mut Conn) -> c_int;
    connection_needs_password = c"PQconnectionNeedsPassword": fn(*const Conn) -> c_int;
    enter_pipeline = c"PQenterPipelineMode": fn(*mut Conn) -> c_int;
    error_message = c"PQerrorMessage": fn(*const Conn) -> *const c_char;
    finish = c"PQfinish": fn(*mut Conn);
    flush = c"PQflush": fn(*mut Conn) -> c_int;
    free = c"PQfreemem": fn(*mut c_void);
    get_is_null = c"PQgetisnull": fn(*const ResultPtr, c_int, c_int) -> c_int;
    get_length = c"PQgetlength": fn(*const ResultPtr, c_int, c_int) -> c_int;
    get_result = c"PQgetResult": fn(*mut Conn) -> *mut ResultPtr;
    get_value = c"PQgetvalue": fn(*const ResultPtr, c_int, c_int) -> *const c_char;
    is_busy = c"PQisBusy": fn(*mut Conn) -> c_int;
    n_tuples = c"PQntuples": fn(*const ResultPtr) -> c_int;
    pipeline_sync = c"PQpipelineSync": fn(*mut Conn) -> c_int;
    result_error_field = c"PQresultErrorField": fn(*const ResultPtr, c_int) -> *const c_char;
    result_status = c"PQresultStatus": fn(*const ResultPtr) -> c_int;
    send_query = c"PQsendQueryParams": fn(*mut Conn, *const c_char, c_int, *const u32, *const *const c_char,
        *const c_int, *const c_int, c_int) -> c_int;
    send_prepare = c"PQsendPrepare": fn(*mut Conn, *const c_char, *const c_char, c_int, *const u32) -> c_int;
    send_prepared = c"PQsendQueryPrepared": fn(*mut Conn, *const c_char, c_int, *const *const c_char, *const c_int,
        *const c_int, c_int) -> c_int;
    set_error_verbosity = c"PQsetErrorVerbosity": fn(*mut Conn, c_int) -> c_int;
    set_nonblocking = c"PQsetnonblocking": fn(*mut Conn, c_int) -> c_int;
    set_notice_processor = c"PQsetNoticeProcessor":
        fn(*mut Conn, Option<unsafe extern "C" fn(*mut c_void, *const c_char)>, *mut c_void) -> *mut c_void;
    socket = c"PQsocket": fn(*const Conn) -> c_int;
    ssl_in_use = c"PQsslInUse": fn(*mut Conn) -> c_int;
    status = c"PQstatus": fn(*const Conn) -> c_int;
}

/// Returns libpq. It is loaded once, and stays loaded.
pub(super) fn load() -> Result<&'static Libpq> {
    static LOADED: OnceLock<std::result::Result<Libpq, Error>> = OnceLock::new();
    LOADED.get_or_init(open).as_ref().map_err(Clone::clone)
}

fn open() -> Result<Libpq> {
    // SAFETY: loading libpq runs no code with requirements of its own.
    let library = unsafe { Library::new(NAME) }.map_err(|why| {
        let message = format!("a PostgreSQL server needs its client library: install the package libpq5 ({why})");
        Error::new(Code::Io, message)
    })?;
    // Its functions are used until the process ends, so it is never unloaded.
    let library = ManuallyDrop::new(library);
    // SAFETY: it has no arguments and is in every libpq.so.5.
    let version = unsafe { library.get::<unsafe extern "C" fn() -> c_int>(c"PQlibVersion").map(|version| version()) };
    match (version, Libpq::of(&library)) {
        (Ok(version), _) if version < OLDEST => Err(Error::new(
            Code::Io,
            format!("{NAME} is version {}; a PostgreSQL store needs libpq 14 or later", version / 10_000),
        )),
        (_, functions) => functions.map_err(|why| Error::new(Code::Io, format!("{NAME} is not PostgreSQL's: {why}"))),
    }
}

/// A text of libpq's; empty for NULL.
///
/// # Safety
///
/// It is NULL or ends with a NUL, and stays unchanged while the result is used.
pub(super) unsafe fn text<'a>(text: *const c_char) -> std::borrow::Cow<'a, str> {
    if text.is_null() {
        return "".into();
    }
    // SAFETY: the caller's promise.
    unsafe { CStr::from_ptr(text) }.to_string_lossy()
}
