//! Clients whose clock is ahead of the server's, or behind, by an hour: processes that tests/lua/clock.c is loaded into.
//!
//! The server's time decides when an entry expires. A time of expiration that a client gives must be in the future by
//! both clocks.

use std::process::ExitCode;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use luat_kv::{Code, IncrOptions, Limits, Namespace, OpenOptions, PutOptions, Result, Store};

use super::control::Control;
use crate::support::{Run, end_if_it_hangs, role};

const TIMEOUT: Duration = Duration::from_secs(5);

pub fn clocks(run: &mut Run, control: &mut Control) {
    let url = control.ask("database");
    let store = Store::open_url(&url, &OpenOptions::new().busy_timeout(TIMEOUT)).expect("a store");
    let namespace = store.namespace("clock").expect("a namespace");
    for off in [-3600_i64, 3600] {
        let file = tempfile::NamedTempFile::new().expect("a file for the clock");
        std::fs::write(file.path(), off.to_ne_bytes()).expect("to set the clock");
        let before = control.ask("sql SELECT floor(extract(epoch FROM clock_timestamp()))::bigint");
        let now: i64 = before.parse().expect("a time");
        let brief = PutOptions::default().expires_at(now + 3);
        namespace.put_with("short", "1", &PutOptions::default().ttl(60)).expect("to put");
        namespace.put_with("brief", "1", &brief).expect("to put");
        let mut client = role("postgres-clock");
        client.args([&url, &before]).env("LD_PRELOAD", library()).env("TEST_CLOCK", file.path());
        let status = client.status().expect("a client");
        if !status.success() {
            run.complain(format!("the client whose clock is {off} s ahead ended with {status}"));
        }
        let entry = namespace.get_entry("long").expect("to get").expect("what the client has put");
        let lives = entry.expiration.expect("an end") - now;
        if !(60..=70).contains(&lives) {
            run.complain(format!(
                "a lifetime of 60 s, from a client whose clock is {off} s ahead, ends after {lives} s"
            ));
        }
        if namespace.has("own") != Ok(true) {
            run.complain(format!("{off} s: a sweep of the client has removed what has not expired"));
        }
    }
}

fn library() -> String {
    let root = std::env::current_dir().expect("the working folder");
    format!("{}/target/c/clock.so", root.display())
}

/// Arguments: the URL, and the server's time.
pub fn client(arguments: &[&str]) -> ExitCode {
    let [url, server] = arguments else { return ExitCode::from(2) };
    end_if_it_hangs();
    let store = Store::open_url(url, &OpenOptions::new().busy_timeout(TIMEOUT)).expect("a store");
    let namespace = store.namespace("clock").expect("a namespace");
    let own = SystemTime::now().duration_since(UNIX_EPOCH).expect("a time").as_secs() as i64;
    let mut client = Client { url, namespace, server: server.parse().expect("a time"), own, complaints: 0 };
    client.lifetimes();
    client.times();
    client.imports();
    client.sees_the_end();
    ExitCode::from(u8::from(client.complaints > 0))
}

struct Client<'a> {
    url: &'a str,
    namespace: Namespace,
    /// The server's time, and this process's.
    server: i64,
    own: i64,
    complaints: u32,
}

/// A write of a key with a time of expiration.
type Write = fn(&Namespace, &str, i64) -> Result<()>;

const WRITES: &[(&str, Write)] = &[
    ("put", |kv, key, at| kv.put_with(key, "new", &PutOptions::default().expires_at(at)).map(drop)),
    ("add", |kv, key, at| {
        kv.delete(key).and_then(|_| kv.add_with(key, "new", &PutOptions::default().expires_at(at))).map(drop)
    }),
    ("touch", |kv, key, at| kv.touch(key, Some(at), None).map(drop)),
    ("incr", |kv, key, at| {
        kv.delete(key)?;
        kv.incr_with(key, 1, &IncrOptions::default().expires_at(at)).map(drop)
    }),
    ("a batch", |kv, key, at| {
        let mut batch = kv.store().batch();
        batch.put(kv, "other", "1")?.put_with(kv, key, "new", &PutOptions::default().expires_at(at))?;
        batch.commit().map(drop)
    }),
    ("a batch with a check", |kv, key, at| {
        let mut batch = kv.store().batch();
        batch.check(kv, "missing", None)?.put_with(kv, key, "new", &PutOptions::default().expires_at(at))?;
        batch.commit().map(drop)
    }),
];

impl Client<'_> {
    fn complain(&mut self, what: &str) {
        println!("# {what}, to a client whose clock is {} s ahead", self.own - self.server);
        self.complaints += 1;
    }

    /// Lifetimes begin by the server's clock, and end by it.
    fn lifetimes(&mut self) {
        if self.namespace.get("short").expect("to get").is_none() {
            self.complain("a key with a lifetime of 60 s is gone");
        }
        for key in ["long", "own"] {
            self.namespace.put_with(key, "1", &PutOptions::default().ttl(60)).expect("to put");
        }
        self.namespace.store().sweep(None).expect("to sweep");
    }

    /// A time that is over by one of the clocks is refused, and changes nothing. Another one is stored as it is.
    fn times(&mut self) {
        for (name, write) in WRITES {
            for at in [self.server + 600, self.own + 600] {
                self.namespace.put("key", "old").expect("to put");
                let may = at > self.server && at > self.own;
                let returned = write(&self.namespace, "key", at);
                let entry = self.namespace.get_entry("key").expect("to get");
                let end = entry.as_ref().and_then(|entry| entry.expiration);
                match returned {
                    Ok(()) if may && end == Some(at) => {}
                    Err(error) if !may && error.code() == Code::Invalid && end.is_none() => {}
                    returned => {
                        let ahead = at - self.server;
                        self.complain(&format!(
                            "{name} with an expiration in {ahead} s gave {returned:?} and {entry:?}"
                        ));
                    }
                }
            }
        }
        // The limits of Cloudflare want 60 seconds, by both clocks.
        let options = OpenOptions::new().busy_timeout(TIMEOUT).limits(Limits::Cloudflare);
        let strict = Store::open_url(self.url, &options).expect("a store").namespace("clock").expect("a namespace");
        let ends = PutOptions::default().expires_at(self.server.max(self.own) + 30);
        match strict.put_with("strict", "1", &ends) {
            Err(error) if error.code() == Code::Limit => {}
            returned => self.complain(&format!("a put for 30 s gave {returned:?}")),
        }
    }

    /// What of a file has expired by the server's clock removes its key, and nothing else does.
    fn imports(&mut self) {
        for at in [self.server - 60, self.server + 600] {
            self.namespace.put("key", "old").expect("to put");
            let line = format!("{{\"key\":\"key\",\"value\":\"new\",\"expiration\":{at}}}\n");
            let imported = self.namespace.import(&mut line.as_bytes(), true);
            let entry = self.namespace.get_entry("key").expect("to get");
            let end = entry.as_ref().and_then(|entry| entry.expiration);
            if imported.is_err() || end != Some(at).filter(|at| *at > self.server) || entry.is_some() != end.is_some() {
                let ahead = at - self.server;
                self.complain(&format!("an import of what expires in {ahead} s gave {imported:?} and {entry:?}"));
            }
        }
    }

    /// What expires by the server's clock is gone then.
    fn sees_the_end(&mut self) {
        let begun = Instant::now();
        while self.namespace.has("brief").expect("to ask") {
            if begun.elapsed() > Duration::from_secs(10) {
                return self.complain("an entry that has expired is there");
            }
        }
    }
}
