//! What the program may take, and what clients can make it take.

use std::net::SocketAddr;
use std::time::Duration;

use aiclipx_app::descriptors;
use tokio::io::AsyncWriteExt;
use tokio::net::{TcpSocket, TcpStream};

use crate::harness::{Client, JSON, eventually, request, soon};
use crate::program::Program;

const MIB: u64 = 1 << 20;

/// What no client may drive it beyond, and what it may keep afterwards over what it had before.
const MOST: u64 = 48 * MIB;
const KEPT: u64 = 4 * MIB;

/// A page of the longest names there are, a thousand times over.
async fn fill(address: SocketAddr) {
    let body = format!(r#"{{"name":"{}"}}"#, "\\u0001".repeat(256));
    let mut client = Client::connect(address).await;
    for _ in 0..1000 {
        assert_eq!(client.ask("POST", "/items", &[JSON], &body).await.status, 201);
    }
}

/// A client whose own kernel takes little: what it doesn't read stays with the service.
async fn narrow(address: SocketAddr) -> TcpStream {
    let socket = TcpSocket::new_v4().unwrap();
    socket.set_recv_buffer_size(4096).unwrap();
    soon(socket.connect(address)).await.unwrap()
}

/// Lets so many clients write this at once, watches the program meanwhile, and lets them go.
async fn besiege(program: &Program, clients: usize, words: String) -> u64 {
    let mut most = 0;
    let mut held = Vec::new();
    for _ in 0..clients {
        let mut stream = narrow(program.address).await;
        // In time, even where the service doesn't read on.
        let _ = tokio::time::timeout(Duration::from_millis(500), stream.write_all(words.as_bytes())).await;
        held.push(stream);
        most = most.max(program.resident());
    }
    for _ in 0..20 {
        tokio::time::sleep(Duration::from_millis(100)).await;
        most = most.max(program.resident());
    }
    most
}

#[tokio::test(flavor = "multi_thread")]
async fn clients_that_hold_what_they_can_drive_it_to_no_more_than_it_may_take_and_it_gives_back() {
    assert!(descriptors::raise() > 1100, "`ulimit -Hn` is too low for this test");
    let program = Program::start(&[("APP_ACCESS_LOG", "off")]).await;
    fill(program.address).await;
    let page = request("GET", "/items?limit=1000", &[], "");
    let one_byte_short = request("POST", "/items", &[JSON, "content-length: 65536"], "") + &" ".repeat(65_535);
    let endless_head = "GET / HTTP/1.1\r\nx: ".to_owned() + &"y".repeat(15 << 10);
    for (clients, words, what) in [
        (1000, page.clone(), "a page each"),
        (1024, one_byte_short, "a body each, one byte short"),
        (1024, endless_head, "a head each that doesn't end"),
        (1000, page.repeat(100), "a hundred pages each"),
    ] {
        let before = program.resident();
        let most = besiege(&program, clients, words).await;
        println!("{what}: {} before, {} at most, MiB", before / MIB, most / MIB);
        assert!(most <= MOST, "{what}: {} MiB", most / MIB);
        eventually("given back", || program.resident() <= before + KEPT).await;
        assert_eq!(program.ask("GET", "/", &[], "").await.status, 200);
    }
}
