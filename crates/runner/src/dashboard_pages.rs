//! Takes the pictures of Grafana's own pages, with the data they were given: what [`grafana`](aiclipx_judge::grafana) judges.

use std::path::Path;
use std::time::Duration;

use anyhow::Context;

use crate::browser::Browser;
use crate::browser::grafana::{DashboardPage, Shown};
use crate::surroundings::{look_for_a_browser, now_ms};
use aiclipx_base::address::Address;
use aiclipx_judge::artifacts::{GRAFANA_PAGE, dashboard_picture};
use aiclipx_judge::files::{write, write_json};
use aiclipx_judge::grafana::{Seen, dashboards};
use aiclipx_judge::panels;
use aiclipx_judge::run::Run;
use aiclipx_judge::tree::Tree;
use aiclipx_model::failure::{Failure, temporary_folder};
use aiclipx_model::scenario::Scenario;
use aiclipx_stack::prom::client::Api;

/// Grafana's scripts are some ten megabytes; on a cold start their compilation takes longer than the queries.
const PATIENCE: Duration = Duration::from_secs(45);

/// Pictures the dashboards of a run. What can't be pictured is told in its file; only a disk ends it.
pub(super) async fn collect(
    address: &Address,
    tree: &Tree,
    scenario: &Scenario,
    run: &Run,
    target: &Path,
) -> anyhow::Result<()> {
    let wanted = dashboards(scenario);
    if wanted.is_empty() {
        return Ok(());
    }
    look_for_a_browser().await;
    let browser = match Browser::find() {
        Some(program) => Browser::start(&program).await.map_err(|failure| failure.in_one_line()),
        None => Err("Chromium is not on PATH (Debian: apt install chromium)".to_owned()),
    };
    let health = Api::new(address).json("/api/health").await.unwrap_or_default();
    let version = health["version"].as_str().unwrap_or("unknown");
    for dashboard in wanted {
        let model = tree.dashboards.iter().find(|known| known.uid == dashboard);
        let bottoms = model.iter().flat_map(|model| &model.panels).map(|panel| panel.grid.y + panel.grid.h);
        let range = panels::time_range(run);
        let page = DashboardPage {
            address,
            uid: dashboard,
            rows: bottoms.max().unwrap_or(0),
            from_ms: range.from_millis,
            to_ms: range.to_millis,
            patience: PATIENCE,
        };
        let taken = match &browser {
            Ok(browser) => pictured(&page, browser).await.map_err(|failure| failure.in_one_line()),
            Err(why) => Err(why.clone()),
        };
        let taken_ms = now_ms();
        let (Shown { exchanges, failed }, missing) = match taken {
            Ok((shown, png)) => {
                // Only now: an experiment whose picture can't be had has no place for it.
                write(&target.join(dashboard_picture(dashboard)), &png)?;
                (shown, None)
            }
            Err(why) => (Shown { exchanges: Vec::new(), failed: Vec::new() }, Some(why)),
        };
        let version = version.to_owned();
        let seen = Seen { url: page.url(), taken_ms, version, exchanges, failed, missing };
        write_json(&target.join(GRAFANA_PAGE.named(dashboard)), &seen)?;
    }
    if let Ok(browser) = browser {
        // Its process is killed with the value anyway; a browser that ends badly takes no picture back.
        let _ = browser.close().await;
    }
    Ok(())
}

/// A page's picture, aside until it is whole.
async fn pictured(page: &DashboardPage<'_>, browser: &Browser) -> Result<(Shown, Vec<u8>), Failure> {
    let folder = temporary_folder()?;
    let file = folder.path().join("dashboard.png");
    let shown = page.picture(browser, &file).await?;
    Ok((shown, std::fs::read(&file).context("a picture that was taken can't be read")?))
}

#[cfg(test)]
mod tests {
    use aiclipx_judge::experiment::Experiment;
    use aiclipx_judge::files::read_json;

    use super::*;

    /// A page that nobody answers for, or no browser: the file says why, and there is no folder of pictures, which a bundle
    /// refuses when it is empty.
    #[tokio::test]
    async fn a_page_that_can_not_be_had_costs_its_own_claim_and_nothing_else() {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let nobody = Address::loopback(listener.local_addr().unwrap().port());
        drop(listener);
        let root = Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/../.."));
        let tree = Tree::read(root).unwrap();
        let kept = std::fs::read_dir(root.join("evidence/sample/experiments")).unwrap().next().unwrap().unwrap();
        let experiment = Experiment::read(&kept.path()).unwrap();
        let target = tempfile::tempdir().unwrap();
        collect(&nobody, &tree, &experiment.scenario, &experiment.run, target.path()).await.unwrap();
        let made: Vec<_> = std::fs::read_dir(target.path()).unwrap().map(|entry| entry.unwrap().file_name()).collect();
        assert_eq!(made, ["grafana"]);
        let seen: Seen = read_json(&target.path().join("grafana/app-overview.json")).unwrap();
        assert!(seen.missing.is_some() && seen.exchanges.is_empty(), "{seen:?}");
    }
}
