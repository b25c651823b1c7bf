//! The two listeners' clients.

/// Who is served.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Audience {
    /// Everybody.
    Clients,
    /// The monitoring: Prometheus, probes.
    Admin,
}

impl Audience {
    /// Both, in the order of their declaration.
    pub(super) const ALL: [Audience; 2] = [Audience::Clients, Audience::Admin];

    /// The metric label `listener`.
    pub(super) fn label(self) -> &'static str {
        match self {
            Audience::Clients => "clients",
            Audience::Admin => "admin",
        }
    }
}
