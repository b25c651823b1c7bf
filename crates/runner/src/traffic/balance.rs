//! Whom a request goes to, of several replicas: those that say they are ready take turns, as behind a load balancer.
//!
//! Each is asked several times a second at its ready path, where its clients ask; who does not answer 2xx gets nothing until it
//! does. While all are ready a request's place in the schedule decides alone, so the same schedule is spread alike each time. Where
//! nobody is ready, each gets what it would get if all were: what becomes of that is in the ledger.
//!
//! A request for one thing (`/items/7`, a route with a parameter) goes by its path: what one replica holds in memory and another
//! does not is asked of the same one. Nothing is sent twice: who refuses a connection has refused that request.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use bytes::Bytes;
use http_body_util::{BodyExt, Full};
use hyper::{Request, header};
use tokio::task::JoinSet;
use tokio::time::{sleep, timeout};

use super::connection::{Connect, Connection, Idle};
use aiclipx_model::service::Service;
use aiclipx_model::traffic::schedule::Intended;

/// Between two looks at a replica. One that drains goes on serving for longer than this and [`LOOK_LIMIT`] together.
const LOOK: Duration = Duration::from_millis(200);
/// Who takes longer to say that it is ready is not.
const LOOK_LIMIT: Duration = Duration::from_secs(1);

/// Where requests go: one service, or its replicas.
#[derive(Debug)]
pub struct Balanced<C> {
    members: Arc<[Member<C>]>,
}

/// One of them.
#[derive(Debug)]
pub(super) struct Member<C> {
    pub(super) connect: C,
    pub(super) idle: Idle,
    is_ready: AtomicBool,
}

impl<C: Connect> From<C> for Balanced<C> {
    fn from(connect: C) -> Balanced<C> {
        Balanced::over([connect])
    }
}

impl<C: Connect> Balanced<C> {
    /// Over replicas in their order, at least one.
    pub fn over(connects: impl IntoIterator<Item = C>) -> Balanced<C> {
        let member = |connect| Member { connect, idle: Idle::default(), is_ready: AtomicBool::new(true) };
        Balanced { members: connects.into_iter().map(member).collect() }
    }

    /// Looks at each replica, and goes on looking for as long as what is returned is kept. A single one is not looked at: whatever
    /// it says, there is nobody else to send to.
    pub(super) async fn watched(&self, service: &Service) -> JoinSet<()> {
        let mut watchers = JoinSet::new();
        if self.members.len() < 2 {
            return watchers;
        }
        let path: Arc<str> = format!("{}{}", service.base, service.ready).into();
        let mut looks = JoinSet::new();
        for index in 0..self.members.len() {
            let (members, path) = (Arc::clone(&self.members), Arc::clone(&path));
            looks.spawn(async move { members[index].look(&path).await });
        }
        looks.join_all().await;
        for index in 0..self.members.len() {
            let (members, path) = (Arc::clone(&self.members), Arc::clone(&path));
            watchers.spawn(async move {
                loop {
                    sleep(LOOK).await;
                    members[index].look(&path).await;
                }
            });
        }
        watchers
    }

    /// Who gets a request, and its number from 1 where there are several.
    pub(super) fn pick(&self, intended: &Intended) -> (&Member<C>, Option<u32>) {
        let is_ready = |index: &usize| self.members[*index].is_ready.load(Ordering::Relaxed);
        let turn = turn(intended, self.members.len());
        let mut index = turn % self.members.len();
        if !is_ready(&index) {
            let ready: Vec<usize> = (0..self.members.len()).filter(is_ready).collect();
            index = ready.get(turn.checked_rem(ready.len()).unwrap_or(0)).copied().unwrap_or(index);
        }
        let number = (self.members.len() > 1).then(|| u32::try_from(index + 1).unwrap_or(u32::MAX));
        (&self.members[index], number)
    }
}

impl<C: Connect> Member<C> {
    /// Whether it is ready now.
    async fn look(&self, path: &str) {
        let is_ready = timeout(LOOK_LIMIT, self.says_ready(path)).await.unwrap_or(false);
        self.is_ready.store(is_ready, Ordering::Relaxed);
    }

    async fn says_ready(&self, path: &str) -> bool {
        let Ok(mut connection) = Connection::open(&self.connect).await else { return false };
        let request = Request::get(path).header(header::HOST, self.connect.host()).header(header::CONNECTION, "close");
        let request =
            request.body(Full::<Bytes>::default()).expect("a service's ready path was checked when it was read");
        let Ok(answer) = connection.sender.send_request(request).await else { return false };
        let is_success = answer.status().is_success();
        is_success && answer.into_body().collect().await.is_ok()
    }
}

/// A number that says whose turn it is, of so many. In each block of as many requests everybody has one turn, and the first is
/// another one's in each: with neither the mix of requests nor every n-th of them (`--shard`) does it go in step.
fn turn(intended: &Intended, of: usize) -> usize {
    let of = u64::try_from(of).expect("a handful");
    let is_one_thing = intended.endpoint.contains('{');
    let number = if is_one_thing {
        let path = intended.path.split('?').next().unwrap_or_default();
        path.bytes().fold(0, |so_far, byte| mixed(so_far ^ u64::from(byte))) >> HALF
    } else {
        (mixed(intended.seq / of) >> HALF) + intended.seq % of
    };
    usize::try_from(number).unwrap_or(0)
}

/// Half of a number's bits are enough, and adding to them never overflows.
const HALF: u32 = 32;

/// A number in which each bit depends on all of this one: the last steps of `SplitMix64`.
fn mixed(number: u64) -> u64 {
    let number = number.wrapping_add(0x9e37_79b9_7f4a_7c15);
    let number = (number ^ (number >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let number = (number ^ (number >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    number ^ (number >> 31)
}

#[cfg(test)]
mod tests;
