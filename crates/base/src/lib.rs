//! What the service and its tool both speak: durations as Prometheus writes them, the speed of a stack, addresses.
//!
//! Not for: anything that reads, asks or waits. It depends on serde alone, since the service takes it.
//!
//! ```
//! use aiclipx_base::duration::{Speed, parse, print};
//!
//! let production = parse("5m").unwrap();
//! let speed: Speed = "30".parse().unwrap();
//! assert_eq!(print(speed.real(production).unwrap()), "10s");
//! ```

pub mod address;
pub mod duration;
