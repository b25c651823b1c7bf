//! Both ends of HTTP/1.1, on hyper: the hardened accept loop that the service, the receiver and the viewer share, what the
//! latter two admit of it, and the plain client.

pub mod client;
pub mod gate;
pub mod serve;
