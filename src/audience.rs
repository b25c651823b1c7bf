//! Who is served.

/// Who is served.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Audience {
    /// Everybody.
    Clients,
    /// Those who watch the service.
    Admin,
}

impl Audience {
    /// Both, in the order of their declaration.
    pub const ALL: [Audience; 2] = [Audience::Clients, Audience::Admin];

    /// The metric label `listener`.
    pub fn label(self) -> &'static str {
        match self {
            Audience::Clients => "clients",
            Audience::Admin => "admin",
        }
    }
}
