//! How many bytes request bodies under way and answers in hand may take together.
//!
//! The number of connections bounds what each costs by itself; this bounds what clients make them hold. Whoever asks for more
//! than is left is refused rather than made to wait: a client that reads nothing could make everybody wait.

use std::sync::Arc;

use bytes::Bytes;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// The bytes there are.
#[derive(Clone)]
pub(super) struct Budget {
    left: Arc<Semaphore>,
    bytes: usize,
}

/// More was asked for than is left.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Exhausted;

/// Bytes that were taken from a budget, and return to it.
pub(super) struct Reserved {
    budget: Arc<Semaphore>,
    bytes: Option<OwnedSemaphorePermit>,
}

impl Budget {
    /// A budget of so many bytes.
    pub(super) fn new(bytes: usize) -> Budget {
        Budget { left: Arc::new(Semaphore::new(bytes)), bytes }
    }

    /// All there are, taken or not.
    pub(super) fn bytes(&self) -> usize {
        self.bytes
    }

    /// How many are taken at this moment.
    pub(super) fn taken(&self) -> usize {
        self.bytes - self.left.available_permits()
    }

    /// Nothing yet, to [`grow`](Reserved::grow).
    pub(super) fn reserve_nothing(&self) -> Reserved {
        Reserved { budget: Arc::clone(&self.left), bytes: None }
    }

    /// Bytes that are taken from the budget until the last reference to them is gone, wherever that may be.
    pub(super) fn keep(&self, bytes: Vec<u8>) -> Result<Bytes, Exhausted> {
        let mut reserved = self.reserve_nothing();
        reserved.grow(bytes.capacity())?;
        Ok(Bytes::from_owner(Kept { bytes, _reserved: reserved }))
    }
}

impl Reserved {
    /// Takes so many bytes more, or none.
    pub(super) fn grow(&mut self, bytes: usize) -> Result<(), Exhausted> {
        let bytes = u32::try_from(bytes).map_err(|_| Exhausted)?;
        let more = Arc::clone(&self.budget).try_acquire_many_owned(bytes).map_err(|_| Exhausted)?;
        match &mut self.bytes {
            Some(taken) => taken.merge(more),
            none => *none = Some(more),
        }
        Ok(())
    }
}

/// Keeps bytes reserved as long as they are in use.
struct Kept {
    bytes: Vec<u8>,
    _reserved: Reserved,
}

impl AsRef<[u8]> for Kept {
    fn as_ref(&self) -> &[u8] {
        &self.bytes
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_taken_returns_when_the_last_reference_is_gone() {
        let budget = Budget::new(10);
        let kept = budget.keep(vec![0; 6]).unwrap();
        let part = kept.slice(4..);
        drop(kept);
        assert_eq!(budget.keep(vec![0; 5]), Err(Exhausted));
        drop(part);
        assert_eq!(budget.keep(vec![1; 10]).unwrap(), vec![1; 10]);
    }

    #[test]
    fn a_body_that_grows_takes_as_it_goes_and_nothing_where_there_is_not_enough() {
        let budget = Budget::new(10);
        let mut body = budget.reserve_nothing();
        assert_eq!((budget.taken(), budget.bytes()), (0, 10));
        assert_eq!([body.grow(4), body.grow(4), body.grow(4), body.grow(2)], [Ok(()), Ok(()), Err(Exhausted), Ok(())]);
        assert!(budget.keep(vec![0]).is_err());
        drop(body);
        assert!(budget.keep(vec![0; 10]).is_ok());
    }
}
