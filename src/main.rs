//! The service's program: environment → configuration → logger → listeners → serve.
//!
//! Exit codes: 0 stopped in order, or healthy; 1 not healthy, or what was asked for could not be written; 2 bad usage,
//! bad settings (a database that says so of its URL among them), a port that can't be had, or too few file descriptors; 130 told to stop a second time.

use std::io::{self, ErrorKind, Write};
use std::net::SocketAddr;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use aiclipx_app as app;
use aiclipx_app::config::{self, Config};
use aiclipx_app::log_writer::LogWriter;
use aiclipx_app::metrics::Metrics;
use aiclipx_app::store::Store;
use aiclipx_app::{Listeners, descriptors, heap};
use aiclipx_base::address::Address;
use aiclipx_http::client;
use aiclipx_http::serve;
use tokio::net::{TcpListener, TcpSocket};
use tokio::runtime::Builder;
use tokio::signal::unix::{Signal, SignalKind, signal};

/// How long the end of the process waits until everything logged is on stdout.
const FLUSH_LIMIT: Duration = Duration::from_secs(1);

/// How long a health check may take.
const HEALTHCHECK_LIMIT: Duration = Duration::from_secs(3);

fn main() -> ExitCode {
    let arguments: Vec<_> = std::env::args_os().skip(1).collect();
    let arguments: Vec<_> = arguments.iter().map(|argument| argument.to_string_lossy()).collect();
    match arguments.iter().map(AsRef::as_ref).collect::<Vec<&str>>()[..] {
        [] => with_config(|config| {
            heap::one_heap_for_all();
            let limit = descriptors::raise();
            if limit < descriptors::FEWEST {
                let fewest = descriptors::FEWEST;
                return refuse(&format!("{limit} file descriptors are too few: let `ulimit -n` say {fewest} or more"));
            }
            with_runtime(&mut Builder::new_multi_thread(), serve(config, limit))
        }),
        ["healthcheck"] => with_config(|config| {
            with_runtime(&mut Builder::new_current_thread(), async { healthcheck(&config.reachable()).await })
        }),
        ["--help" | "-h"] => say(&help()),
        ["--version" | "-V"] => say(&version()),
        _ => refuse("aiclipx-app takes no arguments but healthcheck, --help or --version"),
    }
}

fn help() -> String {
    format!(
        "aiclipx-app: a small HTTP service that counts its requests exactly\n\n\
         aiclipx-app              serves until SIGTERM or SIGINT, then drains; a second signal ends it at once\n\
         aiclipx-app healthcheck  exits 0 if the service at APP_ADMIN_LISTEN is ready, else 1\n\n\
         Settings, from the environment:\n\n\
         \x20 {:<22} {:<15} values\n{}",
        "name",
        "default",
        config::help()
    )
}

/// With what this build can besides.
fn version() -> String {
    let besides = if config::WITH_POSTGRES { " (with postgres)" } else { "" };
    format!("aiclipx-app {}{besides}", env!("CARGO_PKG_VERSION"))
}

/// Writes what was asked for on stdout. A reader that has gone away is no error.
fn say(text: &str) -> ExitCode {
    let mut stdout = io::stdout();
    match writeln!(stdout, "{text}").and_then(|()| stdout.flush()) {
        Err(error) if error.kind() != ErrorKind::BrokenPipe => {
            tell(&format!("cannot write to stdout: {error}"));
            ExitCode::FAILURE
        }
        _ => ExitCode::SUCCESS,
    }
}

/// Says something on stderr. Where that can't be written, the exit code has to do.
fn tell(text: &str) {
    let _ = writeln!(io::stderr(), "{text}");
}

fn refuse(why: &str) -> ExitCode {
    tell(&format!("{why}\nSee aiclipx-app --help."));
    ExitCode::from(2)
}

/// The environment. Bytes that are not UTF-8 are replaced by what no setting accepts either.
fn variables() -> impl Iterator<Item = (String, String)> {
    std::env::vars_os().map(|(name, value)| (name.to_string_lossy().into_owned(), value.to_string_lossy().into_owned()))
}

fn with_config(run: fn(Config) -> ExitCode) -> ExitCode {
    match Config::read(|wanted| variables().find(|(name, _)| name == wanted).map(|(_, value)| value)) {
        Ok(config) => run(config),
        Err(errors) => refuse(&errors.join("\n")),
    }
}

fn with_runtime(builder: &mut Builder, work: impl Future<Output = ExitCode>) -> ExitCode {
    match builder.enable_all().build() {
        Ok(runtime) => runtime.block_on(work),
        Err(error) => refuse(&format!("cannot start: {error}")),
    }
}

async fn serve(config: Config, limit: usize) -> ExitCode {
    let version = env!("CARGO_PKG_VERSION");
    let metrics = Arc::new(Metrics::new(version, &config.revision).expect("the metrics' names are valid and distinct"));
    let log_writer = match LogWriter::install(config.log, &metrics.log_records_dropped()) {
        Ok(log_writer) => log_writer,
        Err(error) => return refuse(&format!("cannot start logging: {error}")),
    };
    let ended = Arc::clone(&metrics);
    if let Err(error) = heap::return_freed_memory(move || ended.connections_ended()) {
        return refuse(&format!("cannot look after the memory: {error}"));
    }
    let (Ok(terminate), Ok(interrupt)) = (signal(SignalKind::terminate()), signal(SignalKind::interrupt())) else {
        return refuse("cannot listen for signals");
    };
    let (clients, admin) = (bind(config.listen, "PORT or APP_LISTEN"), bind(config.admin_listen, "APP_ADMIN_LISTEN"));
    let listeners = match (clients, admin) {
        (Ok(clients), Ok(admin)) => Listeners { clients, admin },
        (Err(why), _) | (_, Err(why)) => return refuse(&why),
    };
    let address = |listener: &TcpListener, wanted| listener.local_addr().unwrap_or(wanted).to_string();
    log::info!(
        address = address(&listeners.clients, config.listen), admin = address(&listeners.admin, config.admin_listen),
        version, revision = config.revision, faults = config.faults,
        items = if config.database.is_some() { "in PostgreSQL" } else { "in memory" };
        "Listening."
    );
    if let Some(names) = config::unknown_variables(variables()) {
        log::warn!(names; "These variables are no settings of this service's, and mean nothing; --help lists what does.");
    }
    let config = within_descriptors(config, limit);
    let stop = told_to_stop(terminate, interrupt, log_writer);
    let ended = match Store::open(&config, &metrics) {
        Ok(store) => app::run(listeners, config, store, metrics, stop).await,
        Err(why) => Err(why),
    };
    log_writer.flush(FLUSH_LIMIT);
    match ended {
        Ok(()) => ExitCode::SUCCESS,
        Err(why) => refuse(&why),
    }
}

/// A listener at this address, or why there is none and what to set instead.
fn bind(address: SocketAddr, settings: &str) -> Result<TcpListener, String> {
    let bound = || {
        let socket = if address.is_ipv4() { TcpSocket::new_v4()? } else { TcpSocket::new_v6()? };
        socket.set_reuseaddr(true)?; // at once after a stop, as every server's
        socket.bind(address)?;
        socket.listen(serve::QUEUED)
    };
    bound().map_err(|error| {
        format!(
            "cannot listen on {address}: {error}\n\
             Stop what listens there, or choose another address with {settings}."
        )
    })
}

/// The configuration that the file descriptors allow for.
fn within_descriptors(config: Config, limit: usize) -> Config {
    let max_connections = descriptors::for_clients(config.max_connections, limit, descriptors::open());
    if max_connections < config.max_connections {
        log::warn!(
            connections = max_connections, wanted = config.max_connections, descriptors = limit;
            "Fewer connections than APP_MAX_CONNECTIONS can be open at once: `ulimit -n` allows no more."
        );
    }
    Config { max_connections, ..config }
}

/// Resolves at the first signal; from then on, a second one ends the process.
async fn told_to_stop(mut terminate: Signal, mut interrupt: Signal, log_writer: &'static LogWriter) {
    let mut told = async move || {
        tokio::select! { _ = terminate.recv() => {}, _ = interrupt.recv() => {} }
    };
    told().await;
    tokio::spawn(async move {
        told().await;
        log::warn!("Told to stop a second time: ending at once.");
        log_writer.flush(FLUSH_LIMIT);
        std::process::exit(130);
    });
}

async fn healthcheck(address: &Address) -> ExitCode {
    match client::get(address, "/health/ready", HEALTHCHECK_LIMIT).await {
        Ok(answer) if answer.status.is_success() => ExitCode::SUCCESS,
        Ok(answer) => {
            tell(&format!("{address} is not ready: {}", answer.status));
            ExitCode::FAILURE
        }
        Err(error) => {
            tell(&error.to_string());
            ExitCode::FAILURE
        }
    }
}
