//! What a service names is there: networks, services, volumes, files of the tree.

use std::path::Path;

use super::super::finding::Findings;
use super::service::Service;
use aiclipx_model::monitoring::located::Node;

/// In a tree, what of `document` a service names.
pub(super) fn check(service: &Service<'_>, document: &Node, root: &Path, findings: &mut Findings) {
    let has = |key, name: &str| document.get(key).is_some_and(|node| node.get(name).is_some());
    let name = service.name;
    let mut missing = |line, what| service.find(findings, "compose/missing", line, what, "");
    for (key, place) in [("networks", "networks"), ("depends_on", "services")] {
        for (line, wanted) in service.names_of(key) {
            if !has(place, wanted) {
                missing(line, format!("`{name}` names `{wanted}`, which is not among the {place}"));
            }
        }
    }
    for (line, path) in paths_of(service.node) {
        if !root.join(&path).exists() {
            missing(line, format!("`{name}` is told of {path}, which is not there"));
        }
    }
    for volume in service.node.items_of("volumes") {
        let Some(source) = volume.as_text().and_then(|text| text.split(':').next()) else { continue };
        let is_path = source.starts_with(['.', '/', '~', '$']);
        if let Some(inside) = source.strip_prefix("./")
            && !root.join(inside).exists()
        {
            // An engine would make an empty folder of that name.
            missing(volume.line, format!("`{name}` mounts {source}, which is not there"));
        } else if !is_path && !has("volumes", source) {
            missing(volume.line, format!("`{name}` mounts `{source}`, which is not among the volumes"));
        }
    }
}

/// Files of the tree that a service's command names by where they are mounted, with the lines.
fn paths_of(service: &Node) -> Vec<(usize, String)> {
    let mounts: Vec<(&str, &str)> = service
        .items_of("volumes")
        .iter()
        .filter_map(|volume| volume.as_text()?.strip_prefix("./")?.split_once(':'))
        .map(|(source, target)| (source, target.split(':').next().unwrap_or_default()))
        .collect();
    let mut found = Vec::new();
    for word in service.items_of("command") {
        let text = word.as_text().unwrap_or_default();
        let path = text.split_once('=').map_or(text, |(_, path)| path);
        for (source, target) in &mounts {
            if let Some(inside) =
                path.strip_prefix(target).filter(|inside| inside.is_empty() || inside.starts_with('/'))
            {
                found.push((word.line, format!("{source}{inside}")));
            }
        }
    }
    found
}
