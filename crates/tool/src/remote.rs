//! The options by which `up` and `render` have Prometheus write its samples to a store elsewhere, too.
//!
//! No secret is among them: what stands on a command line stands in the list of processes. Nor does clap read the URL, for it
//! repeats what it refuses.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use aiclipx_model::failure::Failure;
use aiclipx_model::monitoring::remote_write::{
    Credentials, REPLICA_LABEL, RemoteUrl, RemoteWrite, STACK_LABEL, external_label,
};
use clap::Args;

/// What one Prometheus of a stack is called unless it is told.
const REPLICA: &str = "a";

#[derive(Args)]
pub(super) struct RemoteOptions {
    /// Also write every sample to a store elsewhere, at this address of its remote write: of `VictoriaMetrics`
    /// <http://127.0.0.1:8428/api/v1/write>.
    #[arg(id = "remote_write", long = "remote-write", value_name = "URL")]
    url: Option<String>,
    /// Who writes, with a password.
    #[arg(
        id = "remote_write_user",
        long = "remote-write-user",
        value_name = "NAME",
        requires_all = ["remote_write", "remote_write_password_file"]
    )]
    user: Option<String>,
    /// The file that holds the password, and nothing else.
    #[arg(
        id = "remote_write_password_file",
        long = "remote-write-password-file",
        value_name = "FILE",
        requires = "remote_write_user"
    )]
    password_file: Option<PathBuf>,
    /// In place of the two, the file that holds a bearer token.
    #[arg(
        id = "remote_write_token_file",
        long = "remote-write-token-file",
        value_name = "FILE",
        requires = "remote_write",
        conflicts_with = "remote_write_user"
    )]
    token_file: Option<PathBuf>,
    /// A label that every sample gets on its way out, and every alert, but for `replica`. Unless given, `stack` is made once for
    /// a state directory, and `replica` is a; Prometheus that scrape the same targets have one `stack` and a `replica` each.
    #[arg(long = "external-label", value_name = "NAME=VALUE", requires = "remote_write", value_parser = external_label)]
    labels: Vec<(String, String)>,
}

impl RemoteOptions {
    /// What is asked for; of its labels `stack` may be missing.
    pub(super) fn asked(&self) -> Result<Option<RemoteWrite>, Failure> {
        let Some(url) = &self.url else { return Ok(None) };
        let refused = |why: String| Failure::usage(format!("--remote-write can't go there: {why}"));
        let url: RemoteUrl = url.parse().map_err(refused)?;
        let credentials = match (&self.user, &self.password_file, &self.token_file) {
            (Some(user), Some(file), _) => {
                Some(Credentials::Basic { user: user.clone(), password_file: named(file)?.to_owned() })
            }
            (.., Some(file)) => Some(Credentials::Bearer { token_file: named(file)?.to_owned() }),
            _ => None,
        };
        let mut labels = BTreeMap::from([(REPLICA_LABEL.to_owned(), REPLICA.to_owned())]);
        let mut told = BTreeMap::new();
        for (name, value) in &self.labels {
            if let Some(other) = told.insert(name.clone(), value.clone()) {
                let what = format!("--external-label {name} is `{other}` and `{value}`");
                return Err(Failure::usage(what).remedy("give it once"));
            }
        }
        labels.extend(told);
        Ok(Some(RemoteWrite { url, credentials, labels }))
    }

    /// For whom a copy is rendered nobody knows: Prometheus will look for the file in its own machine.
    pub(super) fn rendered(&self) -> Result<Option<RemoteWrite>, Failure> {
        let Some(mut remote) = self.asked()? else { return Ok(None) };
        if let Some(file) = remote.credentials.as_ref().map(Credentials::file).filter(|file| !file.is_absolute()) {
            return Err(Failure::usage(format!("{} is not where Prometheus would find it", file.display()))
                .remedy("give the whole path that the file has on the machine of that Prometheus"));
        }
        // It need not be here; if it is, it is a file.
        if let Some(file) = remote.credentials.as_ref().map(Credentials::file)
            && file.metadata().is_ok_and(|held| !held.is_file())
        {
            return Err(Failure::usage(format!(
                "{} holds no secret to write to a store with: it is no regular file",
                file.display()
            ))
            .remedy("name the file that holds the password or the token, and nothing else"));
        }
        remote.labels.entry(STACK_LABEL.to_owned()).or_insert_with(|| "aiclipx".to_owned());
        Ok(Some(remote))
    }
}

/// Written into a configuration, a path has to be a text.
fn named(file: &Path) -> Result<&Path, Failure> {
    match file.to_str() {
        Some(text) if !text.contains(char::is_control) && !text.is_empty() => Ok(file),
        _ => Err(Failure::usage(format!(
            "the path {} is empty, not UTF-8, or holds a control character",
            file.display()
        ))
        .remedy("move the file")),
    }
}
