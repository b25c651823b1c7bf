//! What Grafana would be provisioned with, read from the same files: its datasources and its dashboards.
//!
//! Read anew for every page, so that what is shown is what the files say now. Whatever is wrong with a file is kept
//! beside what is right, to be told where it is missed.

use std::path::{Path, PathBuf};
use std::time::Duration;

use serde::Deserialize;

use aiclipx_base::address::Address;
use aiclipx_base::duration;
use aiclipx_dashboard::model::{self, Dashboard};
use aiclipx_model::failure::Finding;
use aiclipx_model::files;
use aiclipx_model::monitoring::{DEFAULT_PANEL_INTERVAL, holds_logs};

#[derive(Debug, Clone, PartialEq)]
pub(super) struct Source {
    /// What panels call it.
    uid: String,
    /// What older ones call it.
    name: String,
    pub(super) address: Address,
    /// How often it scrapes.
    pub(super) min_interval: Duration,
    is_default: bool,
}

#[derive(Debug)]
pub(super) struct Entry {
    /// Its name without the folder.
    pub(super) file: String,
    /// What is in it.
    pub(super) read: Result<Dashboard, Vec<Finding>>,
}

/// Stores of logs: what panels call them, and where they listen.
type Stores = Vec<(String, Address)>;

#[derive(Debug, Default)]
pub(super) struct Provisioned {
    sources: Vec<Source>,
    stores: Stores,
    /// By file name.
    pub(super) dashboards: Vec<Entry>,
    /// What could not be read, in words.
    pub(super) troubles: Vec<String>,
}

#[derive(Deserialize)]
struct SourcesFile {
    #[serde(default)]
    datasources: Vec<SourceFile>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct SourceFile {
    name: String,
    uid: Option<String>,
    #[serde(rename = "type")]
    kind: String,
    #[serde(default)]
    url: String,
    #[serde(default)]
    is_default: bool,
    #[serde(default)]
    json_data: SourceSettings,
}

#[derive(Deserialize, Default)]
#[serde(rename_all = "camelCase")]
struct SourceSettings {
    time_interval: Option<String>,
}

impl Provisioned {
    /// Reads `provisioning/datasources/*.yml` and `dashboards/*.json` below a folder. With an address, every Prometheus
    /// is there, wherever the files say it is.
    pub(super) fn read(folder: &Path, prometheus: Option<&Address>) -> Provisioned {
        let mut all = Provisioned::default();
        for (file, text) in all.files(&folder.join("provisioning/datasources"), &["yml", "yaml"]) {
            match sources(&text, prometheus) {
                Ok((sources, stores)) => {
                    all.sources.extend(sources);
                    all.stores.extend(stores);
                }
                Err(why) => all.troubles.push(format!("{}: {why}", file.display())),
            }
        }
        for (file, text) in all.files(&folder.join("dashboards"), &["json"]) {
            let name = file.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
            all.dashboards.push(Entry { read: model::read(Path::new(&name), &text), file: name });
        }
        all
    }

    /// Texts of a folder by name; what can't be read is a trouble.
    fn files(&mut self, folder: &Path, endings: &[&str]) -> Vec<(PathBuf, String)> {
        let mut names: Vec<PathBuf> = match std::fs::read_dir(folder) {
            Ok(entries) => entries.flatten().map(|entry| entry.path()).collect(),
            Err(error) => {
                self.troubles.push(format!("cannot read {}: {error}", folder.display()));
                return Vec::new();
            }
        };
        names.retain(|file| endings.iter().any(|ending| file.extension().is_some_and(|own| own == *ending)));
        names.sort();
        let mut files = Vec::new();
        for file in names {
            match files::read_to_string(&file) {
                Ok(text) => files.push((file, text)),
                Err(error) => self.troubles.push(format!("cannot read {}: {error}", file.display())),
            }
        }
        files
    }

    /// The dashboard of this uid.
    pub(super) fn dashboard(&self, uid: &str) -> Option<&Dashboard> {
        self.dashboards.iter().filter_map(|entry| entry.read.as_ref().ok()).find(|one| one.uid == uid)
    }

    /// The Prometheus that a panel or a query names, by uid or name, or, where it names none, the default one.
    pub(super) fn source(&self, uid: Option<&str>) -> Result<&Source, String> {
        let found = match uid {
            Some(uid) => self.sources.iter().find(|source| source.uid == uid || source.name == uid),
            None => self.sources.iter().find(|source| source.is_default).or(self.sources.first()),
        };
        found.ok_or_else(|| match uid {
            Some(uid) => format!("no Prometheus of the uid `{uid}` is provisioned"),
            None => "no Prometheus is provisioned".to_owned(),
        })
    }

    /// The store of logs that a panel names, or, where it names none, the first.
    pub(super) fn store(&self, uid: Option<&str>) -> Result<&Address, String> {
        let found = self.stores.iter().find(|(own, _)| uid.is_none_or(|uid| uid == own));
        // Where a stack has none, none is provisioned.
        let none = self.stores.is_empty();
        let why = if none { "Loki is not part of this stack" } else { "No such store of logs is provisioned" };
        found.map(|(_, address)| address).ok_or_else(|| why.to_owned())
    }
}

/// The Prometheuses of a file, and its stores of logs.
fn sources(text: &str, prometheus: Option<&Address>) -> Result<(Vec<Source>, Stores), String> {
    let file: SourcesFile = serde_saphyr::from_str(text).map_err(|error| error.to_string())?;
    let (mut sources, mut stores) = (Vec::new(), Vec::new());
    for source in file.datasources {
        let told = |source: &SourceFile| {
            source.url.parse::<Address>().map_err(|error| format!("datasource {}: {error}", source.name))
        };
        if holds_logs(&source.kind) {
            stores.push((source.uid.clone().unwrap_or_else(|| source.name.clone()), told(&source)?));
        }
        if source.kind != "prometheus" {
            continue;
        }
        let address = prometheus.map_or_else(|| told(&source), |address| Ok(address.clone()))?;
        let min_interval = match source.json_data.time_interval {
            Some(text) => duration::parse(&text).map_err(|error| format!("datasource {}: {error}", source.name))?,
            None => DEFAULT_PANEL_INTERVAL,
        };
        let uid = source.uid.unwrap_or_else(|| source.name.clone());
        sources.push(Source { uid, name: source.name, address, min_interval, is_default: source.is_default });
    }
    Ok((sources, stores))
}
