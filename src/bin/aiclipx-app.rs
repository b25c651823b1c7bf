//! The service's program: environment → configuration → logger → listener → serve.
//!
//! Exit codes: 0 stopped in order, or healthy; 1 not healthy; 2 bad usage, bad settings or a port that can't be had;
//! 130 told to stop a second time.
#![allow(clippy::print_stdout, clippy::print_stderr)] // --help is asked for on stdout; nothing else is left to do when it ends

use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use aiclipx::app;
use aiclipx::app::config::{self, Config};
use aiclipx::app::journal::Journal;
use aiclipx::app::meter::Meter;
use aiclipx::http::client::{self, Address};
use tokio::net::TcpListener;
use tokio::signal::unix::{Signal, SignalKind, signal};

/// For everything logged to reach stdout before the process ends.
const FLUSH_LIMIT: Duration = Duration::from_secs(1);

/// For the whole of a health check.
const HEALTHCHECK_LIMIT: Duration = Duration::from_secs(3);

fn main() -> ExitCode {
    let arguments: Vec<_> = std::env::args_os().skip(1).collect();
    let arguments: Vec<_> = arguments.iter().map(|argument| argument.to_string_lossy()).collect();
    match arguments.iter().map(AsRef::as_ref).collect::<Vec<&str>>()[..] {
        [] => with_config(serve),
        ["healthcheck"] => with_config(|config| healthcheck(&config.reachable())),
        ["--help" | "-h"] => {
            println!("{}", help());
            ExitCode::SUCCESS
        }
        ["--version" | "-V"] => {
            println!("aiclipx-app {}", env!("CARGO_PKG_VERSION"));
            ExitCode::SUCCESS
        }
        _ => refuse("aiclipx-app takes no arguments but healthcheck, --help or --version"),
    }
}

fn help() -> String {
    format!(
        "aiclipx-app: a small HTTP service that counts its requests exactly\n\n\
         aiclipx-app              serves until SIGTERM or SIGINT, then drains; a second signal ends it at once\n\
         aiclipx-app healthcheck  exits 0 if the service at APP_LISTEN is ready, else 1\n\n\
         Settings, from the environment:\n\n\
         \x20 {:<20} {:<15} values\n{}",
        "name",
        "default",
        config::help()
    )
}

fn with_config(run: fn(Config) -> ExitCode) -> ExitCode {
    // A value that is no UTF-8 is valid for no setting; what replaces its bytes is neither.
    match Config::read(|name| Some(std::env::var_os(name)?.to_string_lossy().into_owned())) {
        Ok(config) => run(config),
        Err(errors) => refuse(&errors.join("\n")),
    }
}

fn refuse(why: &str) -> ExitCode {
    eprintln!("{why}\nSee aiclipx-app --help.");
    ExitCode::from(2)
}

#[tokio::main]
async fn serve(config: Config) -> ExitCode {
    let version = env!("CARGO_PKG_VERSION");
    let meter = Arc::new(Meter::new(version, &config.revision).expect("the metrics' names are valid and distinct"));
    let journal = match Journal::install(config.log, &meter.log_records_dropped()) {
        Ok(journal) => journal,
        Err(error) => return refuse(&format!("cannot start logging: {error}")),
    };
    let (Ok(terminate), Ok(interrupt)) = (signal(SignalKind::terminate()), signal(SignalKind::interrupt())) else {
        return refuse("cannot listen for signals");
    };
    let listener = match TcpListener::bind(config.listen).await {
        Ok(listener) => listener,
        Err(error) => {
            return refuse(&format!(
                "cannot listen on {}: {error}\nStop what listens there, or choose another port with PORT or APP_LISTEN.",
                config.listen
            ));
        }
    };
    let address = listener.local_addr().unwrap_or(config.listen);
    log::info!(address = address.to_string(), version, revision = config.revision, faults = config.faults; "Listening.");

    app::run(listener, config, meter, told_to_stop(terminate, interrupt, journal)).await;
    journal.flush(FLUSH_LIMIT);
    ExitCode::SUCCESS
}

/// Resolves at the first signal; from then on, a second one ends the process.
async fn told_to_stop(mut terminate: Signal, mut interrupt: Signal, journal: &'static Journal) {
    let mut told = async move || {
        tokio::select! { _ = terminate.recv() => {}, _ = interrupt.recv() => {} }
    };
    told().await;
    tokio::spawn(async move {
        told().await;
        log::warn!("Told to stop a second time: ending at once.");
        journal.flush(FLUSH_LIMIT);
        std::process::exit(130);
    });
}

#[tokio::main(flavor = "current_thread")]
async fn healthcheck(address: &Address) -> ExitCode {
    match client::get(address, "/health/ready", HEALTHCHECK_LIMIT).await {
        Ok(answer) if answer.status.is_success() => ExitCode::SUCCESS,
        Ok(answer) => {
            eprintln!("{address} is not ready: {}", answer.status);
            ExitCode::FAILURE
        }
        Err(error) => {
            eprintln!("{error}");
            ExitCode::FAILURE
        }
    }
}
