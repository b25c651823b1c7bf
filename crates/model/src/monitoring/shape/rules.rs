//! Rules, promtool's unit tests of them, and files of targets.

use super::{Field, Shape, TEXTS, each, may, must, switches};

pub(in crate::monitoring) static TARGETS: Shape =
    Shape::List(&Shape::Record(&[&[may("targets", &TEXTS), may("labels", &Shape::TargetLabels)]]));

pub(in crate::monitoring) static RULES: Shape = Shape::Record(&[&[may(
    "groups",
    &Shape::List(&Shape::Record(&[&[
        must("name", &Shape::Name),
        each(&Shape::Duration, &["interval", "query_offset"]),
        may("limit", &Shape::Number),
        may("labels", &Shape::Labels),
        may(
            "rules",
            &Shape::List(&Shape::Record(&[&[
                may("record", &Shape::Metric),
                may("alert", &Shape::Name),
                must("expr", &Shape::Expr),
                each(&Shape::Duration, &["for", "keep_firing_for"]),
                may("labels", &Shape::RuleLabels),
                may("annotations", &Shape::Annotations),
            ]])),
        ),
    ]])),
)]]);

/// A unit test's series; its samples follow from its name.
pub(in crate::monitoring) static SERIES: &[Field] = &[may("series", &Shape::Text), may("values", &Shape::Text)];

pub(in crate::monitoring) static TESTS: Shape = Shape::Record(&[&[
    may("rule_files", &TEXTS),
    may("evaluation_interval", &Shape::Duration),
    may("group_eval_order", &TEXTS),
    switches(&["fuzzy_compare"]),
    may(
        "tests",
        &Shape::List(&Shape::Record(&[&[
            may("name", &Shape::Text),
            may("interval", &Shape::Duration),
            may("start_timestamp", &Shape::Text),
            may("external_labels", &Shape::Labels),
            may("external_url", &Shape::Text),
            may("input_series", &Shape::List(&Shape::Series)),
            may("promql_expr_test", &Shape::List(&PROMQL_EXPR_TEST)),
            may("alert_rule_test", &Shape::List(&ALERT_RULE_TEST)),
        ]])),
    ),
]]);

static PROMQL_EXPR_TEST: Shape = Shape::Record(&[&[
    must("expr", &Shape::TestExpr),
    may("eval_time", &Shape::Duration),
    may(
        "exp_samples",
        &Shape::List(&Shape::Record(&[&[
            may("labels", &Shape::Text),
            may("value", &Shape::Value),
            may("histogram", &Shape::Text),
        ]])),
    ),
]]);

static ALERT_RULE_TEST: Shape = Shape::Record(&[&[
    may("eval_time", &Shape::Duration),
    may("alertname", &Shape::Text),
    may(
        "exp_alerts",
        &Shape::List(&Shape::Record(&[&[
            may("exp_labels", &Shape::Labels),
            may("exp_annotations", &Shape::ExpectedAnnotations),
        ]])),
    ),
]]);
