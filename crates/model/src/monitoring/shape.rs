//! What may stand in each file under monitoring/: one table, for reading and for rendering.
//!
//! A [`Shape`] says what a value is, and with it whether a faster stack divides it. A key that is missing here is refused
//! rather than copied, because nobody would have decided that. What is done by a shape is `walk`'s.

use std::path::Path;

use super::addresses::Place;

/// What a value is.
#[derive(Debug)]
pub(super) enum Shape {
    /// A text kept as it is.
    Text,
    /// A number kept as it is.
    Number,
    /// `true` or `false`.
    Switch,
    /// A text that is not empty.
    Name,
    /// The name of a series.
    Metric,
    /// Names with a text each: labels.
    Texts,
    /// A rule's labels: texts that may be templates.
    Labels,
    /// Labels of targets: texts, of which `__param_target` leads to where the service serves its clients, and then
    /// `instance` names that place.
    TargetLabels,
    /// A duration of production time.
    Duration,
    /// A scrape interval: a duration with a floor.
    Scrape,
    /// A least step of Grafana's: a duration in whole seconds, also where it is divided.
    Step,
    /// A rule's expression.
    Expr,
    /// A unit test's expression: divided, but asked of made-up series, so free to count.
    TestExpr,
    /// A matcher of Alertmanager.
    Matcher,
    /// The URL of a component.
    Url(Place),
    /// The URL of one of these.
    AnyUrl(&'static [Place]),
    /// A folder of the copy, absolute.
    Folder,
    /// A file or pattern below the folder of log files, absolute.
    LogFile,
    /// A component's folder of data, absolute.
    Data,
    /// Where a component listens: any address of its machine at the port it has, which a local stack narrows to its own.
    Listen(Place),
    /// A file that is checked, and copied to the letter.
    Copied(&'static Shape),
    /// A program or a setting of a component's own that no address and no speed touches.
    Own,
    /// External labels: texts, of which `speed` is ours.
    ExternalLabels,
    /// An alert's annotations: texts without a duration in them, of which `dashboard_url` leads to the dashboards.
    Annotations,
    /// What a unit test expects of annotations: the same with values in it.
    ExpectedAnnotations,
    /// A unit test's series: `series` names it, `values` are its samples.
    Series,
    /// A list of one shape.
    List(&'static Shape),
    /// A map with known keys.
    Record(&'static [Field]),
    /// A dashboard: Grafana's own format, of which we look at expressions and intervals only.
    Dashboard,
}

impl Shape {
    /// Whether it is a text, however it is read.
    pub(super) fn is_a_text(&self) -> bool {
        matches!(
            self,
            Shape::Text
                | Shape::Name
                | Shape::Metric
                | Shape::Duration
                | Shape::Scrape
                | Shape::Expr
                | Shape::TestExpr
                | Shape::Matcher
        )
    }

    /// Whether it is a map of texts.
    pub(super) fn is_of_texts(&self) -> bool {
        matches!(
            self,
            Shape::Texts
                | Shape::Labels
                | Shape::TargetLabels
                | Shape::ExternalLabels
                | Shape::Annotations
                | Shape::ExpectedAnnotations
        )
    }

    /// What is expected, for messages.
    pub(super) fn expected(&self) -> &'static str {
        match self {
            Shape::Text
            | Shape::Name
            | Shape::Metric
            | Shape::Url(_)
            | Shape::AnyUrl(_)
            | Shape::Folder
            | Shape::LogFile
            | Shape::Data => "a text",
            Shape::Listen(_) => "an address like 0.0.0.0:9598",
            Shape::Own => "anything",
            Shape::Copied(shape) => shape.expected(),
            Shape::Number => "a number",
            Shape::Switch => "true or false",
            Shape::Texts
            | Shape::Labels
            | Shape::TargetLabels
            | Shape::ExternalLabels
            | Shape::Annotations
            | Shape::ExpectedAnnotations => "a map of texts",
            Shape::Duration | Shape::Scrape | Shape::Step => "a duration like 15s",
            Shape::Expr | Shape::TestExpr => "an expression",
            Shape::Matcher => "a matcher",
            Shape::List(_) => "a list",
            Shape::Series | Shape::Record(_) | Shape::Dashboard => "a map",
        }
    }
}

/// A key of a record.
#[derive(Debug)]
pub(super) struct Field {
    pub(super) key: &'static str,
    pub(super) shape: &'static Shape,
    pub(super) required: bool,
}

const fn must(key: &'static str, shape: &'static Shape) -> Field {
    Field { key, shape, required: true }
}

const fn may(key: &'static str, shape: &'static Shape) -> Field {
    Field { key, shape, required: false }
}

/// A unit test's series; its samples follow from its name.
pub(super) static SERIES: &[Field] = &[must("series", &Shape::Text), must("values", &Shape::Text)];

/// The shape of a file by its path under monitoring/; `None` when it is copied as it is, an error when nothing reads
/// it.
pub(super) fn of_file(path: &Path) -> Result<Option<&'static Shape>, String> {
    let text = path.to_string_lossy();
    let extension = path.extension().and_then(|extension| extension.to_str()).unwrap_or_default();
    let folder = path.parent().unwrap_or(Path::new("")).to_string_lossy();
    Ok(Some(match (text.as_ref(), folder.as_ref(), extension) {
        ("prometheus/prometheus.yml", ..) => &PROMETHEUS,
        (_, "prometheus/rules", "yml") => &RULES,
        (_, "prometheus/rules/tests", "yml") => &TESTS,
        (_, "prometheus/targets", "json") => &TARGETS,
        ("alertmanager/alertmanager.yml", ..) => &ALERTMANAGER,
        (_, "grafana/provisioning/datasources", "yml") => &DATASOURCES,
        (_, "grafana/provisioning/dashboards", "yml") => &PROVIDERS,
        (_, "grafana/dashboards", "json") => &Shape::Dashboard,
        ("blackbox/blackbox.yml", ..) => &BLACKBOX,
        ("vector/vector.yaml", ..) => &VECTOR,
        // What Loki is told beside its command line: no address in it, and no speed.
        ("loki/loki.yaml", ..) => &LOKI,
        // Vector's own unit tests. Examples are for people to take from; amtool checks them.
        ("vector/vector-tests.yaml", ..) | (_, "alertmanager/examples", "yml") => &Shape::Copied(&Shape::Own),
        // Where every file has its meaning, one we can't read is a mistake: a `.yaml` that no glob finds, say.
        (_, folder, "yml" | "yaml" | "json")
            if ["prometheus", "alertmanager", "grafana", "blackbox", "vector", "loki"]
                .iter()
                .any(|room| Path::new(folder).starts_with(room)) =>
        {
            return Err("nothing reads a file of this name in this folder".to_owned());
        }
        _ => return Ok(None),
    }))
}

static TEXTS: Shape = Shape::List(&Shape::Text);
static MATCHERS: Shape = Shape::List(&Shape::Matcher);
static FILE_SD: Shape =
    Shape::List(&Shape::Record(&[must("files", &TEXTS), may("refresh_interval", &Shape::Duration)]));

static PROMETHEUS: Shape = Shape::Record(&[
    must(
        "global",
        &Shape::Record(&[
            must("scrape_interval", &Shape::Scrape),
            may("scrape_timeout", &Shape::Duration),
            must("evaluation_interval", &Shape::Duration),
            must("external_labels", &Shape::ExternalLabels),
        ]),
    ),
    must("rule_files", &TEXTS),
    must(
        "alerting",
        &Shape::Record(&[must("alertmanagers", &Shape::List(&Shape::Record(&[must("file_sd_configs", &FILE_SD)])))]),
    ),
    must(
        "scrape_configs",
        &Shape::List(&Shape::Record(&[
            must("job_name", &Shape::Name),
            may("scrape_interval", &Shape::Scrape),
            may("scrape_timeout", &Shape::Duration),
            may("metrics_path", &Shape::Text),
            may("honor_labels", &Shape::Switch),
            must("file_sd_configs", &FILE_SD),
            may(
                "metric_relabel_configs",
                &Shape::List(&Shape::Record(&[
                    must("source_labels", &TEXTS),
                    must("regex", &Shape::Text),
                    must("action", &Shape::Text),
                ])),
            ),
        ])),
    ),
]);

static TARGETS: Shape = Shape::List(&Shape::Record(&[must("targets", &TEXTS), may("labels", &Shape::TargetLabels)]));

/// What the exporter may be asked to try. Its time-out is a latency, which no speed divides: what does not fit into a scrape
/// the exporter cuts to the scrape's own.
static BLACKBOX: Shape = Shape::Copied(&Shape::Record(&[must(
    "modules",
    &Shape::Record(&[must(
        "http_200",
        &Shape::Record(&[
            must("prober", &Shape::Text),
            must("timeout", &Shape::Duration),
            must(
                "http",
                &Shape::Record(&[
                    must("method", &Shape::Text),
                    must("valid_status_codes", &Shape::List(&Shape::Number)),
                    must("follow_redirects", &Shape::Switch),
                    may("preferred_ip_protocol", &Shape::Text),
                ]),
            ),
        ]),
    )]),
)]));

static RULES: Shape = Shape::Record(&[may(
    "groups",
    &Shape::List(&Shape::Record(&[
        must("name", &Shape::Name),
        may("interval", &Shape::Duration),
        may("limit", &Shape::Number),
        may(
            "rules",
            &Shape::List(&Shape::Record(&[
                may("record", &Shape::Metric),
                may("alert", &Shape::Name),
                must("expr", &Shape::Expr),
                may("for", &Shape::Duration),
                may("keep_firing_for", &Shape::Duration),
                may("labels", &Shape::Labels),
                may("annotations", &Shape::Annotations),
            ])),
        ),
    ])),
)]);

static TESTS: Shape = Shape::Record(&[
    must("rule_files", &TEXTS),
    must("evaluation_interval", &Shape::Duration),
    may("group_eval_order", &TEXTS),
    must(
        "tests",
        &Shape::List(&Shape::Record(&[
            must("name", &Shape::Text),
            must("interval", &Shape::Duration),
            may("external_labels", &Shape::Texts),
            may("input_series", &Shape::List(&Shape::Series)),
            may(
                "promql_expr_test",
                &Shape::List(&Shape::Record(&[
                    must("expr", &Shape::TestExpr),
                    must("eval_time", &Shape::Duration),
                    may(
                        "exp_samples",
                        &Shape::List(&Shape::Record(&[must("labels", &Shape::Text), must("value", &Shape::Number)])),
                    ),
                ])),
            ),
            may(
                "alert_rule_test",
                &Shape::List(&Shape::Record(&[
                    must("eval_time", &Shape::Duration),
                    must("alertname", &Shape::Text),
                    may(
                        "exp_alerts",
                        &Shape::List(&Shape::Record(&[
                            may("exp_labels", &Shape::Texts),
                            may("exp_annotations", &Shape::ExpectedAnnotations),
                        ])),
                    ),
                ])),
            ),
        ])),
    ),
]);

static ALERTMANAGER: Shape = Shape::Record(&[
    may("global", &Shape::Record(&[may("resolve_timeout", &Shape::Duration)])),
    may("templates", &TEXTS),
    must("route", &ROUTE),
    must(
        "receivers",
        &Shape::List(&Shape::Record(&[
            must("name", &Shape::Text),
            may(
                "webhook_configs",
                &Shape::List(&Shape::Record(&[
                    must("url", &Shape::Url(Place::Receiver)),
                    may("send_resolved", &Shape::Switch),
                    may("max_alerts", &Shape::Number),
                ])),
            ),
        ])),
    ),
    may(
        "inhibit_rules",
        &Shape::List(&Shape::Record(&[
            must("source_matchers", &MATCHERS),
            must("target_matchers", &MATCHERS),
            // Without it, a rule whose labels are missing on both sides applies to everything.
            must("equal", &TEXTS),
        ])),
    ),
]);

static ROUTE: Shape = Shape::Record(&[
    may("receiver", &Shape::Text),
    may("matchers", &MATCHERS),
    may("continue", &Shape::Switch),
    may("group_by", &TEXTS),
    may("group_wait", &Shape::Duration),
    may("group_interval", &Shape::Duration),
    may("repeat_interval", &Shape::Duration),
    may("routes", &ROUTES),
]);
static ROUTES: Shape = Shape::List(&ROUTE);

static DATASOURCES: Shape = Shape::Record(&[
    must("apiVersion", &Shape::Number),
    may("prune", &Shape::Switch),
    must(
        "datasources",
        &Shape::List(&Shape::Record(&[
            must("name", &Shape::Text),
            must("uid", &Shape::Text),
            must("type", &Shape::Text),
            must("access", &Shape::Text),
            must("url", &Shape::AnyUrl(&[Place::Prometheus, Place::Loki])),
            may("isDefault", &Shape::Switch),
            may("editable", &Shape::Switch),
            may(
                "jsonData",
                &Shape::Record(&[
                    may("timeInterval", &Shape::Step),
                    may("httpMethod", &Shape::Text),
                    may("maxLines", &Shape::Number),
                    may(
                        "derivedFields",
                        &Shape::List(&Shape::Record(&[
                            must("name", &Shape::Text),
                            must("matcherRegex", &Shape::Text),
                            may("url", &Shape::Text),
                            may("urlDisplayLabel", &Shape::Text),
                        ])),
                    ),
                ]),
            ),
        ])),
    ),
]);

static VECTOR: Shape = Shape::Record(&[
    must("data_dir", &Shape::Data),
    must("api", &Shape::Record(&[must("enabled", &Shape::Switch), must("address", &Shape::Listen(Place::Vector))])),
    must(
        "sources",
        &Shape::Record(&[
            must(
                "logs",
                &Shape::Record(&[
                    must("type", &Shape::Text),
                    must("include", &Shape::List(&Shape::LogFile)),
                    may("exclude", &Shape::List(&Shape::LogFile)),
                    may("read_from", &Shape::Text),
                    may("fingerprint", &Shape::Own),
                    may("oldest_first", &Shape::Switch),
                    may("file_key", &Shape::Text),
                    may("host_key", &Shape::Text),
                    may("max_line_bytes", &Shape::Number),
                ]),
            ),
            must("itself", &Shape::Own),
        ]),
    ),
    must("transforms", &Shape::Own),
    must(
        "sinks",
        &Shape::Record(&[
            must(
                "loki",
                &Shape::Record(&[
                    must("type", &Shape::Text),
                    must("inputs", &TEXTS),
                    must("endpoint", &Shape::Url(Place::Loki)),
                    must("labels", &Shape::Own),
                    may("remove_label_fields", &Shape::Switch),
                    must("encoding", &Shape::Own),
                    may("out_of_order_action", &Shape::Text),
                    may("acknowledgements", &Shape::Own),
                    may("request", &Shape::Own),
                    must("buffer", &Shape::Own),
                ]),
            ),
            must(
                "metrics",
                &Shape::Record(&[
                    must("type", &Shape::Text),
                    must("inputs", &TEXTS),
                    must("address", &Shape::Listen(Place::VectorMetrics)),
                    may("flush_period_secs", &Shape::Number),
                    may("suppress_timestamp", &Shape::Switch),
                ]),
            ),
        ]),
    ),
]);

static LOKI: Shape = Shape::Copied(&Shape::Record(&[
    must("auth_enabled", &Shape::Switch),
    must(
        "server",
        &Shape::Record(&[
            must("http_listen_port", &Shape::Number),
            must("grpc_listen_port", &Shape::Number),
            may("log_level", &Shape::Text),
        ]),
    ),
    must(
        "common",
        &Shape::Record(&[
            must("instance_addr", &Shape::Text),
            must("path_prefix", &Shape::Text),
            must("replication_factor", &Shape::Number),
            must("ring", &Shape::Record(&[must("kvstore", &Shape::Record(&[must("store", &Shape::Text)]))])),
            must(
                "storage",
                &Shape::Record(&[must(
                    "filesystem",
                    &Shape::Record(&[must("chunks_directory", &Shape::Text), must("rules_directory", &Shape::Text)]),
                )]),
            ),
        ]),
    ),
    may(
        "ingester",
        &Shape::Record(&[
            may("lifecycler", &Shape::Record(&[may("min_ready_duration", &Shape::Text)])),
            may("wal", &Shape::Record(&[may("disk_full_threshold", &Shape::Number)])),
        ]),
    ),
    may("query_scheduler", &Shape::Record(&[may("use_scheduler_ring", &Shape::Switch)])),
    may("querier", &Shape::Record(&[may("query_ingesters_within", &Shape::Text)])),
    must(
        "schema_config",
        &Shape::Record(&[must(
            "configs",
            &Shape::List(&Shape::Record(&[
                must("from", &Shape::Text),
                must("store", &Shape::Text),
                must("object_store", &Shape::Text),
                must("schema", &Shape::Text),
                must("index", &Shape::Record(&[must("prefix", &Shape::Text), must("period", &Shape::Duration)])),
            ])),
        )]),
    ),
    may(
        "limits_config",
        &Shape::Record(&[
            may("retention_period", &Shape::Duration),
            may("reject_old_samples", &Shape::Switch),
            may("max_line_size", &Shape::Text),
            may("discover_service_name", &TEXTS),
            may("ingestion_rate_mb", &Shape::Number),
            may("ingestion_burst_size_mb", &Shape::Number),
            may("per_stream_rate_limit", &Shape::Text),
            may("per_stream_rate_limit_burst", &Shape::Text),
        ]),
    ),
    may(
        "compactor",
        &Shape::Record(&[may("retention_enabled", &Shape::Switch), may("delete_request_store", &Shape::Text)]),
    ),
    may("analytics", &Shape::Record(&[may("reporting_enabled", &Shape::Switch)])),
]));

static PROVIDERS: Shape = Shape::Record(&[
    must("apiVersion", &Shape::Number),
    must(
        "providers",
        &Shape::List(&Shape::Record(&[
            must("name", &Shape::Text),
            must("type", &Shape::Text),
            may("folder", &Shape::Text),
            may("disableDeletion", &Shape::Switch),
            may("allowUiUpdates", &Shape::Switch),
            must(
                "options",
                &Shape::Record(&[must("path", &Shape::Folder), may("foldersFromFilesStructure", &Shape::Switch)]),
            ),
        ])),
    ),
]);
