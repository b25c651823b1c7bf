//! What listens until it is told to stop: the dashboards' viewer, and those components of a stack that are this program.

use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Duration;

use aiclipx_base::address::Address;
use aiclipx_model::failure::{Failure, tell};
use aiclipx_stack::interrupt::Signals;
use aiclipx_stack::{Stack, guard, receiver, viewer};
use anyhow::Context;
use tokio::net::TcpListener;

pub(super) async fn dashboards(
    listen: &Address,
    folder: Option<PathBuf>,
    prometheus: Option<Address>,
    state: &dyn Fn() -> Result<PathBuf, Failure>,
    signals: &Signals,
) -> Result<ExitCode, Failure> {
    let folder = match folder {
        Some(folder) => folder,
        None => Stack::attach(&state()?).await?.plan().etc().join("grafana"),
    };
    if !folder.is_dir() {
        return Err(Failure::usage(format!("{} is no folder", folder.display())).remedy(
            "--folder names one that holds provisioning/ and dashboards/, as `aiclipx render` writes grafana/",
        ));
    }
    let listener = bound(listen).await?;
    tell(&format!("Dashboards at {}", listen.url("/")));
    viewer::run(listener, viewer::Sources { folder, prometheus }, signals.held().requested()).await?;
    Ok(ExitCode::SUCCESS)
}

pub(super) async fn front(listen: &Address, to: Address, signals: &Signals) -> Result<ExitCode, Failure> {
    guard::front(bound(listen).await?, to, signals.held().requested()).await?;
    Ok(ExitCode::SUCCESS)
}

pub(super) async fn receiver(
    listen: &Address,
    notifications: &Path,
    patience: Duration,
    names: Vec<String>,
    signals: &Signals,
) -> Result<ExitCode, Failure> {
    let is_refused = notifications.metadata().map_or_else(
        |_| !notifications.parent().is_some_and(|folder| folder == Path::new("") || folder.is_dir()),
        |there| !there.is_file(),
    );
    if is_refused {
        let what = format!("{} is neither a regular file nor can it be made one", notifications.display());
        return Err(Failure::usage(what).remedy("--notifications names a file in a folder that is there"));
    }
    receiver::run(
        bound(listen).await?,
        notifications,
        patience,
        names,
        receiver::MAX_CONNECTIONS,
        signals.held().requested(),
    )
    .await?;
    Ok(ExitCode::SUCCESS)
}

pub(super) async fn receiver_is_well(listen: &Address) -> Result<ExitCode, Failure> {
    receiver::check(listen).await?;
    Ok(ExitCode::SUCCESS)
}

async fn bound(address: &Address) -> Result<TcpListener, Failure> {
    let bound = TcpListener::bind((address.host.as_str(), address.port)).await;
    bound.with_context(|| format!("cannot listen on {address}")).map_err(Failure::usage)
}
