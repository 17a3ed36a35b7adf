//! Serves connections: HTTP/1.1, some of which become WebSockets.

use std::convert::Infallible;
use std::time::Duration;

use axum::Router;
use axum::extract::ConnectInfo;
use axum::response::Response;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::{Service as _, service_fn};
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;

use super::listener::{Caller, Connection, Listener};

/// A connection must bring the head of a request in so long, from its beginning or from the last answer on.
const HEAD_TIME: Duration = Duration::from_secs(10);
/// The longest head of a request. A join travels in its URL.
const HEAD_SIZE: usize = 128 << 10;

/// Serves what comes in, for ever.
pub async fn serve(mut listener: Listener, router: Router) {
    loop {
        let (connection, caller) = listener.accept().await;
        tokio::spawn(exchange(connection, caller, router.clone()));
    }
}

async fn exchange(connection: Connection, caller: Caller, router: Router) {
    let service = service_fn(move |mut request: hyper::Request<Incoming>| {
        request.extensions_mut().insert(ConnectInfo(caller));
        let router = TowerToHyperService::new(router.clone());
        async move {
            let answer: Result<Response, Infallible> = router.call(request).await;
            answer
        }
    });
    let served = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(HEAD_TIME)
        .max_buf_size(HEAD_SIZE)
        .serve_connection(TokioIo::new(connection), service)
        .with_upgrades()
        .await;
    if let Err(error) = served {
        log::debug!("{}: {error}", caller.address);
    }
}
