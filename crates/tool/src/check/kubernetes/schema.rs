//! An object has the fields that Kubernetes knows, of the types that it wants, and those that it must have.
//!
//! Read as the type of its kind and written again, an object is what it was: what is missing then nobody knows, and what has come is
//! what it must have. The types are of the oldest release that k8s-openapi has, so that what is new is found, too.

use k8s_openapi::Resource;
use k8s_openapi::api::apps::v1::{Deployment, StatefulSet};
use k8s_openapi::api::autoscaling::v2::HorizontalPodAutoscaler;
use k8s_openapi::api::batch::v1::Job;
use k8s_openapi::api::core::v1::{ConfigMap, Namespace, PersistentVolumeClaim, Pod, Secret, Service, ServiceAccount};
use k8s_openapi::api::networking::v1::{Ingress, NetworkPolicy};
use k8s_openapi::api::policy::v1::PodDisruptionBudget;
use k8s_openapi::api::rbac::v1::{Role, RoleBinding};
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::Value as Json;
use serde_path_to_error::{Path, Segment};

use super::super::finding::Findings;
use super::deployment::Object;
use aiclipx_model::monitoring::located::{Node, Value};

/// Where something else is wanted, and what.
type Wrong = (Path, String);
/// A kind by its group's version and its name, and how it is read and written again.
type Kind = (&'static str, &'static str, fn(Json) -> Result<Json, Wrong>);

const KINDS: [Kind; 16] = [
    kind::<ConfigMap>(),
    kind::<Deployment>(),
    kind::<HorizontalPodAutoscaler>(),
    kind::<Ingress>(),
    kind::<Job>(),
    kind::<Namespace>(),
    kind::<NetworkPolicy>(),
    kind::<PersistentVolumeClaim>(),
    kind::<Pod>(),
    kind::<PodDisruptionBudget>(),
    kind::<Role>(),
    kind::<RoleBinding>(),
    kind::<Secret>(),
    kind::<Service>(),
    kind::<ServiceAccount>(),
    kind::<StatefulSet>(),
];

/// The operator's, of which we have no types.
const OPERATORS: &str = "monitoring.coreos.com/";

const fn kind<T: Resource + Serialize + DeserializeOwned>() -> Kind {
    (T::API_VERSION, T::KIND, read::<T>)
}

fn read<T: Serialize + DeserializeOwned>(written: Json) -> Result<Json, Wrong> {
    let read: T = serde_path_to_error::deserialize(written)
        .map_err(|error| (error.path().clone(), error.into_inner().to_string()))?;
    Ok(serde_json::to_value(&read).unwrap_or_default())
}

pub(super) fn check(object: &Object, findings: &mut Findings) {
    let Object { file, node, is_patch } = object;
    let version = node.text_of("apiVersion").unwrap_or_default();
    let of_kind = KINDS.iter().find(|(known, kind, _)| *known == version && *kind == object.kind());
    let Some((.., read)) = of_kind else {
        if !version.starts_with(OPERATORS) {
            let what = format!("`{}` of `{version}` is no kind that is known here", object.kind());
            findings.find(
                "kubernetes/kind",
                file,
                node.line_of("kind"),
                what,
                "a row of KINDS in check/kubernetes/schema.rs",
            );
        }
        return;
    };
    match read(serde_json::to_value(node).unwrap_or_default()) {
        Ok(known) => compare(node, &known, object.kind(), *is_patch, &mut |line, what| {
            findings.about("kubernetes/field", object.name(), file, line, what, "");
        }),
        Err((place, what)) => {
            let what = format!("`{place}`: {what}");
            findings.about("kubernetes/field", object.name(), file, line_of(node, &place), what, "");
        }
    }
}

/// What was written beside what was read of it.
fn compare(written: &Node, known: &Json, place: &str, is_patch: bool, found: &mut dyn FnMut(usize, String)) {
    match (&written.value, known) {
        (Value::Map(entries), Json::Object(known)) => {
            // What a patch says to who lays it over another begins so.
            for entry in entries.iter().filter(|entry| !entry.key.starts_with('$') && entry.node.value != Value::Null) {
                match known.get(&entry.key) {
                    Some(known) => compare(&entry.node, known, &entry.key, is_patch, found),
                    None => found(entry.line, format!("`{place}` has no field `{}`", entry.key)),
                }
            }
            for key in known.keys().filter(|key| !is_patch && written.get(key).is_none()) {
                found(written.line, format!("`{place}` must have `{key}`"));
            }
        }
        (Value::List(items), Json::Array(known)) => {
            for (item, known) in items.iter().zip(known) {
                compare(item, known, place, is_patch, found);
            }
        }
        _ => {}
    }
}

/// The line of a place, or of the last thing on the way there.
fn line_of(node: &Node, place: &Path) -> usize {
    let mut node = node;
    let mut line = node.line;
    for segment in place {
        let next = match segment {
            Segment::Map { key } => {
                line = node.line_of(key);
                node.get(key)
            }
            Segment::Seq { index } => node.items().get(*index),
            Segment::Enum { .. } | Segment::Unknown => None,
        };
        let Some(next) = next else { break };
        node = next;
        if node.line > 0 && matches!(segment, Segment::Seq { .. }) {
            line = node.line;
        }
    }
    line
}
