//! The web page, embedded in the program.

use axum::http::header::{CACHE_CONTROL, CONTENT_TYPE};
use axum::http::{StatusCode, Uri};
use axum::response::{IntoResponse, Response};
use rust_embed::RustEmbed;

#[derive(RustEmbed)]
#[folder = "web/dist"]
#[allow_missing = true]
struct Page;

/// Shown by a program that was built without its page.
const NO_PAGE: &str = "<!doctype html><html lang=\"en\"><meta charset=\"utf-8\"><title>zegohub</title>\
    <p>zegohub is running, but it was built without its web page: run <code>make</code> to build both.</p></html>\n";

/// A file of the page; `/` is its index.
pub async fn serve(uri: Uri) -> Response {
    let path = match uri.path().trim_start_matches('/') {
        "" => "index.html",
        path => path,
    };
    match Page::get(path) {
        Some(file) => {
            // Names of files under assets/ change with their contents.
            let caching = if path.starts_with("assets/") { "public, max-age=31536000, immutable" } else { "no-cache" };
            let kind = file.metadata.mimetype().to_owned();
            ([(CONTENT_TYPE, kind), (CACHE_CONTROL, caching.to_owned())], file.data.into_owned()).into_response()
        }
        None if path == "index.html" => ([(CONTENT_TYPE, "text/html; charset=utf-8")], NO_PAGE).into_response(),
        None => (StatusCode::NOT_FOUND, "There is nothing here\n").into_response(),
    }
}
