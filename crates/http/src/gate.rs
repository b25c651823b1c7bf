//! Who may ask a listener of this machine: its own programs and its own pages, and no page of somebody else's. Against
//! cross-origin requests (CSRF) and DNS rebinding.
//!
//! Any page that is looked at here can send requests to this machine, and one whose name is made to resolve here reads
//! the answers, too. A browser tells on every such page: by the `Host` it thinks it asks, and by the `Origin` and the
//! `Sec-Fetch-…` headers that no page can change. A program sends none of the latter.

use std::net::{IpAddr, SocketAddr};

use hyper::header::{CONTENT_TYPE, HOST, HeaderMap, ORIGIN};
use hyper::http::request::Parts;
use hyper::http::uri::Authority;
use hyper::{Method, StatusCode, Version};

/// Why a request is not answered: a status, and a sentence without its full stop.
pub type Refusal = (StatusCode, &'static str);

/// What a listener wants of who asks.
#[derive(Debug, Clone)]
pub struct Gate {
    /// Beside this machine's own; none where any name will do.
    names: Option<Vec<String>>,
}

impl Gate {
    /// Of a listener at this address, which may be called by these names, too. One of loopback has no others; of one that
    /// others reach, and that is told none, nobody knows how they call it.
    pub fn of(address: SocketAddr, names: Vec<String>) -> Gate {
        Gate { names: (address.ip().is_loopback() || !names.is_empty()).then_some(names) }
    }

    /// Whether a request may be answered.
    pub fn admits(&self, head: &Parts) -> Result<(), Refusal> {
        let host = host(head)?;
        if head.method == Method::CONNECT {
            return Err((StatusCode::METHOD_NOT_ALLOWED, "nobody is connected through here"));
        }
        if let (Some(names), Some(host)) = (&self.names, host)
            && !is_ours(host, names)
        {
            return Err((StatusCode::FORBIDDEN, "it is called by a name that is not its own"));
        }
        // No browser says anything of these twice: of what says two things, who reads it next may believe the other.
        let value = |name: &str| {
            let mut values = head.headers.get_all(name).iter();
            let first = values.next().map(|value| value.to_str().unwrap_or("?"));
            if values.next().is_some() { Some("?") } else { first }
        };
        let is_own = |origin: &str| host.is_some_and(|host| origin.strip_prefix("http://") == Some(host));
        if value(ORIGIN.as_str()).is_some_and(|origin| !is_own(origin)) {
            return Err((StatusCode::FORBIDDEN, "a page of another origin asks"));
        }
        // Whoever follows a link sees the page, and the page that held the link does not.
        let follows_a_link = || {
            is_read(&head.method)
                && value("sec-fetch-mode") == Some("navigate")
                && value("sec-fetch-dest") == Some("document")
        };
        match value("sec-fetch-site") {
            None | Some("same-origin" | "none") => Ok(()),
            _ if follows_a_link() => Ok(()),
            _ => Err((StatusCode::FORBIDDEN, "a page of another origin asks")),
        }
    }
}

/// Whether it only looks.
pub fn is_read(method: &Method) -> bool {
    method == Method::GET || method == Method::HEAD
}

/// Whether a body is said to be JSON. No form can send that, and no page can unasked.
pub fn says_json(headers: &HeaderMap) -> Result<(), Refusal> {
    let kind = headers.get(CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default();
    let kind = kind.split(';').next().unwrap_or_default().trim();
    if kind.eq_ignore_ascii_case("application/json") {
        Ok(())
    } else {
        Err((StatusCode::UNSUPPORTED_MEDIA_TYPE, "the content type must be application/json"))
    }
}

/// The one host of a request; HTTP/1.0 may have none. Where the target names one, that counts (RFC 9112, 3.2.2).
fn host(head: &Parts) -> Result<Option<&str>, Refusal> {
    let wrong = (StatusCode::BAD_REQUEST, "a request has one Host");
    let mut hosts = head.headers.get_all(HOST).iter();
    match (hosts.next(), hosts.next()) {
        (None, _) if head.version < Version::HTTP_11 => Ok(None),
        (Some(_), None) if head.uri.authority().is_some() => Ok(head.uri.authority().map(Authority::as_str)),
        (Some(host), None) => host.to_str().map(Some).map_err(|_| wrong),
        _ => Err(wrong),
    }
}

/// Whether a `Host` is a name of this machine's loopback, or one of these. With one dot behind it a name is the same, from the
/// root on, and nobody can make it another; an address has no such form.
fn is_ours(host: &str, names: &[String]) -> bool {
    let name = match host.rsplit_once(':') {
        Some((name, port)) if port.bytes().all(|byte| byte.is_ascii_digit()) => name,
        _ => host,
    };
    let bare = name.strip_prefix('[').and_then(|name| name.strip_suffix(']')).unwrap_or(name);
    let relative = |name: &str| name.strip_suffix('.').unwrap_or(name).to_ascii_lowercase();
    let called = relative(bare);
    called == "localhost"
        || bare.parse::<IpAddr>().is_ok_and(|address| address.is_loopback())
        || names.iter().any(|own| called == relative(own))
}

#[cfg(test)]
mod tests {
    use hyper::Request;

    use super::*;

    fn head(method: &str, headers: &[(&str, &str)]) -> Parts {
        let request =
            headers.iter().fold(Request::builder().method(method), |all, (name, value)| all.header(*name, *value));
        request.body(()).unwrap().into_parts().0
    }

    fn on_loopback() -> Gate {
        Gate::of("127.0.0.1:9095".parse().unwrap(), Vec::new())
    }

    fn status(gate: &Gate, head: &Parts) -> Option<u16> {
        gate.admits(head).err().map(|(status, _)| status.as_u16())
    }

    #[test]
    fn only_this_machines_own_names_are_answered() {
        let everywhere = |names: &[&str]| {
            Gate::of("0.0.0.0:9095".parse().unwrap(), names.iter().map(|name| (*name).to_owned()).collect())
        };
        for (host, on_this_machine) in [
            ("localhost:3000", true),
            ("LOCALHOST", true),
            ("127.0.0.1:3000", true),
            ("[::1]:3000", true),
            ("localhost.:3000", true),
            ("LocalHost.", true),
            ("localhost..:3000", false),
            (".localhost:3000", false),
            (".", false),
            ("127.0.0.1.:3000", false),
            ("[::1].:3000", false),
            ("127.0.0.1.evil.example:3000", false),
            ("evil.example", false),
            ("localhost.evil.example:3000", false),
            ("192.168.1.7:3000", false),
            ("receiver:9095", false),
            ("Receiver.:9095", false),
            ("receiver..:9095", false),
            ("a b/", false),
            ("", false),
        ] {
            let head = head("GET", &[("host", host)]);
            let of = |admitted: bool| (!admitted).then_some(403);
            assert_eq!(status(&on_loopback(), &head), of(on_this_machine), "{host}");
            assert_eq!(status(&everywhere(&[]), &head), None, "{host}");
            let is_told = ["receiver:9095", "Receiver.:9095"].contains(&host);
            assert_eq!(status(&everywhere(&["receiver"]), &head), of(on_this_machine || is_told), "{host}");
        }
    }

    #[test]
    fn a_request_has_one_host() {
        assert_eq!(status(&on_loopback(), &head("GET", &[])), Some(400));
        assert_eq!(status(&on_loopback(), &head("GET", &[("host", "localhost"), ("host", "localhost")])), Some(400));
        let mut old = head("GET", &[]);
        old.version = Version::HTTP_10;
        assert_eq!(status(&on_loopback(), &old), None);
    }

    #[test]
    fn a_target_that_names_a_host_is_taken_at_its_word_and_nobody_is_connected_through() {
        let asked = |method: &str, target: &str| {
            let head = Request::builder().method(method).uri(target).header("host", "localhost").body(()).unwrap();
            status(&on_loopback(), &head.into_parts().0)
        };
        assert_eq!(asked("GET", "http://localhost:9095/"), None);
        assert_eq!(asked("GET", "http://evil.example/"), Some(403));
        assert_eq!(asked("GET", "http://localhost@evil.example/"), Some(403));
        assert_eq!(asked("CONNECT", "localhost:9095"), Some(405));
        assert_eq!(asked("CONNECT", "/"), Some(405));
    }

    #[test]
    fn a_page_of_another_origin_is_refused_wherever_it_comes_from_and_a_link_is_followed() {
        let from = |method: &str, more: &[(&str, &str)]| {
            let headers: Vec<_> = [("host", "127.0.0.1:9095")].into_iter().chain(more.iter().copied()).collect();
            let everywhere = Gate::of("0.0.0.0:9095".parse().unwrap(), Vec::new());
            let (here, there) =
                (status(&on_loopback(), &head(method, &headers)), status(&everywhere, &head(method, &headers)));
            assert_eq!(here, there, "{headers:?}");
            here
        };
        assert_eq!(from("POST", &[]), None, "a program");
        assert_eq!(from("POST", &[("origin", "http://127.0.0.1:9095"), ("sec-fetch-site", "same-origin")]), None);
        assert_eq!(from("GET", &[("sec-fetch-site", "none")]), None, "typed");
        for origin in [
            "http://evil.example",
            "http://evil.example:9095",
            "http://localhost:9095",
            "http://127.0.0.1:18777",
            "https://127.0.0.1:9095",
            "null",
        ] {
            assert_eq!(from("POST", &[("origin", origin)]), Some(403), "{origin}");
            assert_eq!(from("GET", &[("origin", origin)]), Some(403), "{origin}");
        }
        let own = ("origin", "http://127.0.0.1:9095");
        for origins in [[own, ("origin", "null")], [("origin", "null"), own], [own, own]] {
            assert_eq!(from("GET", &origins), Some(403), "{origins:?}");
        }
        let same = ("sec-fetch-site", "same-origin");
        for sites in [[same, ("sec-fetch-site", "cross-site")], [("sec-fetch-site", "none"), same], [same, same]] {
            assert_eq!(from("GET", &sites), Some(403), "{sites:?}");
        }
        // Nor is it a link that says so twice.
        let mode = ("sec-fetch-mode", "navigate");
        let link = [("sec-fetch-site", "cross-site"), mode, ("sec-fetch-dest", "document")];
        assert_eq!(from("GET", &link), None);
        assert_eq!(from("GET", &[&link[..], &[("sec-fetch-mode", "no-cors")]].concat()), Some(403));
        let fetch = |site: &'static str, mode: &'static str, dest: &'static str| {
            vec![("sec-fetch-site", site), ("sec-fetch-mode", mode), ("sec-fetch-dest", dest)]
        };
        for site in ["cross-site", "same-site", "", "no-such"] {
            assert_eq!(from("GET", &fetch(site, "navigate", "document")), None, "{site}: a link");
            assert_eq!(from("POST", &fetch(site, "navigate", "document")), Some(403), "{site}: a form");
            assert_eq!(from("GET", &fetch(site, "navigate", "iframe")), Some(403), "{site}");
            assert_eq!(from("GET", &fetch(site, "no-cors", "image")), Some(403), "{site}");
            assert_eq!(from("GET", &[("sec-fetch-site", site)]), Some(403), "{site}");
        }
    }

    #[test]
    fn what_a_form_can_send_is_no_json() {
        let says = |kind: &str| says_json(&head("POST", &[("content-type", kind)]).headers).is_ok();
        for kind in ["application/json", "Application/JSON; charset=utf-8", "application/json;x"] {
            assert!(says(kind), "{kind}");
        }
        for kind in [
            "text/plain",
            "application/x-www-form-urlencoded",
            "multipart/form-data",
            "text/plain;application/json",
            "",
        ] {
            assert!(!says(kind), "{kind}");
        }
        assert!(says_json(&head("POST", &[]).headers).is_err());
    }
}
