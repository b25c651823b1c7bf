//! The `DevTools` protocol over Chromium's debugging pipe: JSON messages with a NUL behind each.
//!
//! No port is opened and nobody else can drive the browser. Answers find their caller by number, events their page by
//! session; what a message means is the caller's business.

use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use serde_json::{Value, json};
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader};
use tokio::process::{ChildStdin, ChildStdout};
use tokio::sync::{mpsc, oneshot};
use tokio::task::JoinHandle;

/// How long standard error may take to end after the pipe did.
const LAST_WORDS_LIMIT: Duration = Duration::from_secs(1);

/// Something Chromium tells unasked: the method's name and its parameters.
pub(super) type Event = (String, Value);

/// Why a command has no answer.
#[derive(Debug)]
pub(super) enum CallError {
    /// Chromium answered with an error.
    Refused(String),
    /// The pipe is closed: the process is gone or going.
    Gone,
    /// No answer within the time given.
    TimedOut(Duration),
}

/// Both directions of one browser's pipe.
pub(super) struct Pipe {
    writer: tokio::sync::Mutex<ChildStdin>,
    routes: Arc<Mutex<Routes>>,
    next_id: AtomicU64,
}

#[derive(Default)]
struct Routes {
    /// Who waits for which answer; emptied when the pipe closes, which wakes every waiter.
    waiting: HashMap<u64, oneshot::Sender<Result<Value, String>>>,
    /// Which page hears which session.
    sessions: HashMap<String, mpsc::UnboundedSender<Event>>,
    closed: bool,
}

impl Pipe {
    /// Takes the two ends; the reading one is served by a task that ends with the process. When the pipe closes,
    /// `last_words` (the reader of standard error) may finish before anyone is told.
    pub(super) fn new(writer: ChildStdin, reader: ChildStdout, last_words: JoinHandle<()>) -> Pipe {
        let routes = Arc::new(Mutex::new(Routes::default()));
        tokio::spawn(serve(reader, Arc::clone(&routes), last_words));
        Pipe { writer: tokio::sync::Mutex::new(writer), routes, next_id: AtomicU64::new(1) }
    }

    /// Sends a command, to the browser itself or to a page's session, and waits for its answer.
    pub(super) async fn call(
        &self,
        session: Option<&str>,
        method: &str,
        params: Value,
        limit: Duration,
    ) -> Result<Value, CallError> {
        let id = self.next_id.fetch_add(1, Ordering::Relaxed);
        let (answered, answer) = oneshot::channel();
        {
            let mut routes = lock(&self.routes);
            if routes.closed {
                return Err(CallError::Gone);
            }
            routes.waiting.insert(id, answered);
        }
        let mut message = json!({ "id": id, "method": method, "params": params });
        if let Some(session) = session {
            message["sessionId"] = Value::from(session);
        }
        let mut bytes = message.to_string().into_bytes();
        bytes.push(0);
        let exchanged = async {
            // A broken pipe is told by its other end, which first hears Chromium's last words.
            let _ = self.writer.lock().await.write_all(&bytes).await;
            answer.await.map_err(|_| CallError::Gone)?.map_err(CallError::Refused)
        };
        let result = tokio::time::timeout(limit, exchanged).await.unwrap_or(Err(CallError::TimedOut(limit)));
        lock(&self.routes).waiting.remove(&id);
        result
    }

    /// From now on the session's events come to the receiver; it closes with the pipe.
    pub(super) fn listen(&self, session: &str) -> mpsc::UnboundedReceiver<Event> {
        let (sender, receiver) = mpsc::unbounded_channel();
        let mut routes = lock(&self.routes);
        if !routes.closed {
            routes.sessions.insert(session.to_owned(), sender);
        }
        receiver
    }

    /// Ends [`Pipe::listen`].
    pub(super) fn forget(&self, session: &str) {
        lock(&self.routes).sessions.remove(session);
    }
}

/// A panic elsewhere leaves the maps whole: every change is one insert or one remove.
fn lock(routes: &Mutex<Routes>) -> MutexGuard<'_, Routes> {
    routes.lock().unwrap_or_else(PoisonError::into_inner)
}

async fn serve(reader: ChildStdout, routes: Arc<Mutex<Routes>>, last_words: JoinHandle<()>) {
    let mut reader = BufReader::new(reader);
    let mut message = Vec::new();
    while let Ok(read) = reader.read_until(0, &mut message).await {
        if read == 0 {
            break;
        }
        if message.last() == Some(&0) {
            message.pop();
        }
        if let Ok(parsed) = serde_json::from_slice(&message) {
            deliver(parsed, &routes);
        }
        message.clear();
    }
    // A helper of Chromium may hold standard error open; its end is not waited for.
    let _ = tokio::time::timeout(LAST_WORDS_LIMIT, last_words).await;
    let mut routes = lock(&routes);
    routes.closed = true;
    routes.waiting.clear();
    routes.sessions.clear();
}

fn deliver(mut message: Value, routes: &Mutex<Routes>) {
    if let Some(id) = message["id"].as_u64() {
        let answer = match message.get("error") {
            Some(error) => Err(error["message"].as_str().unwrap_or("no reason given").to_owned()),
            None => Ok(message["result"].take()),
        };
        if let Some(waiter) = lock(routes).waiting.remove(&id) {
            // The caller may have given up waiting; then nobody needs the answer.
            let _ = waiter.send(answer);
        }
    } else if let (Some(session), Some(method)) = (message["sessionId"].as_str(), message["method"].as_str())
        && let Some(page) = lock(routes).sessions.get(session)
    {
        let event = (method.to_owned(), message["params"].clone());
        let _ = page.send(event);
    }
}
