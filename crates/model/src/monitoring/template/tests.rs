//! What is a template is what promtool takes for one.

use std::process::Command;

use super::*;

const TEMPLATES: [&str; 28] = [
    "none at all, } or {",
    "{{ $value }}",
    "{{$value}} of {{ $labels.job }}",
    "{{- $value -}}",
    "{{ $value | printf \"%.2f\" }}",
    "{{ printf \"%.2f }} %s\" $value $labels.job }}",
    "{{ .Labels.job }} {{ .Value | humanize }}",
    "{{ humanizePercentage (printf \"%f\" $value | parseDuration) }}",
    "{{ if gt $value 0.5 }}much{{ else if eq 1 2 }}some{{ else }}little{{ end }}",
    "{{ with $labels.job }}{{ . }}{{ else }}none{{ end }}",
    "{{ range $i, $x := query \"up\" }}{{ $i }}{{ $x.Labels.job }}{{ $x | value }}{{ break }}{{ end }}",
    "{{ with query \"rate(x[5m])\" }}{{ . | first | value | humanize }}{{ end }}",
    "{{ $x := 5 }}{{ $x = 6 }}{{ $x }}",
    "{{/* a comment */}}",
    "{{- /* a comment */ -}}",
    "{{ `raw }}` }}",
    "{{ 'a' }}",
    "{{ true }}",
    "{{ -1.5e3 | humanize }}",
    "{{ 0x1F }}",
    "{{ $externalLabels.speed }}{{ $externalURL }}{{ externalURL }}{{ pathPrefix }}",
    "{{ reReplaceAll \"(.*):.*\" \"$1\" $labels.instance }}",
    "{{ $ }}",
    "{{ $value | }}",
    "{{ . }}",
    "{{ label \"job\" . }}",
    "{{ and (not true) (or $value 1) }}",
    "{{ $labels.job | toUpper | title }}",
];

const NONE: [&str; 28] = [
    "{{ $labels.job | nosuch }}",
    "{{ $labels.job ",
    "{{ $labels.job }",
    "{{",
    "{{}}",
    "{{ }}",
    "{{ nosuch }}",
    "{{ $lables.job }}",
    "{{ | humanize }}",
    "{{ $value | 5 }}",
    "{{ $value | \"x\" }}",
    "{{ if }}x{{ end }}",
    "{{ if $value }}x",
    "{{ end }}",
    "{{ else }}",
    "{{ if $value }}x{{ else }}y{{ else }}z{{ end }}",
    "{{ range $x := . }}{{ end }}{{ $x | nosuch }}",
    "{{ ($value }}",
    "{{ $value) }}",
    "{{ () }}",
    "{{ \"open }}",
    "{{ 'ab }}",
    "{{ `open }}",
    "{{/* open }}",
    "{{ $value ; }}",
    "{{ 5m }}",
    "{{ break }}",
    "{{ humanise $value }}",
];

fn promtool_takes(text: &str, file: &std::path::Path) -> bool {
    let rule = serde_json::json!({"alert": "A", "expr": "up", "annotations": {"a": text}});
    let rules = serde_json::json!({"groups": [{"name": "g", "rules": [rule]}]});
    std::fs::write(file, rules.to_string()).expect("a file is written");
    let checked = Command::new("promtool").args(["check", "rules"]).arg(file).output();
    let checked = checked.unwrap_or_else(|error| {
        panic!("cannot run promtool ({error}); it comes with Debian's prometheus, or `nix develop`")
    });
    checked.status.success()
}

#[test]
fn what_is_a_template_is_what_promtool_takes_for_one() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let file = folder.path().join("rules.yml");
    for text in TEMPLATES {
        assert!(promtool_takes(text, &file), "promtool refuses {text}");
        assert!(check(text).is_ok(), "{text}: {:?}", check(text));
    }
    for text in NONE {
        assert!(!promtool_takes(text, &file), "promtool takes {text}");
        assert!(check(text).is_err(), "{text}");
    }
}

#[test]
fn a_template_that_asks_is_known() {
    assert_eq!(check("{{ with query \"up\" }}{{ . | first | value }}{{ end }}"), Ok(true));
    assert_eq!(check("{{ $labels.query }} query"), Ok(false));
}
