//! A component of kustomize by which Prometheus also writes to a store elsewhere: the configuration that `up --remote-write` makes, the
//! way there, and where its secret lies.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use super::cluster::COMPONENT;
use crate::failure::Finding;
use crate::monitoring::located::{self, Node};
use crate::monitoring::remote_write::{REPLICA_LABEL, RemoteWrite, STACK_LABEL};
use crate::monitoring::{KUSTOMIZATION, Monitoring};

/// What is applied with a stack's Prometheus.
const LIST: &str = "\
# Prometheus also writes every sample to a store elsewhere. Made by `aiclipx render --kubernetes`; README.md, \"Remote storage\".
apiVersion: kustomize.config.k8s.io/v1alpha1
kind: Component
resources:
  - network.yaml
patches:
  - path: secret.yaml
configMapGenerator:
  - name: prometheus
    behavior: merge
    files: [prometheus.yml]
";

/// Where the password's or the token's file is, by the keys of the Secret.
const SECRET: &str = "\
# The keys of the Secret `prometheus-remote-write` are files in /run/secrets/remote-write. Without it the folder is empty.
apiVersion: apps/v1
kind: StatefulSet
metadata:
  name: prometheus
spec:
  template:
    spec:
      containers:
        - name: prometheus
          volumeMounts:
            - {name: remote-write, mountPath: /run/secrets/remote-write, readOnly: true}
      volumes:
        - name: remote-write
          secret: {secretName: prometheus-remote-write, optional: true}
";

/// Where the tree's own writes to: a `VictoriaMetrics` in the same namespace.
pub(super) fn example() -> RemoteWrite {
    let labels = [(STACK_LABEL, "aiclipx"), (REPLICA_LABEL, "a")];
    RemoteWrite {
        url: "http://victoriametrics:8428/api/v1/write".parse().unwrap_or_else(|why| unreachable!("{why}")),
        credentials: None,
        labels: labels.map(|(name, value)| (name.to_owned(), value.to_owned())).into(),
    }
}

impl Monitoring {
    pub(super) fn writes_elsewhere(&self, remote: &RemoteWrite) -> Result<BTreeMap<PathBuf, String>, Vec<Finding>> {
        let Some((source, mut configuration)) = self.in_a_cluster()? else { return Ok(BTreeMap::new()) };
        remote.add_to(&mut configuration);
        let way = located::print_yaml(&way(remote.url.port()));
        let refused = |what| vec![Finding { file: self.named(&source), line: 0, what, remedy: String::new() }];
        let made = [
            (KUSTOMIZATION, LIST.to_owned()),
            ("prometheus.yml", self.printed(&source, &configuration)?),
            ("network.yaml", format!("# To where it writes, by the port alone.\n{}", way.map_err(refused)?)),
            ("secret.yaml", SECRET.to_owned()),
        ];
        Ok(made.into_iter().map(|(name, text)| (Path::new(name).to_owned(), text)).collect())
    }
}

/// Out to a port, wherever it is.
fn way(port: u16) -> Node {
    let prometheus = Node::map([("matchLabels", Node::map([(COMPONENT, Node::text("prometheus"))]))]);
    let ports = Node::list([Node::map([("port", Node::number(port))])]);
    Node::map([
        ("apiVersion", Node::text("networking.k8s.io/v1")),
        ("kind", Node::text("NetworkPolicy")),
        ("metadata", Node::map([("name", Node::text("prometheus-remote-write"))])),
        (
            "spec",
            Node::map([
                ("podSelector", prometheus),
                ("policyTypes", Node::list([Node::text("Egress")])),
                ("egress", Node::list([Node::map([("ports", ports)])])),
            ]),
        ),
    ])
}
