//! Whom alerts are meant for (`drill.yaml`): what a drill would refuse in it, found as a drill finds it.

use std::path::Path;

use super::finding::Findings;
use aiclipx_judge::drill::given::{Role, role};
use aiclipx_model::drill::alertmanager::Configuration;
use aiclipx_model::drill::expected;
use aiclipx_model::drill::rules::{self, Rule};
use aiclipx_model::failure;
use aiclipx_model::monitoring::Monitoring;

pub(super) fn check(monitoring: &Monitoring, findings: &mut Findings) {
    let of = |wanted: Role| monitoring.files().iter().filter(move |(path, bytes)| role(path, bytes) == wanted);
    let mut read = Vec::new();
    for (path, bytes) in of(Role::Expected) {
        match expected::read(&monitoring.named(path), bytes) {
            Ok(meant) => read.extend(meant),
            Err(found) => findings.read("drill/expected", found),
        }
    }
    if read.is_empty() {
        return;
    }
    let rules: Vec<Rule> =
        of(Role::Rules).filter_map(|(path, bytes)| rules::read(path, bytes).ok()).flatten().collect();
    // Of several a drill takes the one that is named to it.
    let configurations: Vec<(&Path, &[u8])> =
        of(Role::Alertmanager).map(|(path, bytes)| (path.as_path(), bytes.as_slice())).collect();
    let configuration = match configurations[..] {
        [(path, bytes)] => Configuration::read(path, bytes).ok(),
        _ => None,
    };
    let rules: Vec<&Rule> = rules.iter().collect();
    let unknown: Vec<failure::Finding> = expected::unknown(&read, &rules, configuration.as_ref());
    findings.read("drill/expected", unknown);
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;
    use std::path::PathBuf;

    use super::*;

    fn found(files: &[(&str, &str)]) -> Vec<String> {
        let files: BTreeMap<PathBuf, Vec<u8>> =
            files.iter().map(|(path, text)| (PathBuf::from(path), text.as_bytes().to_vec())).collect();
        let monitoring = Monitoring::from_any(files).unwrap_or_else(|found| panic!("{found:#?}"));
        let mut findings = Findings::default();
        check(&monitoring, &mut findings);
        findings.0.iter().map(|one| format!("{}:{} {}", one.file.display(), one.line, one.what)).collect()
    }

    const RULES: &str = "groups: [{name: g, rules: [{alert: ShopDown, expr: up == 0, labels: {severity: page}}]}]";
    const ALERTMANAGER: &str = "route: {receiver: oncall}\nreceivers: [{name: oncall}]\n";

    #[test]
    fn what_a_drill_refuses_is_found() {
        let of = |meant: &str| found(&[("r.yml", RULES), ("am.yml", ALERTMANAGER), ("a/drill.yaml", meant)]);
        for (meant, says) in [
            ("expected: []\nexpected: []\n", "a/drill.yaml:2 "),
            ("expected: [\n", "a/drill.yaml:"),
            (
                "expected:\n- {alertname: ShopDown, receivers: [~]}\n",
                "a/drill.yaml:2 `receivers` holds what is no name",
            ),
            ("expected:\n- {alertname: ShopDown, receivers: [who]}\n", "a/drill.yaml:2 no receiver is called who"),
            ("expected:\n- {alertname: Shop, receivers: [oncall]}\n", "a/drill.yaml:2 no alert is called Shop"),
            (
                "expected:\n- {alertname: ShopDown, labels: {severity: no}, receivers: [oncall]}\n",
                "a/drill.yaml:2 no rule of ShopDown gives an alert {severity=\"no\"}",
            ),
            ("expected:\n- {alertname: ShopDown, receivers: [oncall]}\n---\n{}\n", "a/drill.yaml:3 a second document"),
        ] {
            let told = of(meant);
            assert!(told.iter().any(|one| one.starts_with(says)), "{meant}: {told:?}");
        }
        assert_eq!(of("expected: [{alertname: ShopDown, receivers: [oncall]}]"), [""; 0]);
        // Without a configuration beside it nothing is known of receivers.
        let alone = found(&[("r.yml", RULES), ("drill.yaml", "expected: [{alertname: ShopDown, receivers: [who]}]")]);
        assert_eq!(alone, [""; 0]);
    }
}
