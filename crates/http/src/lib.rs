//! Both ends of HTTP/1.1, on hyper: the hardened accept loop that the service, the receiver and the viewer share, the [`gate`]
//! in front of what only this machine's own pages may ask, and the plain [`client`].
//!
//! Not for: routes, and what an answer says. TLS, HTTP/2 and redirects are spoken nowhere here.
//!
//! ```
//! use std::time::Duration;
//!
//! use aiclipx_http::client;
//!
//! # #[tokio::main] async fn main() {
//! // Nobody listens on this port: what could not be had is told, and nothing is tried twice.
//! let address = "127.0.0.1:1".parse().unwrap();
//! let refused = client::get(&address, "/metrics", Duration::from_secs(5)).await;
//! assert!(refused.is_err());
//! # }
//! ```

pub mod client;
pub mod gate;
pub mod serve;
