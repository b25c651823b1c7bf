//! Where something listens: a host and a port.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// A host and a port: `127.0.0.1:9090`, `[::1]:9090`, `app:8080`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Address {
    /// A name or an IP address, an IPv6 one without its brackets.
    pub host: String,
    /// 1…65535.
    pub port: u16,
}

impl Address {
    /// An address on this machine's loopback interface.
    pub fn loopback(port: u16) -> Address {
        Address { host: "127.0.0.1".to_owned(), port }
    }

    /// The `http://` URL of a path (which begins with a slash) at this address.
    pub fn url(&self, path_and_query: &str) -> String {
        format!("http://{self}{path_and_query}")
    }
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.host.contains(':') {
            write!(f, "[{}]:{}", self.host, self.port)
        } else {
            write!(f, "{}:{}", self.host, self.port)
        }
    }
}

/// Reads `host:port`, also with `http://` before it and a slash behind it, as people paste it.
impl FromStr for Address {
    type Err = String;

    fn from_str(text: &str) -> Result<Address, String> {
        let error = || format!("`{text}` is not an address; write it like 127.0.0.1:9090");
        let bare = text.strip_prefix("http://").unwrap_or(text);
        let bare = bare.strip_suffix('/').unwrap_or(bare);
        let (host, port) = bare.rsplit_once(':').ok_or_else(error)?;
        let host = host.strip_prefix('[').and_then(|h| h.strip_suffix(']')).unwrap_or(host);
        let port = port.parse().ok().filter(|port| *port > 0).ok_or_else(error)?;
        if host.is_empty() || host.contains(['/', '@', ' ', '[', ']']) {
            return Err(error());
        }
        Ok(Address { host: host.to_owned(), port })
    }
}

impl TryFrom<String> for Address {
    type Error = String;

    fn try_from(text: String) -> Result<Address, String> {
        text.parse()
    }
}

impl From<Address> for String {
    fn from(address: Address) -> String {
        address.to_string()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_read_as_people_paste_them() {
        for (text, printed) in [
            ("127.0.0.1:9090", "127.0.0.1:9090"),
            ("http://localhost:9090/", "localhost:9090"),
            ("[::1]:80", "[::1]:80"),
            ("app:8080", "app:8080"),
        ] {
            assert_eq!(text.parse::<Address>().map(|a| a.to_string()), Ok(printed.to_owned()), "{text}");
        }
        for text in ["", "localhost", ":80", "a:0", "a:99999", "https://a:80", "http://a:80/x", "u@h:80"] {
            assert!(text.parse::<Address>().is_err(), "{text}");
        }
    }
}
