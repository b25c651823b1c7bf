//! A metric, and its place in a registry.

use prometheus::Registry;
use prometheus::core::Collector;

/// The metric, in the registry, too.
pub(super) fn registered<M>(registry: &Registry, metric: prometheus::Result<M>) -> prometheus::Result<M>
where
    M: Collector + Clone + 'static,
{
    let metric = metric?;
    registry.register(Box::new(metric.clone()))?;
    Ok(metric)
}
