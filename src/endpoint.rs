//! The one route table: each endpoint's path, its metric label, its methods and the statuses it may answer.
//!
//! Routing, counting, 405's `Allow` and the series that exist from the first scrape all come from here. The number
//! of series is therefore a constant, whatever clients send.

use hyper::Method;

/// A request's method, out of a closed set.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verb {
    Get,
    Head,
    Post,
    Put,
    Patch,
    Delete,
    Options,
    /// Every other token a client may invent.
    Other,
}

impl Verb {
    /// All of them, in the order of their declaration.
    pub const ALL: [Verb; 8] =
        [Verb::Get, Verb::Head, Verb::Post, Verb::Put, Verb::Patch, Verb::Delete, Verb::Options, Verb::Other];

    /// The verb a method counts as.
    pub fn of(method: &Method) -> Verb {
        match *method {
            Method::GET => Verb::Get,
            Method::HEAD => Verb::Head,
            Method::POST => Verb::Post,
            Method::PUT => Verb::Put,
            Method::PATCH => Verb::Patch,
            Method::DELETE => Verb::Delete,
            Method::OPTIONS => Verb::Options,
            _ => Verb::Other,
        }
    }

    /// The metric label; for all but [`Verb::Other`] also the method itself.
    pub fn label(self) -> &'static str {
        match self {
            Verb::Get => "GET",
            Verb::Head => "HEAD",
            Verb::Post => "POST",
            Verb::Put => "PUT",
            Verb::Patch => "PATCH",
            Verb::Delete => "DELETE",
            Verb::Options => "OPTIONS",
            Verb::Other => "OTHER",
        }
    }
}

/// Where a request goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Endpoint {
    /// `/`
    Index,
    /// `/items`
    Items,
    /// `/items/{id}`
    Item,
    /// `/health/live`
    Live,
    /// `/health/ready`
    Ready,
    /// `/metrics`
    Metrics,
    /// Everything else.
    Unmatched,
}

/// The status of a client that left before it had its answer, by nginx's convention: neither a success nor the service's fault.
pub(super) const ABANDONED: u16 = 499;

impl Endpoint {
    /// All of them, in the order of their declaration.
    pub const ALL: [Endpoint; 7] = [
        Endpoint::Index,
        Endpoint::Items,
        Endpoint::Item,
        Endpoint::Live,
        Endpoint::Ready,
        Endpoint::Metrics,
        Endpoint::Unmatched,
    ];

    /// The endpoint of a request path, to the byte: no trailing slash, no doubled one, no percent-encoding.
    pub fn of(path: &str) -> Endpoint {
        match path {
            "/" => Endpoint::Index,
            "/items" => Endpoint::Items,
            "/health/live" => Endpoint::Live,
            "/health/ready" => Endpoint::Ready,
            "/metrics" => Endpoint::Metrics,
            _ if is_item(path) => Endpoint::Item,
            _ => Endpoint::Unmatched,
        }
    }

    /// The metric label, which is the path template.
    pub fn label(self) -> &'static str {
        match self {
            Endpoint::Index => "/",
            Endpoint::Items => "/items",
            Endpoint::Item => "/items/{id}",
            Endpoint::Live => "/health/live",
            Endpoint::Ready => "/health/ready",
            Endpoint::Metrics => "/metrics",
            Endpoint::Unmatched => "unmatched",
        }
    }

    /// The methods it takes; HEAD wherever GET.
    pub fn verbs(self) -> &'static [Verb] {
        match self {
            Endpoint::Index | Endpoint::Live | Endpoint::Ready | Endpoint::Metrics => &[Verb::Get, Verb::Head],
            Endpoint::Items => &[Verb::Get, Verb::Head, Verb::Post],
            Endpoint::Item => &[Verb::Get, Verb::Head, Verb::Delete],
            Endpoint::Unmatched => &[],
        }
    }

    /// Whether it takes this method.
    pub fn allows(self, verb: Verb) -> bool {
        self.verbs().contains(&verb)
    }

    /// Whether `x-fault` may make a request to it fail: never one of the monitoring, which must see the service as it is.
    pub(super) fn takes_faults(self) -> bool {
        matches!(self, Endpoint::Index | Endpoint::Items | Endpoint::Item)
    }

    /// Whether it is one of the monitoring's, which its own listener serves, too.
    pub fn is_monitoring(self) -> bool {
        matches!(self, Endpoint::Live | Endpoint::Ready | Endpoint::Metrics)
    }

    /// Every status a request with this method may end with. Each may be `ABANDONED`, 499; a malformed one, wherever it
    /// was sent to, is [`Endpoint::Unmatched`].
    pub fn statuses(self, verb: Verb) -> &'static [u16] {
        match (self, verb) {
            (Endpoint::Unmatched, Verb::Other) => &[400, 404, 405, ABANDONED, 501], // 405 is CONNECT
            (Endpoint::Unmatched, _) => &[400, 404, ABANDONED, 501],
            (endpoint, verb) if !endpoint.allows(verb) => &[405, ABANDONED],
            (Endpoint::Items, Verb::Post) => &[201, 400, 408, 409, 413, 415, ABANDONED, 500, 503],
            (Endpoint::Item, Verb::Delete) => &[204, 400, 404, ABANDONED, 500, 503],
            (Endpoint::Item, _) => &[200, 400, 404, ABANDONED, 500, 503],
            (Endpoint::Index | Endpoint::Items, _) => &[200, 400, ABANDONED, 500, 503],
            (Endpoint::Live | Endpoint::Ready | Endpoint::Metrics, _) => &[200, ABANDONED, 500, 503],
        }
    }
}

/// Whether it is `/items/{id}`: digits without sign or leading zeros, so that an item has one path.
fn is_item(path: &str) -> bool {
    path.strip_prefix("/items/").is_some_and(|id| {
        id.bytes().all(|byte| byte.is_ascii_digit()) && !id.starts_with('0') && id.parse::<u64>().is_ok()
    })
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn a_path_has_one_spelling() {
        for endpoint in [Endpoint::Index, Endpoint::Items, Endpoint::Live, Endpoint::Ready, Endpoint::Metrics] {
            assert_eq!(Endpoint::of(endpoint.label()), endpoint);
        }
        assert_eq!(Endpoint::of("/items/17"), Endpoint::Item);
        for path in [
            "",
            "*",
            "//",
            "/items/",
            "//items",
            "/%69tems",
            "/Items",
            "/items/017",
            "/items/+1",
            "/items/0",
            "/items/1/",
            "/items/18446744073709551616",
            "/items/{id}",
            "unmatched",
            "/health",
            "/health/live/",
            "/metrics/x",
        ] {
            assert_eq!(Endpoint::of(path), Endpoint::Unmatched, "{path}");
        }
    }

    #[test]
    fn an_unknown_method_is_other_and_so_is_a_spelled_differently_one() {
        for method in ["CONNECT", "TRACE", "get", "OTHER", "X-ANY"] {
            assert_eq!(Verb::of(&Method::from_bytes(method.as_bytes()).unwrap()), Verb::Other, "{method}");
        }
        assert_eq!(Verb::of(&Method::PATCH), Verb::Patch);
    }

    #[test]
    fn head_goes_wherever_get_goes() {
        for endpoint in Endpoint::ALL {
            assert_eq!(endpoint.allows(Verb::Get), endpoint.allows(Verb::Head), "{endpoint:?}");
            assert_eq!(endpoint.statuses(Verb::Get), endpoint.statuses(Verb::Head), "{endpoint:?}");
        }
    }

    /// prometheus 0.14 keys children by a hash of the label values run together.
    #[test]
    fn no_two_series_share_their_run_together_labels() {
        let mut seen = BTreeSet::new();
        for endpoint in Endpoint::ALL {
            for verb in Verb::ALL {
                for status in endpoint.statuses(verb) {
                    assert!(seen.insert(format!("{}{}{status}", verb.label(), endpoint.label())));
                }
            }
        }
    }
}
