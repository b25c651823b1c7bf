//! How many replicas of the service there are: one where each has items of its own; where they share a database, no more than it
//! has connections for.

use std::path::Path;

use super::super::environment;
use super::super::finding::Findings;
use super::deployment::{Deployment, Object, at, containers};
use super::pods::given;
use aiclipx_model::monitoring::kubernetes::DEPLOYMENT;
use aiclipx_model::monitoring::located::{Node, Value};

/// The service.
const NAME: &str = "app";
/// Below [`DEPLOYMENT`], what there is where items are kept in a database.
const DATABASE: &str = "components/database";
/// PostgreSQL's `max_connections` less its `superuser_reserved_connections`, by its defaults.
const CONNECTIONS: f64 = 97.0;

pub(super) fn check(deployment: &Deployment, findings: &mut Findings) {
    let place = Path::new(DEPLOYMENT).join(DATABASE);
    let is_of_database = |object: &&Object| object.file.starts_with(&place);
    let service = |object: &&Object| object.kind() == "Deployment" && object.name() == NAME;
    let Some(own) = deployment.objects.iter().find(|object| service(object) && !object.is_patch) else { return };
    let count = at(&own.node, "spec.replicas");
    if count.and_then(Node::as_number) != Some(1.0) {
        let line = count.map_or_else(|| own.node.line_of("spec"), |count| count.line);
        let what = "without a database each replica has items of its own, and there is not one";
        findings.about("kubernetes/replicas", NAME, &own.file, line, what, "replicas: 1; components/database has more");
    }
    for object in deployment.objects.iter().filter(|object| !is_of_database(object) && object.name() == NAME) {
        if ["HorizontalPodAutoscaler", "PodDisruptionBudget"].contains(&object.kind()) {
            let what = format!("`{}` for a service whose replicas have items of their own", object.kind());
            let line = object.node.line_of("kind");
            findings.about(
                "kubernetes/replicas",
                NAME,
                &object.file,
                line,
                what,
                "it belongs into components/database",
            );
        }
    }
    let of_database = |kind: &str| deployment.objects.iter().filter(is_of_database).find(|one| one.kind() == kind);
    let (Some(scaler), Some(patch)) = (of_database("HorizontalPodAutoscaler"), of_database("Deployment")) else {
        return;
    };
    if at(&patch.node, "spec.replicas").is_none_or(|count| count.value != Value::Null) {
        let what = "the number of replicas is the autoscaler's, and each apply puts it back";
        findings.about("kubernetes/replicas", NAME, &patch.file, patch.node.line_of("spec"), what, "replicas: null");
    }
    connections(own, scaler, patch, findings);
}

/// All that may run at once, those that are draining among them, have room in the database.
fn connections(own: &Object, scaler: &Object, patch: &Object, findings: &mut Findings) {
    let number =
        |object: &Object, keys: &str, usual: f64| at(&object.node, keys).and_then(Node::as_number).unwrap_or(usual);
    let most = number(scaler, "spec.maxReplicas", 1.0);
    let surge = number(own, "spec.strategy.rollingUpdate.maxSurge", 1.0);
    let grace = number(own, "spec.template.spec.terminationGracePeriodSeconds", 30.0);
    // In a rollout the next is told to stop when its successor has been ready for so long.
    let apart = number(own, "spec.minReadySeconds", 0.0).max(1.0);
    let pods = most + surge * (1.0 + (grace / apart).ceil());
    let container = patch.template().into_iter().flat_map(containers).find(|one| one.text_of("name") == Some(NAME));
    let Some(container) = container else { return };
    let Ok(config) = environment::read(&given(container)) else { return };
    let each = u32::try_from(config.database_pool).map_or(f64::INFINITY, f64::from) + 1.0;
    if pods * each > CONNECTIONS {
        let line = container.line_of("env");
        let what =
            format!("{pods} pods of a rollout take {} connections, and PostgreSQL gives {CONNECTIONS}", pods * each);
        findings.about(
            "kubernetes/connections",
            NAME,
            &patch.file,
            line,
            what,
            "a smaller APP_DATABASE_POOL or maxReplicas",
        );
    }
}
