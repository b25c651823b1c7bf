//! The state directory before a start: its folders, the configuration, secrets.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use anyhow::Context;

use super::component::Component;
use super::database;
use super::plan::Plan;
use super::preflight::Preflight;
use super::secrets;
use aiclipx_model::failure::Failure;
use aiclipx_model::monitoring::{with_datasources_by_uid, without_links_to_logs};
use aiclipx_model::prom::grafana;

/// Folders, configuration and secrets in the state directory.
pub(super) fn prepare_state_dir(
    plan: &Plan,
    preflight: &Preflight,
    rendered: &BTreeMap<PathBuf, Vec<u8>>,
) -> Result<(), Failure> {
    let etc = plan.etc();
    gone("replace", &etc, std::fs::remove_dir_all(&etc))?;
    make(&plan.logs())?;
    for (component, tool) in &preflight.programs {
        match component {
            Component::Prometheus => make(&plan.prometheus_data(&tool.version))?,
            Component::Alertmanager => {
                make(&plan.data(*component))?;
                // Whom the last stack told of an alert that it did not live to see resolved, this one must tell again.
                let told = plan.data(*component).join("nflog");
                gone("remove", &told, std::fs::remove_file(&told))?;
            }
            Component::Grafana | Component::Vector | Component::Loki => make(&plan.data(*component))?,
            // A place for what somebody's own service keeps.
            Component::Database => database::prepare(plan, tool, &preflight.death_prefix)?,
            Component::App if !plan.service.is_ours() => {
                for process in plan.processes().iter().filter(|process| process.component == Component::App) {
                    make(&plan.data_of(process))?;
                }
            }
            Component::App | Component::Receiver | Component::Viewer | Component::Probe => {}
        }
    }
    let page = preflight.programs.get(&Component::Grafana);
    let is_older = page.is_some_and(|tool| !grafana::reads_objects(&tool.version));
    if page.is_some() {
        secrets::prepare(plan)?;
        // Each of these that is not there it calls an error.
        for kind in ["plugins", "notifiers", "alerting"] {
            make(&etc.join("grafana/provisioning").join(kind))?;
        }
    }
    let lacks = |component| preflight.absent.contains_key(&component);
    for (path, content) in rendered {
        let file = etc.join(path);
        // An absent component gets an empty list of targets, so that Prometheus does not report it down. Nothing leads there.
        let mut content = Cow::Borrowed(&content[..]);
        if is_targets_of(path, &preflight.absent) {
            content = Cow::Borrowed(NO_TARGETS);
        } else if path == Path::new(STORE_OF_LOGS) && lacks(Component::Loki) && lacks(Component::Grafana) {
            // The viewer, which has nothing but these files, then says that there is none, and does not ask.
            content = Cow::Borrowed(NO_DATASOURCE);
        } else if path.starts_with("grafana/dashboards") {
            if lacks(Component::Loki) {
                content = Cow::Owned(without_links_to_logs(&content));
            }
            if is_older {
                content = Cow::Owned(with_datasources_by_uid(&content));
            }
        }
        make(file.parent().unwrap_or(&etc))?;
        std::fs::write(&file, content).with_context(|| format!("cannot write {}", file.display()))?;
    }
    Ok(())
}

fn make(folder: &Path) -> anyhow::Result<()> {
    std::fs::create_dir_all(folder).with_context(|| format!("cannot make {}", folder.display()))
}

/// What was removed need not have been there.
fn gone(what: &str, path: &Path, removed: std::io::Result<()>) -> Result<(), Failure> {
    match removed {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
            Err(Failure::usage(format!("cannot {what} {}: {error}", path.display())))
        }
        _ => Ok(()),
    }
}

const NO_TARGETS: &[u8] = b"[]\n";
/// Where dashboards are told of Loki, and what tells them of nothing.
const STORE_OF_LOGS: &str = "grafana/provisioning/datasources/loki.yml";
const NO_DATASOURCE: &[u8] = b"datasources: []\n";

/// Whether a file tells others where to find a component that is absent.
fn is_targets_of(path: &Path, absent: &BTreeMap<Component, String>) -> bool {
    let folder = path.parent().unwrap_or(Path::new(""));
    let tells = folder == Path::new("prometheus/targets");
    let stem = path.file_stem().and_then(|stem| stem.to_str()).unwrap_or_default();
    tells && absent.keys().any(|component| component.name() == stem)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tools::Tool;
    use aiclipx_base::duration::Speed;
    use aiclipx_model::failure::Kind;

    #[test]
    fn of_what_alertmanager_keeps_a_start_removes_whom_it_told_and_nothing_else() {
        let place = tempfile::tempdir().unwrap();
        let plan =
            Plan::attached(Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/../..")), place.path(), Speed::PRODUCTION)
                .unwrap();
        let tool = |name: &str| Tool { path: name.into(), version: "3.5.0".to_owned() };
        let preflight = Preflight {
            components: plan.components.clone(),
            programs: [Component::Prometheus, Component::Alertmanager].map(|one| (one, tool(one.name()))).into(),
            absent: BTreeMap::new(),
            supervisord: tool("supervisord"),
            death_prefix: Vec::new(),
            revision: "unknown".to_owned(),
        };
        let start = || prepare_state_dir(&plan, &preflight, &BTreeMap::new());
        start().unwrap();
        let (alerts, samples) = (plan.data(Component::Alertmanager), plan.prometheus_data("3.5.0"));
        let kept =
            [alerts.join("silences"), alerts.join("nflog.1"), samples.join("chunk"), plan.logs().join("app.log")];
        for file in kept.iter().chain([&alerts.join("nflog")]) {
            std::fs::write(file, "before").unwrap();
        }
        start().unwrap();
        assert!(!alerts.join("nflog").exists());
        assert!(kept.iter().all(|file| file.exists()), "{kept:?}");
        // One that can't be removed would keep an alert from being told again.
        std::fs::create_dir(alerts.join("nflog")).unwrap();
        assert_eq!(start().unwrap_err().kind(), Kind::Usage);
    }
}
