//! supervisord's own log from a point on: the cheapest way to hear of a start or a death at once.

use std::fs::File;
use std::io::{Read, Seek, SeekFrom};
use std::path::PathBuf;

use crate::plan::Plan;

pub(crate) struct SupervisorLogTail {
    file: PathBuf,
    read: u64,
}

impl SupervisorLogTail {
    pub(crate) fn from_now(plan: &Plan) -> SupervisorLogTail {
        let file = plan.log("supervisord");
        let read = file.metadata().map_or(0, |meta| meta.len());
        SupervisorLogTail { file, read }
    }

    /// What was told since the last call.
    pub(crate) fn news(&mut self) -> Vec<(String, News)> {
        let mut bytes = Vec::new();
        let read = File::open(&self.file).and_then(|mut file| {
            file.seek(SeekFrom::Start(self.read))?;
            file.read_to_end(&mut bytes)
        });
        let whole = bytes.iter().rposition(|byte| *byte == b'\n').map_or(0, |end| end + 1);
        if read.is_err() || whole == 0 {
            return Vec::new();
        }
        self.read += whole as u64;
        // A name of a program's is in ASCII; what else it logs may be in anything.
        String::from_utf8_lossy(&bytes[..whole]).lines().filter_map(news).collect()
    }
}

/// What supervisord tells of a program.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum News {
    /// It has stayed up long enough to count as running.
    Running,
    /// It ended by itself; why.
    Died(String),
}

/// Reads `2026-11-24 03:00:00,123 INFO exited: app (exit status 2; not expected)` and its like.
fn news(line: &str) -> Option<(String, News)> {
    let message = line.splitn(4, ' ').nth(3)?;
    if let Some(exited) = message.strip_prefix("exited: ") {
        let (name, why) = exited.split_once(" (")?;
        let why = why.trim_end_matches(')');
        let why = why.split_once(';').map_or(why, |(why, _)| why);
        return Some((name.to_owned(), News::Died(why.to_owned())));
    }
    if let Some(success) = message.strip_prefix("success: ") {
        return Some((success.split_whitespace().next()?.to_owned(), News::Running));
    }
    let name = message.strip_prefix("gave up: ")?.split_whitespace().next()?;
    Some((name.to_owned(), News::Died("it could not be started".to_owned())))
}

#[cfg(test)]
mod tests {
    use super::*;
    use aiclipx_base::duration::Speed;
    use std::path::Path;

    #[test]
    fn news_read_as_supervisord_logs_them() {
        let told = |message: &str| news(&format!("2026-11-24 03:00:00,123 {message}"));
        let died = |why: &str| Some(("app".to_owned(), News::Died(why.to_owned())));
        assert_eq!(told("INFO exited: app (exit status 2; not expected)"), died("exit status 2"));
        assert_eq!(told("WARN exited: app (terminated by SIGKILL; not expected)"), died("terminated by SIGKILL"));
        assert_eq!(
            told("INFO gave up: app entered FATAL state, too many start retries too quickly"),
            died("it could not be started")
        );
        assert_eq!(
            told("INFO success: app entered RUNNING state, process has stayed up for > than 1 seconds (startsecs)"),
            Some(("app".to_owned(), News::Running))
        );
        assert_eq!(told("INFO spawned: 'app' with pid 12"), None);
        assert_eq!(told("INFO stopped: app (exit status 0)"), None);
    }

    #[test]
    fn a_byte_that_is_no_text_does_not_hide_what_comes_behind_it() {
        let state = tempfile::tempdir().unwrap();
        let plan = Plan::attached(Path::new("/t"), state.path(), Speed::PRODUCTION).unwrap();
        std::fs::create_dir(plan.logs()).unwrap();
        let mut tail = SupervisorLogTail::from_now(&plan);
        let log = b"2026-11-24 03:00:00,123 WARN what \xff is\n2026-11-24 03:00:00,124 INFO exited: app (exit status 2)\nhalf";
        std::fs::write(plan.log("supervisord"), log).unwrap();
        assert_eq!(tail.news(), [("app".to_owned(), News::Died("exit status 2".to_owned()))]);
        assert_eq!(tail.news(), []);
    }
}
