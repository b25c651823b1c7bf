//! Several processes of the service in a plan: where they listen, and how long one drains before it ends.

use std::time::Duration;

use super::plan::Plan;
use super::ports::free_port;
use aiclipx_base::address::Address;
use aiclipx_model::failure::Failure;
use aiclipx_model::replica::Replicas;

/// A balancer that asks several times a second has noticed by then …
const NOTICED: Duration = Duration::from_millis(500);
/// … and Prometheus, which scrapes every 15 s in production time, has what was counted last.
const SCRAPED: Duration = Duration::from_secs(18);

impl Plan {
    /// Gives the plan so many processes of the service: the first where it is, the others on ports nobody uses. Of one that somebody
    /// else starts there is what there is: a usage failure.
    pub fn replicate(&mut self, replicas: Replicas) -> Result<(), Failure> {
        let wanted = replicas.count();
        if wanted > 1 && self.service.start.is_none() {
            return Err(Failure::usage("the service is started by somebody else, so this tool has no replicas of it")
                .remedy("leave --replicas out, or give monitoring/service.toml a [start]"));
        }
        for addresses in [&mut self.addresses.app, &mut self.addresses.app_admin] {
            // Who has no listener for the monitoring has none in any replica.
            while !addresses.is_empty() && addresses.len() < wanted {
                addresses.push(Address::loopback(free_port()?));
            }
        }
        Ok(())
    }

    /// For how long one that is told to stop goes on serving, and says that it is not ready. Nobody balances load before a single
    /// one, so nobody has to notice.
    pub(super) fn drain(&self) -> Duration {
        if self.addresses.app.len() > 1 { NOTICED + SCRAPED / self.speed.factor() } else { Duration::ZERO }
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;
    use crate::{Component, Process};
    use aiclipx_base::duration::Speed;

    fn plan(replicas: &str, speed: Speed) -> Plan {
        let mut plan =
            Plan::attached(Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/../..")), Path::new("/state"), speed)
                .unwrap();
        plan.replicate(replicas.parse().unwrap()).unwrap();
        plan
    }

    #[test]
    fn one_replica_is_the_plan_as_it_is() {
        let speed = "30".parse().unwrap();
        let mut one = plan("1", speed);
        // Where programs hide is another place each time.
        one.hidden.clear();
        let mut before = Plan::attached(&one.tree, &one.state, speed).unwrap();
        before.hidden.clear();
        assert_eq!(serde_json::to_string(&one).unwrap(), serde_json::to_string(&before).unwrap());
        assert_eq!(one.drain(), Duration::ZERO);
    }

    #[test]
    fn the_first_is_where_it_is_and_each_other_has_ports_and_a_name_of_its_own() {
        let plan = plan("3", "30".parse().unwrap());
        let processes = plan.processes();
        let of_app: Vec<&Process> = processes.iter().filter(|one| one.component == Component::App).collect();
        assert_eq!(of_app.iter().map(|one| one.name.as_str()).collect::<Vec<_>>(), ["app-1", "app-2", "app-3"]);
        assert_eq!((of_app[0].address.port, of_app[0].admin.as_ref().map(|admin| admin.port)), (8080, Some(8081)));
        let mut ports: Vec<u16> =
            of_app.iter().flat_map(|one| one.listeners()).map(|(.., address)| address.port).collect();
        ports.sort_unstable();
        ports.dedup();
        assert_eq!(ports.len(), 6);
    }

    #[test]
    fn who_drains_does_so_until_a_balancer_and_a_scrape_have_seen_it() {
        assert_eq!(plan("3", "30".parse().unwrap()).drain(), Duration::from_millis(1100));
        assert_eq!(plan("2", Speed::PRODUCTION).drain(), Duration::from_millis(18_500));
    }

    #[test]
    fn of_a_service_that_somebody_else_starts_there_are_no_replicas() {
        let mut plan = plan("1", Speed::PRODUCTION);
        plan.service.start = None;
        assert!(plan.replicate("2".parse().unwrap()).unwrap_err().to_string().contains("by somebody else"));
        plan.replicate(Replicas::ONE).unwrap();
    }
}
