//! What Prometheus and Alertmanager refuse beyond what any one value is: two of one name, a name that nobody has, a key that
//! needs another.

pub(super) mod alertmanager;
pub(super) mod prometheus;

/// A line, what is wrong there, what helps.
type Refuse<'a> = dyn FnMut(usize, String, &str) + 'a;
