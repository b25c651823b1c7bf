//! Where a long name may break: before a capital of `CamelCase`, behind a `/` or a `_`. Browsers break behind hyphens by
//! themselves, and elsewhere in a word only if told to, which leaves a letter alone on a line.

use maud::{Markup, html};

/// A text whose long names are kept on one line where there is room for them, and else break where a reader would.
pub(super) fn breakable(text: &str) -> Markup {
    html! {
        @for (at, word) in text.split(' ').enumerate() {
            @if at > 0 { " " }
            @let parts = parts(word);
            @if parts.len() > 1 {
                span.word { @for (at, part) in parts.iter().enumerate() { @if at > 0 { wbr; } (part) } }
            } @else { (word) }
        }
    }
}

/// A word in the parts between which it may break; each is a few letters long.
fn parts(word: &str) -> Vec<&str> {
    const FEWEST: usize = 3;
    let mut parts = Vec::new();
    let mut rest = word;
    let mut before = ' ';
    for (at, sign) in word.char_indices() {
        let begins = matches!(before, '/' | '_') || (before.is_ascii_lowercase() && sign.is_ascii_uppercase());
        let done = word.len() - rest.len();
        if begins && at - done >= FEWEST && word.len() - at >= FEWEST {
            let (part, left) = rest.split_at(at - done);
            parts.push(part);
            rest = left;
        }
        before = sign;
    }
    parts.push(rest);
    parts
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_breaks_where_a_reader_would_break_it() {
        for (word, expected) in [
            ("AppDown", &["App", "Down"][..]),
            ("AlertmanagerClusterFailedToSendAlerts:", &["Alertmanager", "Cluster", "Failed", "ToSend", "Alerts:"]),
            ("AppHighP95Latency", &["App", "High", "P95Latency"]),
            ("monitoring-health/12", &["monitoring-health/12"]),
            ("app_requests_total", &["app_", "requests_", "total"]),
            ("PrometheusTSDBReloadsFailing", &["Prometheus", "TSDBReloads", "Failing"]),
            ("quiet", &["quiet"]),
            ("", &[""]),
            ("Äquator_é", &["Äquator_é"]),
        ] {
            assert_eq!(parts(word), expected, "{word}");
        }
    }

    #[test]
    fn a_text_is_the_same_to_who_copies_it() {
        let text = "  AppDown fired & <b>;  (AppTrafficDrop) ";
        let drawn = breakable(text).into_string();
        let plain = ["<span class=\"word\">", "</span>", "<wbr>"].iter().fold(drawn, |told, tag| told.replace(tag, ""));
        assert_eq!(plain, text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;"));
    }
}
