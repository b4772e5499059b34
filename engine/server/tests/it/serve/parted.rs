//! Three servers of which one is cut off from the others, again and again: it runs, and nothing comes to it or from it.
//!
//! Each server is reached through lines of the test only, by the others and by clients. What is sent while a line is cut is
//! held, as the network would hold it, and comes when the line is mended.

use super::nats::{ask, assert_same, found_undisturbed, found_while, on_nats, wait_for_cluster};
use super::{Folder, events};
use crate::launcher::{NatsServer, Place, free_port};
use std::io::{Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread;
use std::time::Duration;

/// How often a server is cut off.
const ROUNDS: usize = 8;

const SERVERS: usize = 3;

/// How long it is: an election takes up to nine seconds.
const CUT_FOR: Duration = Duration::from_secs(8);

/// Which servers are cut off.
#[derive(Default)]
struct Cuts {
    from_others: [AtomicBool; SERVERS],
    from_clients: [AtomicBool; SERVERS],
}

/// Who began a connection, when it is a server that said its name.
type Dialer = Arc<AtomicUsize>;

/// Carries bytes one way while the line is whole.
fn carry(mut from: TcpStream, mut to: TcpStream, mut is_whole: impl FnMut(&[u8]) -> bool) {
    let mut buffer = vec![0; 64 * 1024];
    while let Ok(count @ 1..) = from.read(&mut buffer) {
        while !is_whole(&buffer[..count]) {
            thread::sleep(Duration::from_millis(5));
        }
        if to.write_all(&buffer[..count]).is_err() {
            break;
        }
    }
    // The other way may have ended it already.
    let _ = from.shutdown(Shutdown::Both);
    let _ = to.shutdown(Shutdown::Both);
}

/// A line to a port; `is_whole` is asked with who began it.
fn line(to: u16, is_whole: impl Fn(&Dialer) -> bool + Clone + Send + 'static) -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let port = listener.local_addr().expect("an address").port();
    thread::spawn(move || {
        for begun in listener.incoming() {
            let Ok(begun) = begun else { return };
            let is_whole = is_whole.clone();
            thread::spawn(move || {
                let dialer = Dialer::new(AtomicUsize::new(SERVERS));
                while !is_whole(&dialer) {
                    thread::sleep(Duration::from_millis(5));
                }
                let Ok(there) = TcpStream::connect(("127.0.0.1", to)) else {
                    return;
                };
                let (Ok(back), Ok(forth)) = (there.try_clone(), begun.try_clone()) else {
                    return;
                };
                let (who, holds) = (dialer.clone(), is_whole.clone());
                thread::spawn(move || carry(back, forth, |_| holds(&who)));
                carry(begun, there, |bytes| {
                    hear(&dialer, bytes);
                    is_whole(&dialer)
                });
            });
        }
    });
    port
}

/// A server that connects to another one says its name.
fn hear(dialer: &Dialer, bytes: &[u8]) {
    if dialer.load(Ordering::Relaxed) < SERVERS {
        return;
    }
    let text = String::from_utf8_lossy(bytes);
    let named =
        (0..SERVERS).find(|number| text.contains(&format!("\"server_name\":\"n{number}\"")));
    if let Some(number) = named {
        dialer.store(number, Ordering::Relaxed);
    }
}

/// Three servers and the ports of their lines for clients.
fn servers(folder: &Path, cuts: &Arc<Cuts>) -> (Vec<NatsServer>, Vec<u16>) {
    let ports: Vec<(u16, u16)> = (0..SERVERS).map(|_| (free_port(), free_port())).collect();
    let lines = |number: usize| {
        let (of_routes, of_clients) = (Arc::clone(cuts), Arc::clone(cuts));
        let route = line(ports[number].1, move |dialer| {
            let cut = |one: usize| {
                of_routes
                    .from_others
                    .get(one)
                    .is_some_and(|cut| cut.load(Ordering::Relaxed))
            };
            !cut(number) && !cut(dialer.load(Ordering::Relaxed))
        });
        let client = line(ports[number].0, move |_| {
            !of_clients.from_clients[number].load(Ordering::Relaxed)
        });
        (client, route)
    };
    let lines: Vec<(u16, u16)> = (0..SERVERS).map(lines).collect();
    let started = (0..SERVERS).map(|number| {
        let routes: Vec<String> = (0..SERVERS)
            .filter(|other| *other != number)
            .map(|other| format!("\"nats://127.0.0.1:{}\"", lines[other].1))
            .collect();
        let more = format!(
            "client_advertise: \"127.0.0.1:{}\"\ncluster {{ name: trial, listen: \"127.0.0.1:{}\", advertise: \"127.0.0.1:{}\", routes: [{}] }}",
            lines[number].0,
            ports[number].1,
            lines[number].1,
            routes.join(", ")
        );
        NatsServer::start_as(folder, &format!("n{number}"), ports[number].0, &more)
    });
    (
        started.collect(),
        lines.iter().map(|(client, _)| *client).collect(),
    )
}

/// The server that leads the stream, as any of them says.
fn leader(servers: &[NatsServer]) -> Option<usize> {
    servers.iter().find_map(|server| {
        let info = ask(server, "$JS.API.STREAM.INFO.tripline-events-0", "")?;
        let name = info["cluster"]["leader"].as_str()?;
        name.strip_prefix('n')?.parse().ok()
    })
}

fn through(name: &str, lines: &[u16]) -> Folder {
    let urls: Vec<String> = lines
        .iter()
        .map(|port| format!("\"nats://127.0.0.1:{port}\""))
        .collect();
    let folder = on_nats(name, &[], "replicas = 3\n");
    let config = std::fs::read_to_string(format!("{}/tripline.toml", folder.path()));
    let config = config
        .expect("it is there")
        .replace("urls = []", &format!("urls = [{}]", urls.join(", ")));
    folder.file("tripline.toml", config);
    folder
}

#[test]
fn a_server_that_is_cut_off_loses_nothing_and_doubles_nothing() {
    let all = events(3_000);
    let wanted = found_undisturbed(&all);
    let place = Place::new("serve-parted");
    let cuts = Arc::new(Cuts::default());
    let (servers, lines) = servers(place.path(), &cuts);
    wait_for_cluster(&servers[0]);
    let folder = through("serve-nats-parted", &lines);
    let (mut leaders, mut rounds) = (0, 0);
    let found = found_while(&folder, (&all, Duration::from_millis(300)), |_| {
        for round in 0..ROUNDS {
            let leads = leader(&servers);
            // Every other time it is whoever leads, and of each two the first is still reached by clients.
            let number = match round % 2 {
                0 => leads.unwrap_or(round % SERVERS),
                _ => round % SERVERS,
            };
            leaders += usize::from(leads == Some(number));
            rounds += 1;
            let is_whole = round % 4 > 1;
            cuts.from_others[number].store(true, Ordering::Relaxed);
            cuts.from_clients[number].store(is_whole, Ordering::Relaxed);
            thread::sleep(CUT_FOR);
            cuts.from_others[number].store(false, Ordering::Relaxed);
            cuts.from_clients[number].store(false, Ordering::Relaxed);
            thread::sleep(Duration::from_secs(2));
        }
    });
    println!("cut off {rounds} times, {leaders} times the leader");
    assert!(leaders >= ROUNDS / 3, "{leaders}");
    assert_same(&wanted, &found);
}
