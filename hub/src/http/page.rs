//! The web page, embedded in the program.

use axum::http::header::{
    CACHE_CONTROL, CONTENT_SECURITY_POLICY, CONTENT_TYPE, REFERRER_POLICY, X_CONTENT_TYPE_OPTIONS,
};
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

/// What the page may do: its own scripts and styles, no other site's, none written into the document; and connections to
/// whichever room server its form names. Nobody may frame it, because it asks for camera and microphone.
const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; connect-src ws: wss: http: https:; \
    img-src 'self'; media-src 'self' blob: mediastream:; base-uri 'none'; form-action 'none'; frame-ancestors 'none'";

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
            let headers = [
                (CONTENT_TYPE, kind.as_str()),
                (CACHE_CONTROL, caching),
                (CONTENT_SECURITY_POLICY, POLICY),
                (REFERRER_POLICY, "no-referrer"),
                (X_CONTENT_TYPE_OPTIONS, "nosniff"),
            ];
            (headers, file.data.into_owned()).into_response()
        }
        None if path == "index.html" => ([(CONTENT_TYPE, "text/html; charset=utf-8")], NO_PAGE).into_response(),
        None => (StatusCode::NOT_FOUND, "There is nothing here\n").into_response(),
    }
}
