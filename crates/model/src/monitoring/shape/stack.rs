//! Files of the stack's other programs: Grafana's provisioning, Vector, Loki, the blackbox exporter. They are ours alone: a key
//! that is missing here is refused, because nobody would have decided whether a faster stack divides it.

use super::{Shape, TEXTS, may, must};
use crate::monitoring::addresses::Place;

/// What the exporter may be asked to try. Its time-out is a latency, which no speed divides: what does not fit into a scrape
/// the exporter cuts to the scrape's own.
pub(in crate::monitoring) static BLACKBOX: Shape = Shape::Copied(&Shape::Record(&[&[must(
    "modules",
    &Shape::Record(&[&[must(
        "http_200",
        &Shape::Record(&[&[
            must("prober", &Shape::Text),
            must("timeout", &Shape::Duration),
            must(
                "http",
                &Shape::Record(&[&[
                    must("method", &Shape::Text),
                    must("valid_status_codes", &Shape::List(&Shape::Number)),
                    must("follow_redirects", &Shape::Switch),
                    may("preferred_ip_protocol", &Shape::Text),
                ]]),
            ),
        ]]),
    )]]),
)]]));

pub(in crate::monitoring) static DATASOURCES: Shape = Shape::Record(&[&[
    must("apiVersion", &Shape::Number),
    may("prune", &Shape::Switch),
    must(
        "datasources",
        &Shape::List(&Shape::Record(&[&[
            must("name", &Shape::Text),
            must("uid", &Shape::Text),
            must("type", &Shape::Text),
            must("access", &Shape::Text),
            must("url", &Shape::AnyUrl(&[Place::Prometheus, Place::Loki])),
            may("isDefault", &Shape::Switch),
            may("editable", &Shape::Switch),
            may(
                "jsonData",
                &Shape::Record(&[&[
                    may("timeInterval", &Shape::Step),
                    may("httpMethod", &Shape::Text),
                    may("maxLines", &Shape::Number),
                    may(
                        "derivedFields",
                        &Shape::List(&Shape::Record(&[&[
                            must("name", &Shape::Text),
                            must("matcherRegex", &Shape::Text),
                            may("url", &Shape::Text),
                            may("urlDisplayLabel", &Shape::Text),
                        ]])),
                    ),
                ]]),
            ),
        ]])),
    ),
]]);

pub(in crate::monitoring) static VECTOR: Shape = Shape::Record(&[&[
    must("data_dir", &Shape::Data),
    must("api", &Shape::Record(&[&[must("enabled", &Shape::Switch), must("address", &Shape::Listen(Place::Vector))]])),
    must(
        "sources",
        &Shape::Record(&[&[
            must(
                "logs",
                &Shape::Record(&[&[
                    must("type", &Shape::Text),
                    must("include", &Shape::List(&Shape::LogFile)),
                    may("exclude", &Shape::List(&Shape::LogFile)),
                    may("read_from", &Shape::Text),
                    may("fingerprint", &Shape::Own),
                    may("oldest_first", &Shape::Switch),
                    may("file_key", &Shape::Text),
                    may("host_key", &Shape::Text),
                    may("max_line_bytes", &Shape::Number),
                ]]),
            ),
            must("itself", &Shape::Own),
        ]]),
    ),
    must("transforms", &Shape::Own),
    must(
        "sinks",
        &Shape::Record(&[&[
            must(
                "loki",
                &Shape::Record(&[&[
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
                ]]),
            ),
            must(
                "metrics",
                &Shape::Record(&[&[
                    must("type", &Shape::Text),
                    must("inputs", &TEXTS),
                    must("address", &Shape::Listen(Place::VectorMetrics)),
                    may("flush_period_secs", &Shape::Number),
                    may("suppress_timestamp", &Shape::Switch),
                ]]),
            ),
        ]]),
    ),
]]);

pub(in crate::monitoring) static LOKI: Shape = Shape::Copied(&Shape::Record(&[&[
    must("auth_enabled", &Shape::Switch),
    must(
        "server",
        &Shape::Record(&[&[
            must("http_listen_port", &Shape::Number),
            must("grpc_listen_port", &Shape::Number),
            may("log_level", &Shape::Text),
        ]]),
    ),
    must(
        "common",
        &Shape::Record(&[&[
            must("instance_addr", &Shape::Text),
            must("path_prefix", &Shape::Text),
            must("replication_factor", &Shape::Number),
            must("ring", &Shape::Record(&[&[must("kvstore", &Shape::Record(&[&[must("store", &Shape::Text)]]))]])),
            must(
                "storage",
                &Shape::Record(&[&[must(
                    "filesystem",
                    &Shape::Record(&[&[must("chunks_directory", &Shape::Text), must("rules_directory", &Shape::Text)]]),
                )]]),
            ),
        ]]),
    ),
    may(
        "ingester",
        &Shape::Record(&[&[
            may("lifecycler", &Shape::Record(&[&[may("min_ready_duration", &Shape::Text)]])),
            may("wal", &Shape::Record(&[&[may("disk_full_threshold", &Shape::Number)]])),
        ]]),
    ),
    may("query_scheduler", &Shape::Record(&[&[may("use_scheduler_ring", &Shape::Switch)]])),
    may("querier", &Shape::Record(&[&[may("query_ingesters_within", &Shape::Text)]])),
    must(
        "schema_config",
        &Shape::Record(&[&[must(
            "configs",
            &Shape::List(&Shape::Record(&[&[
                must("from", &Shape::Text),
                must("store", &Shape::Text),
                must("object_store", &Shape::Text),
                must("schema", &Shape::Text),
                must("index", &Shape::Record(&[&[must("prefix", &Shape::Text), must("period", &Shape::Duration)]])),
            ]])),
        )]]),
    ),
    may(
        "limits_config",
        &Shape::Record(&[&[
            may("retention_period", &Shape::Duration),
            may("reject_old_samples", &Shape::Switch),
            may("max_line_size", &Shape::Text),
            may("discover_service_name", &TEXTS),
            may("ingestion_rate_mb", &Shape::Number),
            may("ingestion_burst_size_mb", &Shape::Number),
            may("per_stream_rate_limit", &Shape::Text),
            may("per_stream_rate_limit_burst", &Shape::Text),
        ]]),
    ),
    may(
        "compactor",
        &Shape::Record(&[&[may("retention_enabled", &Shape::Switch), may("delete_request_store", &Shape::Text)]]),
    ),
    may("analytics", &Shape::Record(&[&[may("reporting_enabled", &Shape::Switch)]])),
]]));

pub(in crate::monitoring) static PROVIDERS: Shape = Shape::Record(&[&[
    must("apiVersion", &Shape::Number),
    must(
        "providers",
        &Shape::List(&Shape::Record(&[&[
            must("name", &Shape::Text),
            must("type", &Shape::Text),
            may("folder", &Shape::Text),
            may("disableDeletion", &Shape::Switch),
            may("allowUiUpdates", &Shape::Switch),
            must(
                "options",
                &Shape::Record(&[&[must("path", &Shape::Folder), may("foldersFromFilesStructure", &Shape::Switch)]]),
            ),
        ]])),
    ),
]]);
