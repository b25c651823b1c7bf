//! `just bench-traffic`: the generator on the wall clock, beside wrk and hey.
//!
//! - The stall oracle: a server that stands still one second of every ten has known quantiles at a steady rate. On a paused
//!   clock the tests hold them exactly (crates/runner/tests/traffic.rs); here the machine's own clock shows how near it comes.
//! - Rate and lag: how far the span of the sends is from the schedule's, and how late requests left.
//! - The highest rate held against the service, and what wrk and hey (closed loops, as fast as answers come) get from the
//!   same service in the same run. They answer another question; the ratio says how much of the machine the pacing costs.
//!
//! It asserts nothing: a number off its target is for people to look at.
#![allow(clippy::print_stdout, clippy::cast_precision_loss, clippy::unwrap_used)] // it prints, divides, and may just end

use std::convert::Infallible;
use std::future::pending;
use std::net::SocketAddr;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use aiclipx_base::duration::Speed;
use aiclipx_model::scenario::Scenario;
use aiclipx_model::traffic::ledger::{Entry, Quantiles};
use aiclipx_model::traffic::schedule::Schedule;
use aiclipx_runner::traffic::connection::Tcp;
use aiclipx_runner::traffic::progress::Progress;
use aiclipx_runner::traffic::send::{Limits, Named, Sent, send};
use bytes::Bytes;
use http_body_util::Full;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Request, Response, body::Incoming};
use hyper_util::rt::TokioIo;
use tokio::net::TcpListener;

fn named(run: &str) -> Named<'_> {
    Named { run, service: aiclipx_model::service::Service::ours() }
}

/// Length of a measurement, and of one of the search for the highest rate.
const LENGTH: Duration = Duration::from_secs(10);
const PROBE: Duration = Duration::from_secs(3);
/// Within this a rate counts as held.
const HELD: f64 = 0.001;
/// Connections of the closed loops.
const CONNECTIONS: &str = "32";

#[tokio::main]
async fn main() {
    oracle().await;
    let service = Service::start();
    println!("\nagainst the service, {} s each", LENGTH.as_secs());
    println!("{:>8}  {:>10} {:>9} {:>9} {:>9}  target", "rate/s", "rate error", "lag p50", "lag p99", "lag max");
    for (rate, target) in [(500, "lag p99 ≤ 2 ms"), (5_000, "rate error ≤ 0.1 %"), (20_000, "")] {
        match measured(service.address, rate, LENGTH).await {
            Ok((error, lag)) => println!(
                "{rate:>8}  {:>9.3}% {:>9} {:>9} {:>9}  {target}",
                error * 100.0,
                millis(lag.p50_us),
                millis(lag.p99_us),
                millis(lag.max_us)
            ),
            Err(limited) => println!("{rate:>8}  {limited}  {target}"),
        }
    }

    let held = highest(service.address).await;
    println!("\nhighest rate held (within 0.1 %): {held}/s");
    let url = format!("http://{}/", service.address);
    let peers: [(&str, &[&str], &str); 2] = [
        ("wrk", &["-t", "1", "-c", CONNECTIONS, "-d", "3s"], "Requests/sec:"),
        ("hey", &["-c", CONNECTIONS, "-z", "3s"], "Requests/sec:"),
    ];
    for (name, arguments, says) in peers {
        match Command::new(name).args(arguments).arg(&url).stderr(Stdio::null()).output() {
            Ok(output) => {
                let text = String::from_utf8_lossy(&output.stdout).into_owned();
                let rate = text.lines().find_map(|line| line.trim().strip_prefix(says)?.trim().parse::<f64>().ok());
                match rate {
                    Some(rate) => {
                        println!("{name}, as fast as it can: {rate:.0}/s; ours is {:.2} of it", held as f64 / rate);
                    }
                    None => println!("{name} said no rate"),
                }
            }
            Err(error) => println!("{name}: {error}"),
        }
    }
}

/// One second of every ten stands still; 100 requests a second for twenty seconds.
async fn oracle() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let origin = tokio::time::Instant::now();
    tokio::spawn(async move {
        loop {
            let (stream, _) = listener.accept().await.unwrap();
            let answer = service_fn(move |_: Request<Incoming>| async move {
                let into_period = Duration::from_micros((origin.elapsed().as_micros() % 10_000_000) as u64);
                tokio::time::sleep(Duration::from_secs(1).saturating_sub(into_period)).await;
                Ok::<_, Infallible>(Response::new(Full::new(Bytes::from_static(b"{}"))))
            });
            tokio::spawn(http1::Builder::new().serve_connection(TokioIo::new(stream), answer));
        }
    });
    let sent = sent(address, 100, Duration::from_secs(20)).await;
    let latency = Quantiles::of(sent.ledger.entries.iter().filter_map(Entry::latency_us));
    println!("the stall oracle: 1 s of every 10 s, 100/s, 20 s");
    println!("{:>8} {:>9} {:>9} {:>9}", "", "p95", "p99", "max");
    println!("{:>8} {:>9} {:>9} {:>9}", "theory", "500.0 ms", "900.0 ms", "1000.0 ms");
    let [p95, p99, max] = [latency.p95_us, latency.p99_us, latency.max_us].map(millis);
    println!("{:>8} {p95:>9} {p99:>9} {max:>9}", "seen");
}

async fn sent(address: SocketAddr, rate: u64, length: Duration) -> Sent {
    let text = format!(
        "title = \"t\"\n[[phase]]\nname = \"steady\"\nduration = \"{}s\"\nrate = {rate}\nrequests = [{{ path = \"/\" }}]\n",
        length.as_secs()
    );
    let scenario = Scenario::from_text(Path::new("90-bench.toml"), &text).unwrap();
    let schedule = Schedule::new(&scenario, 1, Speed::PRODUCTION, None).unwrap();
    let progress = Progress::new(&schedule);
    let connect = Tcp::resolve(&address.to_string().parse().unwrap()).await.unwrap();
    send(&schedule, &named("bench"), connect, &Limits::default(), &progress, |_| {}, pending()).await.unwrap()
}

/// Relative error of the rate over the whole span, and the lag; or why the generator gave up.
async fn measured(address: SocketAddr, rate: u64, length: Duration) -> Result<(f64, Quantiles), String> {
    let sent = sent(address, rate, length).await;
    if let Some(failure) = sent.failure() {
        return Err(failure.to_string().lines().next().unwrap_or_default().to_owned());
    }
    let entries = &sent.ledger.entries;
    let span = |of: fn(&Entry) -> u64| (of(entries.last().unwrap()) - of(&entries[0])) as f64;
    let (really, intended) = (span(|entry| entry.sent_us.unwrap_or(0)), span(|entry| entry.intended_us));
    Ok(((really / intended - 1.0).abs(), sent.lag))
}

/// By doubling, then by halving the gap, to a twentieth.
async fn highest(address: SocketAddr) -> u64 {
    let (mut held, mut lost) = (1_000, None);
    loop {
        let next = lost.map_or(held * 2, |lost: u64| u64::midpoint(held, lost));
        if lost.is_some() && next - held < held / 20 {
            return held;
        }
        match measured(address, next, PROBE).await {
            Ok((error, _)) if error <= HELD => held = next,
            _ => lost = Some(next),
        }
    }
}

fn millis(us: u64) -> String {
    format!("{:.1} ms", us as f64 / 1000.0)
}

/// The service in a process of its own, ended when dropped.
struct Service {
    child: Child,
    address: SocketAddr,
}

impl Service {
    fn start() -> Service {
        let address = std::net::TcpListener::bind("127.0.0.1:0").and_then(|l| l.local_addr()).expect("a free port");
        let mut command =
            Command::new(std::env::current_exe().unwrap().ancestors().nth(2).unwrap().join("aiclipx-app"));
        command
            .env("APP_LISTEN", address.to_string())
            .env("APP_ADMIN_LISTEN", "127.0.0.1:0")
            .env("APP_ACCESS_LOG", "off")
            .stdout(Stdio::null());
        let child = command.spawn().expect("the service starts");
        let deadline = Instant::now() + Duration::from_secs(10);
        while std::net::TcpStream::connect(address).is_err() {
            assert!(Instant::now() < deadline, "the service does not listen");
            std::thread::sleep(Duration::from_millis(1));
        }
        Service { child, address }
    }
}

impl Drop for Service {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
