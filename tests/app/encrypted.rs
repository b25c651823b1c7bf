//! The way to the database, as `sslmode` asks for it: encrypted or not, from whom, and whose.

use crate::database::{PASSWORD, Server};
use crate::harness::App;
use crate::program::run;
use aiclipx_app::database_url::DatabaseUrl;
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};

/// A port that nobody has now.
fn free_port() -> u16 {
    std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port()
}

fn encoded(password: &str) -> String {
    utf8_percent_encode(password, NON_ALPHANUMERIC).to_string()
}

#[tokio::test(flavor = "multi_thread")]
async fn the_way_is_as_sslmode_says_or_the_start_ends_with_2() {
    let port = free_port();
    let Some(server) = Server::with_tls(port) else { return };
    let name = server.database().await;
    let data = server.folder().join("data");
    let url = |host: &str, rest: &str| {
        let rest = rest.replace("ROOT", data.join("root.crt").to_str().unwrap());
        let rest = rest.replace("OTHER", data.join("other.crt").to_str().unwrap());
        format!("postgres://tester:{}@{host}:{port}/{name}?{rest}", encoded(PASSWORD))
    };
    let session = server.session("postgres").await;
    for (host, rest, encrypted) in [
        ("127.0.0.1", "sslmode=disable", false),
        ("127.0.0.1", "sslmode=prefer", true),
        ("127.0.0.1", "", true),
        ("127.0.0.1", "sslmode=require", true),
        ("127.0.0.1", "sslmode=verify-ca&sslrootcert=ROOT", true),
        ("localhost", "sslmode=verify-full&sslrootcert=ROOT", true),
    ] {
        let mut app = App::with(|config| config.database = Some(DatabaseUrl::parse(&url(host, rest)).unwrap())).await;
        assert_eq!(app.get("/items").await.status, 200, "{rest}");
        let ways =
            "SELECT bool_and(ssl), bool_or(ssl) FROM pg_stat_ssl JOIN pg_stat_activity USING (pid) WHERE datname = $1";
        let ways = session.query_one(ways, &[&name]).await.unwrap();
        assert_eq!((ways.get::<_, bool>(0), ways.get::<_, bool>(1)), (encrypted, encrypted), "{host} {rest}");
        app.tell_to_stop();
        app.stopped().await;
        let left = "SELECT count(*) FROM pg_stat_activity WHERE datname = $1";
        while session.query_one(left, &[&name]).await.unwrap().get::<_, i64>(0) > 0 {}
    }
    for (host, rest) in [
        ("127.0.0.1", "sslmode=verify-full&sslrootcert=ROOT"),
        ("127.0.0.1", "sslmode=verify-ca&sslrootcert=OTHER"),
        ("127.0.0.1", "sslmode=require&sslrootcert=OTHER"),
        ("localhost", "sslmode=verify-full&sslrootcert=OTHER"),
    ] {
        let settings = [("APP_DATABASE_URL", &*url(host, rest)), ("PORT", "0"), ("APP_ADMIN_LISTEN", "127.0.0.1:0")];
        let (code, _, error) = run(&[], &settings).await;
        assert_eq!(code, Some(2), "{host} {rest}: {error}");
        assert!(error.contains("certificate"), "{host} {rest}: {error}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_database_without_tls_is_refused_where_tls_is_asked_for() {
    let port = free_port();
    let Some(server) = Server::start(&["listen_addresses=127.0.0.1", &format!("port={port}")]) else { return };
    let name = server.database().await;
    let place = format!("postgres://tester:{}@127.0.0.1:{port}/{name}", encoded(PASSWORD));
    let app = App::with(|config| config.database = Some(DatabaseUrl::parse(&place).unwrap())).await;
    assert_eq!(app.get("/items").await.status, 200, "prefer takes what there is");
    let url = format!("{place}?sslmode=require");
    let settings = [("APP_DATABASE_URL", &*url), ("PORT", "0"), ("APP_ADMIN_LISTEN", "127.0.0.1:0")];
    let (code, _, error) = run(&[], &settings).await;
    assert_eq!(code, Some(2), "{error}");
    assert!(error.contains("sslmode"), "{error}");
}
