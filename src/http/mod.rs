//! Both ends of HTTP/1.1, on hyper: the hardened accept loop that the service, the receiver and the viewer share, and
//! the plain client.

pub mod client;
pub mod serve;
