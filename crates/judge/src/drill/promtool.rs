//! What promtool itself says against a test file: of which alerts it does not find what the tests expect.

use std::collections::BTreeMap;

/// The alerts that promtool's words are about, each with the first of them. What it says of expressions and of files that it
/// does not read is about none.
pub fn accuses(said: &str) -> BTreeMap<String, String> {
    let mut accused = BTreeMap::new();
    for line in said.lines().map(str::trim) {
        let about = line.strip_prefix("alertname: ").or_else(|| line.strip_prefix("rule: "));
        let Some((alert, rest)) = about.and_then(|about| about.split_once(", time: ")) else { continue };
        accused.entry(alert.to_owned()).or_insert_with(|| format!("at {}", rest.trim_end_matches([',', ' '])));
    }
    accused
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_alerts_that_it_speaks_of_are_told_with_when() {
        let said = "\
Unit Testing:  t.yml
  FAILED:
    alertname: Down, time: 5m,
        exp:[
            0:
              Labels:{alertname=\"Down\"}
    alertname: Down, time: 9m,
    rule: Limited, time: 0s, err: exceeded limit of 1 with 2 alerts
    expr: \"x\", time: 1m,
r.yml: 9:31: group \"g\", rule 6, \"Minute\": could not parse expression
";
        let told: Vec<(String, String)> = accuses(said).into_iter().collect();
        let expected = [("Down", "at 5m"), ("Limited", "at 0s, err: exceeded limit of 1 with 2 alerts")];
        assert_eq!(told, expected.map(|(alert, what)| (alert.to_owned(), what.to_owned())));
    }
}
