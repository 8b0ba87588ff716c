//! A socket before the server, which loses what a client sends.

use std::io::{Read, Write};
use std::net::Shutdown;
use std::os::unix::net::{UnixListener, UnixStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};

/// Passes everything on to the server, until only some more of what a client sends, or until it is restarted.
pub struct Relay {
    pub url: String,
    /// How many more times it passes on what was sent.
    pub left: Arc<AtomicUsize>,
    /// How often it was restarted: connections from before then end when a client sends something.
    pub restarts: Arc<AtomicUsize>,
    /// How many have ended so.
    pub ended: Arc<AtomicUsize>,
    /// How many connections there were.
    pub made: Arc<AtomicUsize>,
    /// How often a client has asked whether anything has changed.
    pub polls: Arc<AtomicUsize>,
    _folder: tempfile::TempDir,
}

impl Relay {
    pub fn to(url: &str) -> Relay {
        let folder = tempfile::tempdir_in("/tmp").unwrap();
        let (_, parameters) = url.split_once("host=").unwrap();
        let (host, port) = parameters.split_once("&port=").unwrap();
        let name = format!(".s.PGSQL.{port}");
        let listener = UnixListener::bind(folder.path().join(&name)).unwrap();
        let (server, left) = (format!("{host}/{name}"), Arc::new(AtomicUsize::new(usize::MAX)));
        let [restarts, ended, made, polls] = [0; 4].map(|none| Arc::new(AtomicUsize::new(none)));
        let url = url.replace(host, folder.path().to_str().unwrap());
        let relay = Relay { url, left, restarts, ended, made, polls, _folder: folder };
        let (left, restarts, ended) = (relay.left.clone(), relay.restarts.clone(), relay.ended.clone());
        let (made, polls) = (relay.made.clone(), relay.polls.clone());
        std::thread::spawn(move || {
            for client in listener.incoming() {
                made.fetch_add(1, SeqCst);
                let (client, server) = (client.unwrap(), UnixStream::connect(&server).unwrap());
                let (mut from, mut to) = (client.try_clone().unwrap(), server.try_clone().unwrap());
                let (left, restarts, ended, polls) = (left.clone(), restarts.clone(), ended.clone(), polls.clone());
                let begun = restarts.load(SeqCst);
                std::thread::spawn(move || {
                    let (mut bytes, mut poll) = ([0; 65536], Vec::new());
                    while let Ok(len @ 1..) = from.read(&mut bytes) {
                        if restarts.load(SeqCst) > begun {
                            // Except one that only says goodbye.
                            ended.fetch_add(usize::from(bytes[0] != b'X'), SeqCst);
                            to.shutdown(Shutdown::Both).unwrap();
                            return;
                        }
                        polls.fetch_add(polls_in(&bytes[..len], &mut poll), SeqCst);
                        // What is not passed on is lost, and the connection to the server stays open.
                        if left.load(SeqCst) > 0 {
                            left.fetch_sub(1, SeqCst);
                            to.write_all(&bytes[..len]).unwrap();
                        }
                    }
                    std::mem::forget(to);
                });
                let (mut from, mut to) = (server, client);
                std::thread::spawn(move || {
                    _ = std::io::copy(&mut from, &mut to);
                    _ = to.shutdown(Shutdown::Both);
                    std::mem::forget(from);
                });
            }
        });
        relay
    }
}

/// How often the messages of a client carry out the statement that asks for the state. Its name is told by the message
/// that prepares it.
fn polls_in(mut messages: &[u8], poll: &mut Vec<u8>) -> usize {
    let mut polls = 0;
    // Each has a type, then its length without that, but the first one of a connection has no type.
    while let [kind, a, b, c, d, rest @ ..] = messages
        && *kind != 0
        && let Some(len) = (u32::from_be_bytes([*a, *b, *c, *d]) as usize).checked_sub(4)
        && len <= rest.len()
    {
        let mut texts = rest[..len].split(|byte| *byte == 0);
        match (kind, texts.next(), texts.next()) {
            (b'P', Some(name), Some(sql)) if sql.windows(19).any(|part| part == b"pg_current_snapshot") => {
                *poll = name.to_owned();
            }
            (b'B', Some(_portal), Some(name)) if name == poll && !name.is_empty() => polls += 1,
            _ => {}
        }
        messages = &rest[len..];
    }
    polls
}
