//! Prometheus' discoveries: who lists the targets. All of their durations are real time, for those they ask live in it.

use super::http::{CLIENT, TLS};
use super::rules::TARGETS;
use super::{Field, Shape, TEXTS, each, may, must, numbers, switches, texts};

/// Among the keys of a job, and of the Alertmanagers.
pub(super) static DISCOVERIES: &[Field] = &[
    may("static_configs", &TARGETS),
    may("file_sd_configs", &Shape::List(&Shape::Record(&[&[may("files", &TEXTS), REFRESH]]))),
    may(
        "aws_sd_configs",
        &Shape::List(&Shape::Record(&[
            AWS,
            &[texts(&["role"]), may("clusters", &TEXTS), may("filters", &FILTERS)],
            CLIENT,
        ])),
    ),
    may("azure_sd_configs", &Shape::List(&Shape::Record(&[AZURE, CLIENT]))),
    may("consul_sd_configs", &Shape::List(&Shape::Record(&[CONSUL, CLIENT]))),
    may("digitalocean_sd_configs", &Shape::List(&Shape::Record(&[&[texts(&["role"]), PORT, REFRESH], CLIENT]))),
    may("dns_sd_configs", &Shape::List(&DNS)),
    may(
        "docker_sd_configs",
        &Shape::List(&Shape::Record(&[DOCKER, &[texts(&["host_networking_host"]), MATCH_FIRST], CLIENT])),
    ),
    may("dockerswarm_sd_configs", &Shape::List(&Shape::Record(&[DOCKER, &[texts(&["role"])], CLIENT]))),
    may("ec2_sd_configs", &Shape::List(&Shape::Record(&[AWS, &[may("filters", &FILTERS)], CLIENT]))),
    may("ecs_sd_configs", &Shape::List(&Shape::Record(&[AWS, OF_CLUSTERS, CLIENT]))),
    may("elasticache_sd_configs", &Shape::List(&Shape::Record(&[AWS, OF_CLUSTERS, CLIENT]))),
    may("eureka_sd_configs", &Shape::List(&Shape::Record(&[&[must("server", &Shape::Text), REFRESH], CLIENT]))),
    may("gce_sd_configs", &Shape::List(&GCE)),
    may(
        "hetzner_sd_configs",
        &Shape::List(&Shape::Record(&[&[texts(&["role", "label_selector"]), PORT, REFRESH], CLIENT])),
    ),
    may("http_sd_configs", &Shape::List(&Shape::Record(&[&[must("url", &Shape::WebUrl), REFRESH], CLIENT]))),
    may("ionos_sd_configs", &Shape::List(&Shape::Record(&[&[texts(&["datacenter_id"]), PORT, REFRESH], CLIENT]))),
    may("kubernetes_sd_configs", &Shape::List(&Shape::Record(&[KUBERNETES, CLIENT]))),
    may(
        "kuma_sd_configs",
        &Shape::List(&Shape::Record(&[&[must("server", &Shape::Text), texts(&["client_id"]), FETCH], CLIENT])),
    ),
    may("lightsail_sd_configs", &Shape::List(&Shape::Record(&[AWS, CLIENT]))),
    may(
        "linode_sd_configs",
        &Shape::List(&Shape::Record(&[&[texts(&["tag_separator", "region"]), PORT, REFRESH], CLIENT])),
    ),
    may("marathon_sd_configs", &Shape::List(&Shape::Record(&[MARATHON, CLIENT]))),
    may("msk_sd_configs", &Shape::List(&Shape::Record(&[AWS, OF_CLUSTERS, CLIENT]))),
    may("nerve_sd_configs", &Shape::List(&ZOOKEEPER)),
    may("nomad_sd_configs", &Shape::List(&Shape::Record(&[NOMAD, CLIENT]))),
    may("oci_sd_configs", &Shape::List(&Shape::Record(&[OCI, CLIENT]))),
    may("openstack_sd_configs", &Shape::List(&OPENSTACK)),
    may("outscale_sd_configs", &Shape::List(&Shape::Record(&[OUTSCALE, CLIENT]))),
    may("ovhcloud_sd_configs", &Shape::List(&OVHCLOUD)),
    may("puppetdb_sd_configs", &Shape::List(&Shape::Record(&[PUPPETDB, CLIENT]))),
    may("rds_sd_configs", &Shape::List(&Shape::Record(&[AWS, OF_CLUSTERS, &[may("filters", &FILTERS)], CLIENT]))),
    may("scaleway_sd_configs", &Shape::List(&Shape::Record(&[SCALEWAY, CLIENT]))),
    may("serverset_sd_configs", &Shape::List(&ZOOKEEPER)),
    may("stackit_sd_configs", &Shape::List(&Shape::Record(&[STACKIT, CLIENT]))),
    may("triton_sd_configs", &Shape::List(&TRITON)),
    may("uyuni_sd_configs", &Shape::List(&Shape::Record(&[UYUNI, CLIENT]))),
    may("vultr_sd_configs", &Shape::List(&Shape::Record(&[&[PORT, REFRESH], CLIENT]))),
];

// They are constants, for they stand in several tables.
const REFRESH: Field = may("refresh_interval", &Shape::RealTime);
const PORT: Field = may("port", &Shape::Number);
static FILTER: Shape = Shape::Record(&[&[must("name", &Shape::Text), may("values", &TEXTS)]]);
static FILTERS: Shape = Shape::List(&FILTER);
const MATCH_FIRST: Field = may("match_first_network", &Shape::Switch);
const FETCH: Field = each(&Shape::RealTime, &["refresh_interval", "fetch_timeout"]);

static AWS: &[Field] =
    &[texts(&["endpoint", "region", "access_key", "secret_key", "profile", "role_arn", "external_id"]), PORT, REFRESH];

static OF_CLUSTERS: &[Field] = &[may("clusters", &TEXTS), numbers(&["request_concurrency"])];

static AZURE: &[Field] = &[
    texts(&[
        "environment",
        "subscription_id",
        "tenant_id",
        "client_id",
        "client_secret",
        "authentication_method",
        "resource_group",
    ]),
    PORT,
    REFRESH,
];

static CONSUL: &[Field] = &[
    texts(&[
        "server",
        "path_prefix",
        "token",
        "datacenter",
        "namespace",
        "partition",
        "tag_separator",
        "scheme",
        "username",
        "password",
        "filter",
        "health_filter",
    ]),
    may("allow_stale", &Shape::Switch),
    each(&TEXTS, &["services", "tags"]),
    may("node_meta", &Shape::Map(&Shape::Text)),
    REFRESH,
];

static DNS: Shape = Shape::Record(&[&[must("names", &TEXTS), may("type", &Shape::Text), PORT, REFRESH]]);

static DOCKER: &[Field] = &[must("host", &Shape::Text), PORT, may("filters", &FILTERS), REFRESH];

static GCE: Shape = Shape::Record(&[&[texts(&["project", "zone", "filter", "tag_separator"]), PORT, REFRESH]]);

static KUBERNETES: &[Field] = &[
    texts(&["api_server", "role", "kubeconfig_file"]),
    may("namespaces", &Shape::Record(&[&[may("own_namespace", &Shape::Switch), may("names", &TEXTS)]])),
    may("selectors", &Shape::List(&Shape::Record(&[&[texts(&["role", "label", "field"])]]))),
    may(
        "attach_metadata",
        &Shape::Record(&[&[
            switches(&["node", "namespace"]),
            may("pod", &Shape::Record(&[&[switches(&["deployment", "job", "cronjob"])]])),
        ]]),
    ),
];

static MARATHON: &[Field] = &[must("servers", &TEXTS), texts(&["auth_token", "auth_token_file"]), REFRESH];

static NOMAD: &[Field] =
    &[texts(&["namespace", "region", "server", "tag_separator"]), may("allow_stale", &Shape::Switch), REFRESH];

static OCI: &[Field] = &[
    texts(&["auth", "tenancy", "user", "fingerprint", "key_file", "key_passphrase", "key_passphrase_file", "region"]),
    may("compartments", &TEXTS),
    PORT,
    REFRESH,
];

static OPENSTACK: Shape = Shape::Record(&[&[
    texts(&[
        "identity_endpoint",
        "username",
        "userid",
        "password",
        "project_name",
        "project_id",
        "domain_name",
        "domain_id",
        "application_credential_name",
        "application_credential_id",
        "application_credential_secret",
        "role",
        "region",
        "availability",
    ]),
    may("all_tenants", &Shape::Switch),
    may("tls_config", &TLS),
    PORT,
    REFRESH,
]]);

static OUTSCALE: &[Field] =
    &[texts(&["endpoint", "region", "access_key", "secret_key", "secret_key_file"]), PORT, REFRESH];

static OVHCLOUD: Shape = Shape::Record(&[&[
    texts(&["endpoint", "application_key", "application_secret", "consumer_key", "service"]),
    REFRESH,
]]);

static PUPPETDB: &[Field] = &[
    must("url", &Shape::WebUrl),
    must("query", &Shape::Text),
    may("include_parameters", &Shape::Switch),
    PORT,
    REFRESH,
];

static SCALEWAY: &[Field] = &[
    texts(&["project_id", "api_url", "zone", "access_key", "secret_key", "secret_key_file", "name_filter", "role"]),
    may("tags_filter", &TEXTS),
    PORT,
    REFRESH,
];

static STACKIT: &[Field] = &[
    texts(&[
        "project",
        "region",
        "endpoint",
        "service_account_key",
        "private_key",
        "service_account_key_path",
        "private_key_path",
        "credentials_file_path",
    ]),
    PORT,
    REFRESH,
];

static TRITON: Shape = Shape::Record(&[&[
    texts(&["account", "role", "dns_suffix", "endpoint"]),
    may("groups", &TEXTS),
    numbers(&["version"]),
    may("tls_config", &TLS),
    PORT,
    REFRESH,
]]);

static UYUNI: &[Field] =
    &[must("server", &Shape::Text), texts(&["username", "password", "entitlement", "separator"]), REFRESH];

static ZOOKEEPER: Shape =
    Shape::Record(&[&[must("servers", &TEXTS), must("paths", &TEXTS), may("timeout", &Shape::RealTime)]]);
