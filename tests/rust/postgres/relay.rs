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
        let [restarts, ended] = [0, 0].map(|none| Arc::new(AtomicUsize::new(none)));
        let url = url.replace(host, folder.path().to_str().unwrap());
        let relay = Relay { url, left, restarts, ended, _folder: folder };
        let (left, restarts, ended) = (relay.left.clone(), relay.restarts.clone(), relay.ended.clone());
        std::thread::spawn(move || {
            for client in listener.incoming() {
                let (client, server) = (client.unwrap(), UnixStream::connect(&server).unwrap());
                let (mut from, mut to) = (client.try_clone().unwrap(), server.try_clone().unwrap());
                let (left, restarts, ended) = (left.clone(), restarts.clone(), ended.clone());
                let begun = restarts.load(SeqCst);
                std::thread::spawn(move || {
                    let mut bytes = [0; 65536];
                    while let Ok(len @ 1..) = from.read(&mut bytes) {
                        if restarts.load(SeqCst) > begun {
                            // Except one that only says goodbye.
                            ended.fetch_add(usize::from(bytes[0] != b'X'), SeqCst);
                            to.shutdown(Shutdown::Both).unwrap();
                            return;
                        }
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
