//! Prometheus' configuration.
//!
//! Divided is when Prometheus scrapes, for how long it waits for a scrape, when it evaluates and for which moment. Not divided is
//! how long a network, a store or a discovery is waited for, or how often a list of targets is asked for: those are other
//! machines, which live in real time. A window for samples that come late, and how long samples are kept, are not divided either:
//! what is kept longer answers nothing else.

use super::discovery::DISCOVERIES;
use super::http::{CLIENT, SIGV4, TRACING};
use super::{Field, Shape, TEXTS, each, may, must, numbers, switches, texts};

pub(in crate::monitoring) static PROMETHEUS: Shape = Shape::Record(&[&[
    may("global", &Shape::Record(&[GLOBAL, LIMITS])),
    may("runtime", &Shape::Record(&[&[numbers(&["gogc"])]])),
    each(&TEXTS, &["rule_files", "scrape_config_files"]),
    may(
        "alerting",
        &Shape::Record(&[&[
            may("alert_relabel_configs", &RELABELLING),
            may("alertmanagers", &Shape::List(&Shape::Record(&[ALERTMANAGER, CLIENT, DISCOVERIES]))),
        ]]),
    ),
    may("scrape_configs", &Shape::List(&Shape::Record(&[JOB, LIMITS, CLIENT, DISCOVERIES]))),
    may("storage", &STORAGE),
    may("tracing", &TRACING),
    may("remote_write", &Shape::List(&Shape::Record(&[REMOTE_WRITE, CLIENT]))),
    may("remote_read", &Shape::List(&Shape::Record(&[REMOTE_READ, CLIENT]))),
    may("otlp", &OTLP),
]]);

static GLOBAL: &[Field] = &[
    may("scrape_interval", &Shape::Scrape),
    each(&Shape::Duration, &["scrape_timeout", "evaluation_interval", "rule_query_offset"]),
    may("query_log_file", &Shape::Text),
    may("external_labels", &Shape::ExternalLabels),
];

/// Those of all jobs, and of one.
static LIMITS: &[Field] = &[
    may("scrape_protocols", &Shape::List(&PROTOCOL)),
    texts(&["scrape_failure_log_file", "metric_name_escaping_scheme"]),
    may("metric_name_validation_scheme", &Shape::OneOf(&["legacy", "utf8"])),
    may("body_size_limit", &Shape::Bytes),
    numbers(&[
        "sample_limit",
        "target_limit",
        "label_limit",
        "label_name_length_limit",
        "label_value_length_limit",
        "keep_dropped_targets",
    ]),
    switches(&[
        "scrape_native_histograms",
        "convert_classic_histograms_to_nhcb",
        "always_scrape_classic_histograms",
        "extra_scrape_metrics",
    ]),
];

static PROTOCOL: Shape = Shape::OneOf(&[
    "PrometheusProto",
    "PrometheusText0.0.4",
    "PrometheusText1.0.0",
    "OpenMetricsText0.0.1",
    "OpenMetricsText1.0.0",
]);

static JOB: &[Field] = &[
    must("job_name", &Shape::Name),
    may("scrape_interval", &Shape::Scrape),
    may("scrape_timeout", &Shape::Duration),
    switches(&[
        "honor_labels",
        "honor_timestamps",
        "track_timestamps_staleness",
        "enable_compression",
        "scrape_classic_histograms",
    ]),
    may("params", &Shape::Map(&TEXTS)),
    texts(&["metrics_path", "scheme"]),
    may("fallback_scrape_protocol", &PROTOCOL),
    numbers(&["native_histogram_bucket_limit", "native_histogram_min_bucket_factor"]),
    each(&RELABELLING, &["relabel_configs", "metric_relabel_configs"]),
];

static ALERTMANAGER: &[Field] = &[
    may("sigv4", &SIGV4),
    texts(&["scheme", "path_prefix"]),
    may("api_version", &Shape::OneOf(&["v1", "v2"])),
    may("timeout", &Shape::RealTime),
    each(&RELABELLING, &["relabel_configs", "alert_relabel_configs"]),
];

static RELABELLING: Shape = Shape::List(&Shape::Relabelling(&[&[
    may("source_labels", &TEXTS),
    texts(&["separator", "target_label", "replacement"]),
    may("regex", &Shape::Regex),
    may("modulus", &Shape::Number),
    may("action", &Shape::Text),
]]));

static STORAGE: Shape = Shape::Record(&[&[
    may(
        "tsdb",
        &Shape::Record(&[&[
            may("out_of_order_time_window", &Shape::RealTime),
            numbers(&["stale_series_compaction_threshold"]),
            may("chunk_encoding", &Shape::Record(&[&[texts(&["floats"])]])),
            may(
                "retention",
                &Shape::Record(&[&[may("time", &Shape::RealTime), texts(&["size"]), numbers(&["percentage"])]]),
            ),
        ]]),
    ),
    may("exemplars", &Shape::Record(&[&[numbers(&["max_exemplars"])]])),
]]);

static REMOTE_WRITE: &[Field] = &[
    may("url", &Shape::Text),
    may("remote_timeout", &Shape::RealTime),
    may("headers", &Shape::Map(&Shape::Text)),
    may("write_relabel_configs", &RELABELLING),
    texts(&["name", "protobuf_message"]),
    switches(&["send_exemplars", "send_native_histograms", "round_robin_dns", "failed_request_logging"]),
    may(
        "queue_config",
        &Shape::Record(&[&[
            numbers(&["capacity", "max_shards", "min_shards", "max_samples_per_send"]),
            each(&Shape::RealTime, &["batch_send_deadline", "min_backoff", "max_backoff", "sample_age_limit"]),
            may("retry_on_http_429", &Shape::Switch),
        ]]),
    ),
    may(
        "metadata_config",
        &Shape::Record(&[&[
            may("send", &Shape::Switch),
            may("send_interval", &Shape::RealTime),
            numbers(&["max_samples_per_send"]),
        ]]),
    ),
    may("sigv4", &SIGV4),
    each(&Shape::Own, &["azuread", "google_iam"]),
];

static REMOTE_READ: &[Field] = &[
    may("url", &Shape::Text),
    may("remote_timeout", &Shape::RealTime),
    numbers(&["chunked_read_limit"]),
    may("headers", &Shape::Map(&Shape::Text)),
    switches(&["read_recent", "filter_external_labels"]),
    may("name", &Shape::Text),
    may("required_matchers", &Shape::Labels),
];

static OTLP: Shape = Shape::Record(&[&[
    each(&TEXTS, &["promote_resource_attributes", "ignore_resource_attributes"]),
    texts(&["translation_strategy"]),
    switches(&[
        "promote_all_resource_attributes",
        "keep_identifying_resource_attributes",
        "convert_histograms_to_nhcb",
        "promote_scope_metadata",
        "label_name_underscore_sanitization",
        "label_name_preserve_multiple_underscores",
    ]),
]]);
