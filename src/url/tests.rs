use proptest::prelude::*;

use super::*;
use crate::error::Code;

fn parsed(text: &str) -> Url {
    Url::parse(text).unwrap_or_else(|error| panic!("{text:?}: {error}"))
}

fn refused(text: &str) -> String {
    let error = Url::parse(text).expect_err(text);
    assert_eq!(error.code(), Code::Invalid, "{text:?}");
    error.message().to_owned()
}

#[test]
fn a_scheme_chooses_the_back_end() {
    for (text, url) in [
        ("memory:", Url::Memory),
        ("Memory://", Url::Memory),
        ("postgres://h/d", Url::Postgres("postgresql://h/d".into())),
        (
            "POSTGRESQL://u:p%40@h1:1,[::1]:2/d?sslmode=require",
            Url::Postgres("postgresql://u:p%40@h1:1,[::1]:2/d?sslmode=require".into()),
        ),
        (
            "postgresql:///d?host=/run/postgresql&user=a@b",
            Url::Postgres("postgresql:///d?host=/run/postgresql&user=a@b".into()),
        ),
    ] {
        assert_eq!(parsed(text), url, "{text}");
    }
    for (text, path) in [
        ("kv.db", "kv.db"),
        ("/srv/a:b.db", "/srv/a:b.db"),
        ("./a:b.db", "./a:b.db"),
        ("C:\\kv.db", "C:\\kv.db"),
        ("c:/kv.db", "c:/kv.db"),
        (":memory:", ":memory:"),
        ("a%20b", "a%20b"),
        ("", ""),
        ("file:///srv/kv.db", "/srv/kv.db"),
        ("file:/srv/kv.db", "/srv/kv.db"),
        ("file://localhost/srv/kv.db", "/srv/kv.db"),
        ("FILE://LocalHost/srv/kv.db", "/srv/kv.db"),
        ("file:kv.db", "kv.db"),
        ("file:../kv.db", "../kv.db"),
        ("file:a%20b%3F%c3%a4", "a b?ä"),
    ] {
        assert_eq!(parsed(text), Url::File(path.into()), "{text}");
    }
}

#[cfg(unix)]
#[test]
fn a_url_that_is_no_utf8_is_not_taken_for_a_path() {
    use std::os::unix::ffi::OsStrExt;
    let of = |bytes: &[u8]| Url::of(OsStr::from_bytes(bytes));
    assert_eq!(of(b"dir/\xff.db"), Ok(Url::File(OsStr::from_bytes(b"dir/\xff.db").into())));
    for text in [&b"postgresql://u:SECRET\xff@h/db"[..], b"file:/srv/\xff.db", b"postgres://h/\xff"] {
        let error = of(text).unwrap_err();
        assert_eq!(error.code(), Code::Invalid);
        assert!(!error.message().contains("SECRET"), "{error}");
    }
}

#[test]
fn a_path_with_a_password_is_a_mistyped_url() {
    for text in ["//u:SECRET@h/db", "://u:SECRET@h/db", "postgresql//u:SECRET@h/db", "x//u:SECRET@h"] {
        assert!(!refused(text).contains("SECRET"), "{text}");
    }
    for text in ["//srv/kv.db", "a//b:c/d@e", "//a@b/c"] {
        assert_eq!(parsed(text), Url::File(text.into()));
    }
    for name in ["pass", "passwor", "scram_client_key", "PGPASSWORD"] {
        let url = format!("postgresql://h/db?{name}=SECRET");
        assert!(!redacted(&url).contains("SECRET"), "{}", redacted(&url));
    }
}

#[cfg(unix)]
#[test]
fn a_path_in_a_file_url_is_bytes() {
    use std::os::unix::ffi::OsStrExt;
    let Url::File(path) = parsed("file:%ff/C:") else { panic!() };
    assert_eq!(path.as_os_str().as_bytes(), b"\xff/C:");
}

#[cfg(windows)]
#[test]
fn a_drive_in_a_file_url_has_no_slash_before_it() {
    assert_eq!(parsed("file:///C:/kv.db"), Url::File("C:/kv.db".into()));
}

#[test]
fn what_no_back_end_takes_is_refused() {
    for (text, word) in [
        ("mysql://h/d", "\"mysql:\"; it can be postgresql:, postgres:, file: or memory:"),
        ("sqlite:kv.db", "\"sqlite:\""),
        ("memory:x", "memory: without anything"),
        ("file:", "is empty"),
        ("file://", "is empty"),
        ("file://server/kv.db", "names another host"),
        ("file:kv.db?mode=ro", "no query"),
        ("file:kv.db#1", "no fragment"),
        ("file:%", "two hexadecimal digits"),
        ("file:%+1", "two hexadecimal digits"),
        ("file:a%00", "a NUL"),
        (" postgresql://h/d", "does not begin with a scheme"),
        ("postgresql//u@h/d", "the colon behind the scheme is missing"),
        ("Postgres//h/d", "the colon behind the scheme is missing"),
        ("host=h user=u", "parameter=value"),
        ("postgresql:h/d", "is postgresql://"),
        ("postgresql:/h/d", "is postgresql://"),
        ("postgresql://h/d\n", "line break"),
        ("postgresql://u:50%@h/d", "two hexadecimal digits"),
        ("postgresql://u:p@w@h/d", "after the host"),
        ("postgresql://u:p/w@h/d", "after the host"),
        ("postgresql://u:1/w?x=1@h/d", "after the host"),
        ("postgresql://u:p/d", "not a number"),
        ("postgresql://h/d?sslmode", "name=value"),
        ("postgresql://h/d?password=a=b", "name=value"),
    ] {
        let message = refused(text);
        assert!(message.contains(word), "{text:?}: {message}");
    }
}

#[test]
fn a_url_is_no_path_of_a_file() {
    for text in ["postgresql://h/d", "Postgres:h", "memory:", "memory://", "mysql://h", "file:///kv.db"] {
        assert!(check_path(Path::new(text)).is_err(), "{text}");
    }
    for text in ["kv.db", "file:kv.db", "C://kv.db", "a:b", "./postgresql:x", "memory:x", "/postgres://x", ""] {
        assert_eq!(check_path(Path::new(text)), Ok(()), "{text}");
    }
}

#[test]
fn options_of_files_are_refused_with_postgres() {
    let full = OpenOptions::new().durability(Durability::Full);
    assert!(check_postgres(&full).unwrap_err().message().contains("the server decides"));
    assert!(check_postgres(&OpenOptions::new().cache_size(1)).unwrap_err().message().contains("cache_size is 1"));
    for options in [OpenOptions::new(), OpenOptions::new().cache_size(0).readonly(true)] {
        assert_eq!(check_postgres(&options), Ok(()));
    }
}

#[test]
fn only_passwords_are_hidden() {
    for (url, shown) in [
        ("postgresql://u@h1:1,h2:2/d?sslmode=require", "postgresql://u@h1:1,h2:2/d?sslmode=require"),
        ("postgresql:///d?host=/tmp&user=a@b", "postgresql:///d?host=/tmp&user=a@b"),
        ("postgresql://[::1]:5432/d", "postgresql://[::1]:5432/d"),
        ("postgresql://u:pw@h/d?sslmode=require", "postgresql://u:***@h/d?sslmode=require"),
        ("postgresql://:pw@h", "postgresql://:***@h"),
        ("postgresql://h/d?user=u&password=p&host=h", "postgresql://h/d?user=u&password=***"),
        ("postgresql://u:pw@h/d?sslpassword=p", "postgresql://u:***@h/d?sslpassword=***"),
        ("postgresql://h/d?pass%77ord=p", "postgresql://h/d?pass%77ord=***"),
        ("postgresql://u:@h/d", "postgresql://u:@h/d"),
        ("/srv/kv.db", "/srv/kv.db"),
    ] {
        assert_eq!(redacted(url), shown);
    }
}

#[test]
fn a_malformed_url_hides_what_may_be_a_password() {
    for (url, shown) in [
        ("postgresql://u:p@w@h/d", "postgresql://u:***@h/d"),
        ("postgresql://u:p/w@h/d", "postgresql://u:***@h/d"),
        ("postgresql://u:p?w#@h/d%", "postgresql://u:***@h/d%"),
        ("postgresql://u@x:pw@h/d", "postgresql://u@x:***@h/d"),
        ("postgresql://u:pw/d", "postgresql://u:***"),
        ("postgresql://u:pw%40h/d", "postgresql://u:***"),
        ("postgresql:/u:pw@h/d", "postgresql:/u:***@h/d"),
        ("postgresql:u:pw@h/d", "postgresql:***@h/d"),
        ("postgres:pw@h/d", "postgres:***@h/d"),
        (" postgresql://u:pw@h/d", " postgresql://u:***@h/d"),
        ("postgresq://u:pw@h/d", "postgresq://u:***@h/d"),
        ("u:pw@h/d", "***@h/d"),
        ("user:pw@h/d", "user:***@h/d"),
        ("host=h password = pw user=u", "host=h password =***"),
        ("postgresql://h/d;PASSWORD=a&b@c", "postgresql://h/d;PASSWORD=***"),
        ("postgresql://u:pa?password=x@h", "postgresql://u:***"),
    ] {
        assert_eq!(redacted(url), shown, "{url}");
    }
}

/// A password of characters that no other part of the URLs below has, with reserved ones in between.
fn password() -> impl Strategy<Value = String> {
    "[3-9V-Z]{3}[3-9V-Z@:/?#&=% ]{0,8}[3-9V-Z]{3}"
}

/// Texts around a password in which it is one.
fn with_password() -> impl Strategy<Value = (String, String)> {
    let before = "(postgresql|postgres|POSTGRES|postgresq|mysql|file|memory|a)?:?/{0,3}(u|u@x|%|)";
    let after = "(h|h:1|h1,h2:2|\\[::1\\]|)(/d)?(\\?(a=1|a|sslmode=require&b=%zz)?)?";
    let user =
        (before, password(), after).prop_map(|(before, secret, after)| (format!("{before}:{secret}@{after}"), secret));
    let name = "(password|PASSWORD|sslpassword|pass%77ord|client_secret) ?";
    let query = ("(postgresql:/{0,3})?(u@)?h/d(\\?|\\?a=1&|&|;| )", name, password(), "(&a=1| user=u)?")
        .prop_map(|(before, name, secret, after)| (format!("{before}{name}={secret}{after}"), secret));
    prop_oneof![user, query]
}

proptest! {
    #[test]
    fn no_part_of_a_password_survives((url, secret) in with_password()) {
        let (shown, parsed) = (redacted(&url), Url::parse(&url));
        for part in secret.split(|character: char| !character.is_ascii_alphanumeric()).filter(|part| part.len() >= 3) {
            prop_assert!(!shown.contains(part), "{} in {}", part, shown);
            if let Err(error) = &parsed {
                prop_assert!(!error.message().contains(part), "{} in {}", part, error);
            }
        }
    }

    #[test]
    fn nothing_panics(text in prop_oneof![
        "\\PC{0,20}",
        "(postgresql|file|memory|x)?[:/@?#&=%a0\\[\\]ä ]{0,16}(password)?[:/@?#&=%a0ä]{0,8}",
    ]) {
        let _ = (Url::parse(&text), check_path(Path::new(&text)), redacted(&text));
    }
}
