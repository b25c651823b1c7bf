//! Whether what one file asks another for is there, and whether what it says of time can be so. Each of these loads without a
//! word, and does nothing:
//!
//! | here | what |
//! |---|---|
//! | [`patterns`] | files that are named by a pattern |
//! | [`scrapes`] | jobs, their targets, and what the exporter is told to ask |
//! | [`routing`] | routes, receivers, matchers and inhibitions |
//! | [`forwarder`] | what each part of the forwarder takes from |

use super::finding::Findings;
use aiclipx_model::monitoring::Monitoring;

mod forwarder;
mod glob;
mod patterns;
mod routing;
pub(super) mod scrapes;

/// Alertmanager's matchers alone, wherever its configuration lies.
pub(super) fn of_alertmanager(monitoring: &Monitoring, findings: &mut Findings) {
    routing::asked_of_alerts(monitoring, findings);
}

pub(super) fn check(monitoring: &Monitoring, findings: &mut Findings) {
    patterns::check(monitoring, findings);
    scrapes::check(monitoring, findings);
    routing::check(monitoring, findings);
    forwarder::check(monitoring, findings);
}
