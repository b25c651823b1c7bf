//! A database that is slow, crowded, gone and back: every request is answered and counted once, what was told is true, and the
//! service comes back by itself.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use aiclipx_app::config::Config;
use aiclipx_app::database_url::DatabaseUrl;

use crate::database::{self, PASSWORD, Server};
use crate::exposition::whole;
use crate::harness::{Answer, App, Client, JSON, LIMIT, eventually, soon, tally};
use crate::program::{Program, run};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

const ITEM: &str = r#"{"name":"tea"}"#;

/// A service whose items are in this database.
async fn on(server: &Server, name: &str, change: impl FnOnce(&mut Config)) -> App {
    App::with(|config| {
        config.database = Some(DatabaseUrl::parse(&server.url(name)).unwrap());
        change(config);
    })
    .await
}

fn failures(app: &App, kind: &str) -> u64 {
    whole(app.metrics().value("app_database_failures_total", &[("kind", kind)]))
}

fn all_failures(app: &App) -> u64 {
    ["unreachable", "pool", "timeout", "lost", "unknown", "error"].into_iter().map(|kind| failures(app, kind)).sum()
}

fn is_refused(answer: &Answer) -> bool {
    answer.status == 503 && answer.header("retry-after") == Some("1") && answer.json()["error"].is_string()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_slow_statement_is_cancelled_by_the_database_and_counted_once_as_such() {
    let Some(server) = database::shared() else { return };
    let name = server.database().await;
    let app = on(server, &name, |config| config.database_timeout = Duration::from_millis(100)).await;
    // Somebody holds the row that counts: whoever adds or removes waits for it, and nobody else does.
    let mut session = server.session(&name).await;
    let holding = session.transaction().await.unwrap();
    holding.batch_execute("SELECT * FROM aiclipx_store FOR UPDATE").await.unwrap();
    let slow = app.send("POST", "/items", &[JSON], ITEM).await;
    assert!(is_refused(&slow) && slow.body.contains("nothing was changed"), "{slow:?}");
    assert_eq!(app.get("/items").await.status, 200);
    assert_eq!((failures(&app, "timeout"), all_failures(&app)), (1, 1));
    assert_eq!(app.counted(), tally([("POST /items 503", 1), ("GET /items 200", 1)]));
    assert_eq!(whole(app.metrics().value("app_errors_total", &[])), 1);
    holding.rollback().await.unwrap();
    // The connection is as good as before, and nothing was kept.
    assert_eq!(app.send("POST", "/items", &[JSON], ITEM).await.header("location"), Some("/items/1"));
    assert_eq!(whole(app.metrics().value("app_items", &[])), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn more_requests_than_connections_wait_their_time_and_are_counted_once_as_such() {
    let Some(server) = database::shared() else { return };
    let name = server.database().await;
    let app = on(server, &name, |config| {
        config.database_pool = 2;
        config.database_wait = Duration::from_millis(100);
        config.database_timeout = Duration::from_secs(30);
    })
    .await;
    let mut session = server.session(&name).await;
    let holding = session.transaction().await.unwrap();
    holding.batch_execute("SELECT * FROM aiclipx_store FOR UPDATE").await.unwrap();
    let address = app.address;
    let busy: Vec<_> = (0..2)
        .map(|_| tokio::spawn(async move { Client::connect(address).await.ask("POST", "/items", &[JSON], ITEM).await }))
        .collect();
    let used = |app: &App| whole(app.metrics().value("app_database_connections", &[("state", "used")]));
    loop {
        app.get("/metrics").await; // which sets the gauge
        if used(&app) == 2 {
            break;
        }
    }
    for _ in 0..3 {
        assert!(is_refused(&app.get("/items/7").await));
    }
    assert_eq!((failures(&app, "pool"), all_failures(&app)), (3, 3));
    assert!(app.is_ready(), "a crowd is no reason to be sent nothing");
    holding.rollback().await.unwrap();
    for one in busy {
        assert_eq!(soon(one).await.unwrap().status, 201, "who had a connection is served");
    }
    assert_eq!(app.get("/items/7").await.status, 404);
    let waits = whole(app.metrics().value("app_database_wait_seconds_count", &[]));
    assert_eq!(waits, 6, "each request that needed a connection, whether it had one or not");
}

/// The client is gone: what it began is finished, and the connection is nobody's burden.
#[tokio::test(flavor = "multi_thread")]
async fn a_client_that_leaves_during_a_statement_leaves_no_connection_with_something_under_way() {
    let Some(server) = database::shared() else { return };
    let name = server.database().await;
    let app = on(server, &name, |config| {
        config.database_pool = 1;
        config.database_timeout = Duration::from_secs(30);
    })
    .await;
    let mut session = server.session(&name).await;
    let holding = session.transaction().await.unwrap();
    holding.batch_execute("SELECT * FROM aiclipx_store FOR UPDATE").await.unwrap();
    let mut client = app.connect().await;
    client.write(&crate::harness::request("POST", "/items", &[JSON], ITEM)).await;
    eventually("it is under way", || whole(app.metrics().value("app_database_wait_seconds_count", &[])) == 1).await;
    client.stream.get_ref().set_zero_linger().unwrap();
    drop(client);
    eventually("it was left", || app.counted() == tally([("POST /items 499", 1)])).await;
    assert_eq!(app.get("/metrics").await.status, 200); // which sets the gauges
    let idle = app.metrics().value("app_database_connections", &[("state", "idle")]);
    assert_eq!(whole(idle), 0, "nobody else is given a connection with something under way");
    holding.rollback().await.unwrap();
    let kept = app.get("/items/1").await; // waits for the one connection
    assert_eq!(kept.status, 200, "kept, though nobody was told");
    assert_eq!(all_failures(&app), 0);
}

/// What one client saw: by status, the ids it was given and those it removed.
#[derive(Default)]
struct Ledger {
    seen: BTreeMap<String, u64>,
    kept: Vec<u64>,
    removed: Vec<u64>,
    /// Answers that leave it open whether it was done.
    open: u64,
}

/// Adds, reads and removes until told to stop, or a thousand times.
async fn client(address: std::net::SocketAddr, stop: Arc<AtomicBool>) -> Ledger {
    let mut ledger = Ledger::default();
    let mut turn = 0_u64;
    while !stop.load(Ordering::SeqCst) {
        let mine = ledger.kept.last().copied().filter(|id| !ledger.removed.contains(id));
        let (method, target) = match (turn % 4, mine) {
            (0 | 1, _) | (3.., None) => ("POST", "/items".to_owned()),
            (2, _) => ("GET", "/items?limit=3".to_owned()),
            (_, Some(id)) => ("DELETE", format!("/items/{id}")),
        };
        turn += 1;
        let body = if method == "POST" { ITEM } else { "" };
        let answer = Client::connect(address).await.ask(method, &target, &[JSON], body).await;
        let endpoint = if target.starts_with("/items/") { "/items/{id}" } else { "/items" };
        *ledger.seen.entry(format!("{method} {endpoint} {}", answer.status)).or_default() += 1;
        match (method, answer.status) {
            ("POST", 201) => ledger.kept.push(answer.json()["id"].as_u64().unwrap()),
            ("DELETE", 204) => ledger.removed.extend(mine),
            (_, 503) => {
                assert!(is_refused(&answer), "{answer:?}");
                ledger.open += u64::from(answer.body.contains("look whether it was done"));
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
            (_, status) => assert!(status == 200 || status == 404, "{method} {status}"),
        }
    }
    ledger
}

/// Clients' work, while something is done to the database; then: ledger = counters = rows, but for what nobody could know.
async fn under_load(server: &Server, hurt: impl AsyncFnOnce(&[App])) -> u64 {
    let name = server.database().await;
    let mut apps = Vec::new();
    for _ in 0..3 {
        apps.push(on(server, &name, |config| config.database_pool = 3).await);
    }
    let stop = Arc::new(AtomicBool::new(false));
    let clients: Vec<_> = (0..6).map(|turn| tokio::spawn(client(apps[turn % 3].address, Arc::clone(&stop)))).collect();
    hurt(&apps).await;
    for app in &apps {
        eventually("it is ready again", || app.is_ready()).await;
    }
    stop.store(true, Ordering::SeqCst);
    let mut total = Ledger::default();
    for client in clients {
        let one = soon(client).await.unwrap();
        for (series, count) in one.seen {
            *total.seen.entry(series).or_default() += count;
        }
        total.kept.extend(one.kept);
        total.removed.extend(one.removed);
        total.open += one.open;
    }
    let mut moved: BTreeMap<String, u64> = BTreeMap::new();
    for app in &apps {
        // The probes are the test's own.
        for (series, count) in app.counted().into_iter().filter(|(series, _)| !series.contains("/health/")) {
            *moved.entry(series).or_default() += count;
        }
    }
    assert_eq!(total.seen, moved, "ledger = counters");
    let refused: u64 = moved.iter().filter(|(series, _)| series.ends_with(" 503")).map(|(_, count)| count).sum();
    assert_eq!(apps.iter().map(all_failures).sum::<u64>(), refused, "each refused request has one kind");
    assert_eq!(apps.iter().map(|app| failures(app, "unknown")).sum::<u64>(), total.open);

    let session = server.session(&name).await;
    let rows = session.query("SELECT id FROM aiclipx_items ORDER BY id", &[]).await.unwrap();
    let rows: Vec<u64> = rows.iter().map(|row| u64::try_from(row.get::<_, i64>(0)).unwrap()).collect();
    let told: i64 = session.query_one("SELECT items FROM aiclipx_store", &[]).await.unwrap().get(0);
    assert_eq!(told, i64::try_from(rows.len()).unwrap(), "the row that counts = rows");
    total.kept.sort_unstable();
    assert!(total.kept.windows(2).all(|pair| pair[0] < pair[1]), "no id was given twice");
    let expected: Vec<u64> = total.kept.iter().copied().filter(|id| !total.removed.contains(id)).collect();
    if total.open == 0 {
        assert_eq!(rows, expected, "ledger = rows");
    } else {
        // Each of these may have been kept, or removed, and nothing else.
        let missing = expected.iter().filter(|id| !rows.contains(id)).count();
        let besides = rows.iter().filter(|id| !expected.contains(id)).count();
        assert!((missing + besides) as u64 <= total.open, "{missing} missing, {besides} besides, {} open", total.open);
    }
    refused
}

#[tokio::test(flavor = "multi_thread")]
async fn restarted_under_load_nothing_is_lost_and_it_comes_back_by_itself() {
    let Some(server) = Server::start(&[]) else { return };
    let refused = under_load(&server, async |apps| {
        tokio::time::sleep(Duration::from_millis(500)).await; // of load
        server.stop();
        for app in apps {
            eventually("it is not ready", || !app.is_ready()).await;
            assert_eq!(app.get("/health/ready").await.status, 503);
            assert_eq!(app.get("/health/live").await.status, 200);
            assert_eq!(whole(app.metrics().value("app_database_up", &[])), 0);
        }
        server.run();
        for app in apps {
            eventually("it is ready again", || app.is_ready()).await;
        }
        tokio::time::sleep(Duration::from_millis(300)).await; // of load
    })
    .await;
    assert!(refused > 0, "nobody noticed");
}

#[tokio::test(flavor = "multi_thread")]
async fn killed_under_load_what_was_told_is_true_and_what_is_open_is_counted_as_such() {
    let Some(server) = Server::start(&[]) else { return };
    for _ in 0..2 {
        let refused = under_load(&server, async |apps| {
            tokio::time::sleep(Duration::from_millis(300)).await; // of load
            server.kill();
            for app in apps {
                eventually("it is not ready", || !app.is_ready()).await;
            }
            server.run();
        })
        .await;
        assert!(refused > 0, "nobody noticed");
    }
}

/// Nobody answers, and nobody hangs up.
#[tokio::test(flavor = "multi_thread")]
async fn a_database_that_stands_still_is_given_up_and_found_again() {
    let Some(server) = Server::start(&[]) else { return };
    let name = server.database().await;
    let app = on(&server, &name, |config| {
        config.database_wait = Duration::from_millis(200);
        config.database_timeout = Duration::from_millis(200);
    })
    .await;
    assert_eq!(app.send("POST", "/items", &[JSON], ITEM).await.status, 201);
    server.signal("STOP");
    let lost = app.send("POST", "/items", &[JSON], ITEM).await;
    assert!(is_refused(&lost), "{lost:?}");
    eventually("it is not ready", || !app.is_ready()).await;
    assert!(is_refused(&app.get("/items/1").await));
    assert_eq!((failures(&app, "unknown"), failures(&app, "unreachable"), all_failures(&app)), (1, 1, 2));
    server.signal("CONT");
    eventually("it is ready again", || app.is_ready()).await;
    assert_eq!(app.get("/items/1").await.status, 200);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_service_that_starts_before_its_database_waits_for_it() {
    let Some(server) = Server::start(&[]) else { return };
    let name = server.database().await;
    server.stop();
    let app = App::begun(|config| config.database = Some(DatabaseUrl::parse(&server.url(&name)).unwrap())).await;
    assert_eq!((app.get("/health/ready").await.status, app.get("/health/live").await.status), (503, 200));
    assert!(is_refused(&app.get("/items").await));
    let shown = |app: &App| app.metrics.encode().lines().any(|line| line.starts_with("app_items "));
    assert!(!shown(&app), "nobody knows how many there are");
    server.run();
    eventually("it is ready", || app.is_ready()).await;
    assert!(shown(&app));
    assert_eq!(app.send("POST", "/items", &[JSON], ITEM).await.header("location"), Some("/items/1"));
}

/// A way to a database that takes its time: each piece of what the server says comes so much later. Its port.
async fn slow_way(server: &Server, late: Duration) -> u16 {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let (port, socket) = (listener.local_addr().unwrap().port(), server.folder().join(".s.PGSQL.5432"));
    tokio::spawn(async move {
        while let Ok((client, _)) = listener.accept().await {
            let server = tokio::net::UnixStream::connect(&socket).await.unwrap();
            let (mut asks, mut told) = client.into_split();
            let (mut says, mut hears) = server.into_split();
            tokio::spawn(async move { tokio::io::copy(&mut asks, &mut hears).await });
            tokio::spawn(async move {
                let mut piece = vec![0; 8192];
                while let Ok(length @ 1..) = says.read(&mut piece).await {
                    tokio::time::sleep(late).await;
                    if told.write_all(&piece[..length]).await.is_err() {
                        break;
                    }
                }
            });
        }
    });
    port
}

/// To let somebody in takes three rounds, and to prepare the session five: either would fit, and both don't.
#[tokio::test(flavor = "multi_thread")]
async fn a_connection_is_waited_for_once_and_not_once_for_each_part_of_making_it() {
    const ROUND: Duration = Duration::from_millis(150);
    let Some(server) = database::shared() else { return };
    let name = server.database().await;
    let way = slow_way(server, ROUND).await;
    let url = server.url(&name);
    let (who, _) = url.split_once('@').unwrap();
    let url = format!("{who}@127.0.0.1:{way}/{name}?sslmode=disable");
    let app = App::with(|config| {
        config.database = Some(DatabaseUrl::parse(&url).unwrap());
        config.database_wait = ROUND * 6;
        config.database_timeout = LIMIT;
    })
    .await;
    assert!(is_refused(&app.get("/items").await));
    assert_eq!((failures(&app, "unreachable"), all_failures(&app)), (1, 1));
    assert_eq!(whole(app.metrics().value("app_database_wait_seconds_count", &[])), 1, "it was tried");
}

/// Ends every session of a database's, as a failover does.
async fn end_sessions(server: &Server, name: &str) {
    let end = format!("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = '{name}'");
    server.session("postgres").await.batch_execute(&end).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn of_a_database_that_was_put_back_its_own_number_of_items_is_shown() {
    let Some(server) = database::shared() else { return };
    let name = server.database().await;
    let app = on(server, &name, |_| {}).await;
    for _ in 0..3 {
        assert_eq!(app.send("POST", "/items", &[JSON], ITEM).await.status, 201);
    }
    assert_eq!(whole(app.metrics().value("app_items", &[])), 3);
    let before = "DELETE FROM aiclipx_items WHERE id > 1; UPDATE aiclipx_store SET items = 1, next_id = 2";
    server.session(&name).await.batch_execute(before).await.unwrap();
    end_sessions(server, &name).await;
    eventually("it shows what there is", || whole(app.metrics().value("app_items", &[])) == 1).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_database_that_takes_no_changes_is_away() {
    let Some(server) = database::shared() else { return };
    let name = server.database().await;
    let app = on(server, &name, |_| {}).await;
    eventually("it is ready", || app.is_ready()).await;
    let set = |how: &str| format!("ALTER DATABASE {name} {how}");
    let session = server.session("postgres").await;
    session.batch_execute(&set("SET default_transaction_read_only = on")).await.unwrap();
    end_sessions(server, &name).await;
    eventually("it is not ready", || !app.is_ready()).await;
    session.batch_execute(&set("RESET default_transaction_read_only")).await.unwrap();
    end_sessions(server, &name).await;
    eventually("it is ready again", || app.is_ready()).await;
}

/// Two services on one database show one number of items, whoever changed it.
#[tokio::test(flavor = "multi_thread")]
async fn what_one_adds_the_other_shows() {
    let Some(server) = database::shared() else { return };
    let name = server.database().await;
    let (one, other) = (on(server, &name, |_| {}).await, on(server, &name, |_| {}).await);
    for _ in 0..3 {
        assert_eq!(one.send("POST", "/items", &[JSON], ITEM).await.status, 201);
    }
    assert_eq!(whole(one.metrics().value("app_items", &[])), 3);
    eventually("the other looks", || whole(other.metrics().value("app_items", &[])) == 3).await;
    assert_eq!(other.get("/items/2").await.status, 200);
}

#[tokio::test]
async fn a_url_that_the_database_refuses_ends_the_start_with_2_and_says_which_part() {
    let Some(server) = database::shared() else { return };
    let name = server.database().await;
    let good = server.url(&name);
    let session = server.session("postgres").await;
    session.batch_execute("CREATE ROLE poor LOGIN PASSWORD 'poor'").await.unwrap();
    session.batch_execute("CREATE DATABASE latin ENCODING 'LATIN1' TEMPLATE template0").await.unwrap();
    let (authority, _) = good.split_once('@').unwrap();
    let other = |from: &str, to: &str| good.replacen(from, to, 1);
    let missing = server.folder().join("nothing");
    for (url, part) in [
        (other("tester:", "nobody:"), "its user or its password"),
        (other(authority, "postgres://tester:wrong"), "its user or its password"),
        (other(authority, "postgres://tester"), "no password"),
        (other(&format!("/{name}"), "/nowhere"), "database's name"),
        (other(&format!("/{name}"), "/latin"), "LATIN1"),
        (other(authority, "postgres://poor:poor"), "its user may not"),
        (format!("{good}?passfile={}", missing.display()).replacen(authority, "postgres://tester", 1), "passfile"),
        (format!("{good}?sslmode=verify-ca&sslrootcert={}", missing.display()), "sslrootcert"),
        (other("postgres://", "mysql://"), "scheme"),
        (other(&format!("/{name}"), &format!(":70000/{name}")), "port"),
    ] {
        let (code, _, error) =
            run(&[], &[("APP_DATABASE_URL", &url), ("PORT", "0"), ("APP_ADMIN_LISTEN", "127.0.0.1:0")]).await;
        assert_eq!(code, Some(2), "{part}: {error}");
        assert!(error.contains("APP_DATABASE_URL") && error.contains(part), "{part}: {error}");
        assert!(!error.contains("a-pass") && !error.contains("a%2Dpass") && !error.contains(PASSWORD), "{error}");
    }
}

/// Somebody takes the connection, and says nothing.
#[tokio::test]
async fn a_start_that_waits_for_its_database_answers_the_probes_and_ends_when_it_is_told_to() {
    let silent = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("postgres://me@{}/items?sslmode=disable", silent.local_addr().unwrap());
    let patient = [("APP_DATABASE_WAIT", "1m"), ("APP_DATABASE_TIMEOUT", "1m"), ("APP_REQUEST_TIMEOUT", "10m")];
    let program = Program::start(&[&[("APP_DATABASE_URL", url.as_str())], &patient[..]].concat()).await;
    let asked = soon(silent.accept()).await.unwrap();
    assert_eq!(program.ask("GET", "/health/live", &[], "").await.status, 200);
    assert_eq!(program.ask("GET", "/health/ready", &[], "").await.status, 503);
    program.signal("TERM").await;
    assert_eq!(program.end().await.1, Some(0));
    drop(asked);
}

#[tokio::test]
async fn a_passfile_that_others_can_read_is_told() {
    use std::os::unix::fs::PermissionsExt;
    let folder = tempfile::tempdir().unwrap();
    let passfile = folder.path().join("passfile");
    std::fs::write(&passfile, "*:*:*:*:SECRET\n").unwrap();
    let url = format!("postgres://me@127.0.0.1:1/items?passfile={}", passfile.display());
    for (mode, told) in [(0o600, 0), (0o640, 1), (0o604, 1)] {
        std::fs::set_permissions(&passfile, std::fs::Permissions::from_mode(mode)).unwrap();
        let program = Program::start(&[("APP_DATABASE_URL", &url)]).await;
        program.signal("TERM").await;
        let (lines, code) = program.end().await;
        let about = |line: &&serde_json::Value| line["msg"].as_str().unwrap().contains("can read the passfile");
        assert_eq!((lines.iter().filter(about).count(), code), (told, Some(0)), "{mode:o}");
    }
}

/// The database is up, so nobody else says why it refuses what is asked of it.
#[tokio::test(flavor = "multi_thread")]
async fn why_the_database_refuses_a_statement_is_logged_once_for_each_reason() {
    let Some(server) = database::shared() else { return };
    let name = server.database().await;
    let program = Program::start(&[("APP_DATABASE_URL", &server.url(&name))]).await;
    let ready = async {
        while program.ask("GET", "/health/ready", &[], "").await.status != 200 {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    soon(ready).await;
    let session = server.session(&name).await;
    session.batch_execute("ALTER TABLE aiclipx_items RENAME TO gone").await.unwrap();
    for _ in 0..3 {
        assert!(is_refused(&program.ask("POST", "/items", &[JSON], ITEM).await));
    }
    session.batch_execute("ALTER TABLE gone RENAME TO aiclipx_items").await.unwrap();
    assert_eq!(program.ask("POST", "/items", &[JSON], ITEM).await.status, 201);
    session.batch_execute("ALTER TABLE aiclipx_items RENAME TO gone").await.unwrap();
    assert!(is_refused(&program.ask("POST", "/items", &[JSON], ITEM).await));
    program.signal("TERM").await;
    let (lines, code) = program.end().await;
    let refused: Vec<_> =
        lines.iter().filter(|line| line["msg"] == "The database is there, and refuses what it is asked.").collect();
    assert_eq!((refused.len(), code), (2, Some(0)), "{refused:#?}");
    // A new connection prepares what it will be asked; one that is there is asked.
    let told: Vec<_> = refused.iter().map(|line| line["refused"].as_str().unwrap()).collect();
    assert_eq!(told, ["connection", "insert"]);
    let is_named = |line: &&serde_json::Value| line["error"].as_str().unwrap().contains("aiclipx_items");
    assert!(refused.iter().all(is_named), "{refused:#?}");
}
