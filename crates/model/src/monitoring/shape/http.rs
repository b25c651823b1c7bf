//! How Prometheus and Alertmanager call anybody: what both programs' clients may be told, and who signs their requests.

use super::{Field, Shape, TEXTS, each, may, numbers, switches, texts};

static VERSION: Shape = Shape::OneOf(&["TLS10", "TLS11", "TLS12", "TLS13"]);

pub(super) static TLS: Shape = Shape::Record(&[&[
    texts(&["ca", "cert", "key", "ca_file", "cert_file", "key_file", "ca_ref", "cert_ref", "key_ref", "server_name"]),
    may("insecure_skip_verify", &Shape::Switch),
    each(&VERSION, &["min_version", "max_version"]),
]]);

static PROXY: &[Field] = &[
    texts(&["proxy_url", "no_proxy"]),
    may("proxy_from_environment", &Shape::Switch),
    may("proxy_connect_header", &Shape::Map(&TEXTS)),
];

static BASIC_AUTH: Shape = Shape::Record(&[&[texts(&[
    "username",
    "username_file",
    "username_ref",
    "password",
    "password_file",
    "password_ref",
])]]);

static AUTHORIZATION: Shape =
    Shape::Record(&[&[texts(&["type", "credentials", "credentials_file", "credentials_ref"])]]);

static OAUTH2: Shape = Shape::Record(&[
    &[
        texts(&[
            "client_id",
            "client_secret",
            "client_secret_file",
            "client_secret_ref",
            "client_certificate_key_id",
            "client_certificate_key",
            "client_certificate_key_file",
            "client_certificate_key_ref",
            "grant_type",
            "signature_algorithm",
            "iss",
            "audience",
            "token_url",
        ]),
        may("claims", &Shape::Own),
        may("scopes", &TEXTS),
        may("endpoint_params", &Shape::Map(&Shape::Text)),
        may("tls_config", &TLS),
    ],
    PROXY,
]);

static HTTP_HEADERS: Shape = Shape::Map(&Shape::Record(&[&[each(&TEXTS, &["values", "secrets", "files"])]]));

/// Among the keys of who calls.
pub(super) static CLIENT: &[Field] = &[
    may("basic_auth", &BASIC_AUTH),
    may("authorization", &AUTHORIZATION),
    may("oauth2", &OAUTH2),
    texts(&["bearer_token", "bearer_token_file", "proxy_url", "no_proxy"]),
    may("tls_config", &TLS),
    switches(&["follow_redirects", "enable_http2", "proxy_from_environment"]),
    may("proxy_connect_header", &Shape::Map(&TEXTS)),
    may("http_headers", &HTTP_HEADERS),
];

pub(super) static SIGV4: Shape = Shape::Record(&[&[
    texts(&["region", "access_key", "secret_key", "profile", "role_arn", "external_id"]),
    may("use_fips_sts_endpoint", &Shape::Switch),
]]);

/// Where traces go. A time-out is real time, as all of a network's.
pub(super) static TRACING: Shape = Shape::Record(&[&[
    texts(&["client_type", "endpoint", "compression"]),
    numbers(&["sampling_fraction"]),
    may("insecure", &Shape::Switch),
    may("tls_config", &TLS),
    // A text each to Prometheus, a header's values to Alertmanager.
    may("headers", &Shape::Own),
    may("timeout", &Shape::RealTime),
]]);
