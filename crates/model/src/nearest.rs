//! What somebody who misspelt a name may have meant.

/// A name is taken for another so spelt from here on, of 1: two letters in ten differ.
const ALIKE: f64 = 0.8;

/// What to do about a name that is none of these: the one that is spelt most like it first, then all there are.
pub fn remedy<'a>(name: &str, kind: &str, known: impl IntoIterator<Item = &'a str>) -> String {
    let known: Vec<&str> = known.into_iter().collect();
    let all = format!("the {kind} are {}", known.join(", "));
    match nearest(name, &known) {
        Some(near) => format!("did you mean {near}? Else: {all}"),
        None => all,
    }
}

/// The one that is spelt most like it, where one is.
pub fn nearest<'a>(name: &str, known: &[&'a str]) -> Option<&'a str> {
    let likeness = |one: &&str| strsim::jaro_winkler(&name.to_lowercase(), &one.to_lowercase());
    let nearest = known.iter().copied().max_by(|a, b| likeness(a).total_cmp(&likeness(b)))?;
    (likeness(&nearest) >= ALIKE).then_some(nearest)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_one_that_is_spelt_most_like_it_comes_first() {
        let known = ["AppDown", "AppHighP95Latency", "AppHigh5xxErrorRate", "Watchdog"];
        for (name, meant) in [
            ("AppHigh5xErrorRate", Some("AppHigh5xxErrorRate")),
            ("apphighp95latency", Some("AppHighP95Latency")),
            ("Watchdogs", Some("Watchdog")),
            ("Quite another thing", None),
            ("", None),
        ] {
            assert_eq!(nearest(name, &known), meant, "{name}");
        }
        let all = "the alerts are AppDown, AppHighP95Latency, AppHigh5xxErrorRate, Watchdog";
        assert_eq!(remedy("AppDwon", "alerts", known), format!("did you mean AppDown? Else: {all}"));
        assert_eq!(remedy("x", "alerts", known), all);
        assert_eq!(remedy("x", "alerts", []), "the alerts are ");
    }
}
