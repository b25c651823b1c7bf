//! The files that evidence is about: monitoring/ and scripts/traffic/, read from a repository or from a bundle's `tree/`.
//!
//! The same type for both, so that what is claimed before a run and what `verify` claims later come from one reading.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use anyhow::{Context, ensure};

use aiclipx_base::duration::Speed;
use aiclipx_dashboard::model::{self, Dashboard};
use aiclipx_model::failure::Failure;
use aiclipx_model::monitoring::Monitoring;
use aiclipx_model::monitoring::addresses::Addresses;
use aiclipx_model::scenario::{self, Scenario};
use aiclipx_model::service::Service;

/// The folders that a tree consists of, and that a bundle keeps a copy of.
pub const FOLDERS: [&str; 2] = ["monitoring", "scripts/traffic"];

/// A tree, read.
#[derive(Debug)]
pub struct Tree {
    /// The folder that holds [`FOLDERS`].
    pub root: PathBuf,
    /// Rules, routes, configuration.
    pub monitoring: Monitoring,
    /// The provisioned dashboards, in order of file name.
    pub dashboards: Vec<Dashboard>,
    /// The scenarios, in order of number.
    pub scenarios: Vec<Scenario>,
    rendered_before: Mutex<Vec<(Addresses, Speed, Arc<Rendered>)>>,
}

/// Monitoring files as a stack gets them, by path below `etc/`.
pub type Rendered = BTreeMap<PathBuf, Vec<u8>>;

impl Tree {
    /// Reads a tree; all that doesn't parse is reported at once.
    pub fn read(root: &Path) -> Result<Tree, Failure> {
        let monitoring = Monitoring::read(&root.join("monitoring"))?;
        let scenarios = scenario::all(&root.join("scripts/traffic"))?;
        let mut dashboards = Vec::new();
        for file in super::files::files_in(&root.join("monitoring/grafana/dashboards"), ".json")? {
            let text = super::files::read_tree_text(&file)?;
            let shown = file.strip_prefix(root).unwrap_or(&file);
            dashboards.push(model::read(shown, &text)?);
        }
        let rendered_before = Mutex::default();
        Ok(Tree { root: root.to_owned(), monitoring, dashboards, scenarios, rendered_before })
    }

    /// The same with other dashboards.
    #[must_use]
    pub fn with_dashboards(&self, dashboards: Vec<Dashboard>) -> Tree {
        Tree {
            root: self.root.clone(),
            monitoring: self.monitoring.clone(),
            dashboards,
            scenarios: self.scenarios.clone(),
            rendered_before: Mutex::default(),
        }
    }

    /// The monitoring files as a stack of these addresses gets them.
    ///
    /// Several claims of every experiment ask for them, and rendering divides every expression there is: done once.
    pub(crate) fn rendered(&self, addresses: &Addresses, speed: Speed) -> Result<Arc<Rendered>, Failure> {
        let mut before = self.rendered_before.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((.., rendered)) = before.iter().find(|(a, s, _)| (a, *s) == (addresses, speed)) {
            return Ok(Arc::clone(rendered));
        }
        let rendered = Arc::new(self.monitoring.render(addresses, speed)?);
        before.push((addresses.clone(), speed, Arc::clone(&rendered)));
        Ok(rendered)
    }

    /// What the service is called, and its things.
    pub fn service(&self) -> &Service {
        self.monitoring.service()
    }

    /// The dashboard that people come for: the first.
    pub fn home(&self) -> Option<&str> {
        self.dashboards.first().map(|dashboard| dashboard.uid.as_str())
    }

    /// Every panel that asks Prometheus something, as `uid/id`.
    pub(crate) fn panels(&self) -> Vec<String> {
        self.dashboards
            .iter()
            .flat_map(|dashboard| {
                dashboard
                    .panels
                    .iter()
                    .filter(|panel| !panel.targets.is_empty())
                    .map(|panel| format!("{}/{}", dashboard.uid, panel.id))
            })
            .collect()
    }

    /// `uid/id` and, where the panel is known, its title: as people read it.
    pub(crate) fn named(&self, panel: &str) -> String {
        let (uid, id) = panel.split_once('/').unwrap_or((panel, ""));
        let dashboard = self.dashboards.iter().find(|dashboard| dashboard.uid == uid);
        let found = dashboard.and_then(|dashboard| dashboard.panels.iter().find(|one| one.id.to_string() == id));
        found.map_or_else(|| panel.to_owned(), |found| format!("{panel} ({})", found.title))
    }

    /// Copies [`FOLDERS`] below `target`, regular files only.
    pub fn copy_to(&self, target: &Path) -> anyhow::Result<()> {
        for folder in FOLDERS {
            copy_folder(&self.root.join(folder), &target.join(folder))?;
        }
        Ok(())
    }
}

/// Copies a folder's regular files and folders; a link is an error, for a bundle must stand alone.
pub fn copy_folder(from: &Path, to: &Path) -> anyhow::Result<()> {
    fs::create_dir_all(to).with_context(|| format!("cannot create {}", to.display()))?;
    for entry in fs::read_dir(from).with_context(|| format!("cannot read {}", from.display()))? {
        let entry = entry.with_context(|| format!("cannot read {}", from.display()))?;
        let (source, target) = (entry.path(), to.join(entry.file_name()));
        let kind = entry.file_type().with_context(|| format!("cannot read {}", source.display()))?;
        ensure!(!kind.is_symlink(), "{} is a link; a bundle holds files only", source.display());
        if kind.is_dir() {
            copy_folder(&source, &target)?;
        } else {
            ensure!(kind.is_file(), "{} is not a regular file", source.display());
            fs::copy(&source, &target)
                .with_context(|| format!("cannot copy {} to {}", source.display(), target.display()))?;
        }
    }
    Ok(())
}
