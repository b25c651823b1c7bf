//! deploy/kubernetes: its objects are such as Kubernetes knows ([`schema`]), each file is in a list and each list has all of a
//! folder ([`listed`]), pods are held back and stop as compose.yaml's services do ([`pods`]), there are as many replicas as have their
//! items together ([`replicas`]), what selects and names something finds it ([`named`]), and what is made of monitoring/ is what
//! monitoring/ gives. [`deployment`] is what they read.
//!
//! The operator's own kinds (`ServiceMonitor`, `PrometheusRule` …) are read as YAML and no further: no crate has their schemas.

use std::path::Path;

use super::finding::Findings;
use aiclipx_model::files;
use aiclipx_model::monitoring::kubernetes::{DEPLOYMENT, NAMESPACE};
use aiclipx_model::monitoring::{KUSTOMIZATION, Monitoring, slo};
use deployment::{Deployment, List};

mod deployment;
mod listed;
mod named;
mod pods;
mod replicas;
mod schema;

/// Where there is none, as beside an installed tool, nothing is checked.
pub(super) fn check(root: &Path, monitoring: &Monitoring, findings: &mut Findings) {
    if !root.join(DEPLOYMENT).is_dir() {
        return;
    }
    let deployment = Deployment::read(root, findings);
    for object in &deployment.objects {
        schema::check(object, findings);
    }
    listed::check(&deployment, root, findings);
    pods::check(&deployment, findings);
    replicas::check(&deployment, findings);
    named::check(&deployment, findings);
    made(root, monitoring, findings);
    namespace(&deployment, findings);
}

/// The operator's rules hold in one namespace, which is the one that their list puts them in.
fn namespace(deployment: &Deployment, findings: &mut Findings) {
    let of_operator = |list: &&List| list.file == Path::new(DEPLOYMENT).join("overlays/operator").join(KUSTOMIZATION);
    for list in deployment.lists.iter().filter(of_operator) {
        if list.node.text_of("namespace") != Some(NAMESPACE) {
            let what = format!("its rules ask for the namespace {NAMESPACE}, and would fire for nothing in another");
            let remedy = "a list of your own, and `aiclipx render --kubernetes --namespace NAME --out FOLDER`";
            findings.find("kubernetes/rendered", &list.file, list.node.line_of("namespace"), what, remedy);
        }
    }
}

/// What is made of monitoring/ is what it gives, to the byte.
fn made(root: &Path, monitoring: &Monitoring, findings: &mut Findings) {
    // What it can't be made of is told where that is checked.
    let made = match monitoring.for_kubernetes() {
        Ok(made) => made,
        Err(found) => return findings.read("kubernetes/rendered", found),
    };
    for (path, given) in made {
        let file = Path::new(DEPLOYMENT).join(path);
        let there = files::read_to_string(&root.join(&file)).unwrap_or_default();
        if let Some(line) = slo::differs(&there, &given) {
            let given = given.split('\n').nth(line - 1).map_or("nothing", str::trim);
            let what = format!("monitoring/ gives another line here: `{given}`");
            let remedy =
                "`aiclipx render --kubernetes` makes it anew; what was changed by hand in it belongs into monitoring/";
            findings.find("kubernetes/rendered", file, line, what, remedy);
        }
    }
}

#[cfg(test)]
mod tests;
