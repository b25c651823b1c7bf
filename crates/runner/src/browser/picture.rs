//! A page as a picture or as a PDF.
//!
//! A login, error or empty page never becomes one: it is refused unless the document was answered with 200 (or read from a file)
//! and the last [`Page::wait_until`] still holds.

use std::path::Path;

use anyhow::anyhow;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};

use super::page::{POLL, Page};
use aiclipx_model::failure::Failure;

/// A page that never stops moving is taken as it is after so many pictures.
const SETTLE_ATTEMPTS: usize = 6;

impl Page {
    /// Writes a PNG of the viewport, or of the whole page whatever its length.
    ///
    /// Taken when two pictures in a row are the same, so that no half-drawn page is kept; a page that never stops
    /// moving is taken as it is.
    pub async fn picture(&mut self, path: &Path, full_page: bool) -> Result<(), Failure> {
        let bytes = self.png(full_page).await?;
        write(path, &bytes).await
    }

    /// The same, for who writes it: nothing lies anywhere before it is kept.
    pub async fn png(&mut self, full_page: bool) -> Result<Vec<u8>, Failure> {
        self.check_presentable().await?;
        if full_page {
            let metrics = self.call("Page.getLayoutMetrics", json!({})).await?;
            let height = metrics["cssContentSize"]["height"].as_f64().unwrap_or_default().ceil();
            // A whole number of at most five digits: beyond it, Chromium has no texture for it either.
            #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)]
            let height = height.clamp(f64::from(self.options.height), 32_000.0) as u32;
            self.resize(height).await?;
        }
        let taken = self.settled_picture().await;
        if full_page {
            self.resize(self.options.height).await?;
        }
        let bytes = taken?;
        // The picture shows what held a moment ago; if it no longer does, which of the two was taken is open.
        self.check_presentable().await?;
        Ok(bytes)
    }

    /// Writes a PDF: backgrounds printed, page size and margins from the page's own `@page`; in the lower margin of each
    /// page the title, and which of how many it is. The margin must have room for a line of 7 pt.
    pub async fn pdf(&mut self, path: &Path, title: &str) -> Result<(), Failure> {
        self.check_presentable().await?;
        let title = title.replace('&', "&amp;").replace('<', "&lt;");
        let footer = format!(
            "<div style=\"width:100%;margin:0 14mm;display:flex;justify-content:space-between;\
             font:7pt 'DejaVu Sans',sans-serif;color:#5b6675\"><span>{title}</span>\
             <span><span class=pageNumber></span> / <span class=totalPages></span></span></div>"
        );
        let settings = json!({
            "printBackground": true, "preferCSSPageSize": true, "displayHeaderFooter": true,
            "headerTemplate": "<span></span>", "footerTemplate": footer,
            "generateTaggedPDF": true, "generateDocumentOutline": true,
        });
        let answer = self.call("Page.printToPDF", settings).await?;
        let bytes = self.decoded(&answer)?;
        write(path, &bytes).await
    }

    async fn settled_picture(&mut self) -> Result<Vec<u8>, Failure> {
        let drawn = "document.fonts.ready.then(() => new Promise(done => \
            requestAnimationFrame(() => requestAnimationFrame(() => done(true)))))";
        let mut last = Value::Null;
        for _ in 0..SETTLE_ATTEMPTS {
            if let Err(reason) = self.evaluate(drawn).await? {
                return Err(self.failure(&format!("it can't be drawn: {reason}")));
            }
            let answer = self.call("Page.captureScreenshot", json!({ "format": "png" })).await?;
            let same = answer["data"] == last["data"];
            last = answer;
            if same {
                break;
            }
            tokio::time::sleep(POLL).await;
        }
        self.decoded(&last)
    }

    fn decoded(&self, answer: &Value) -> Result<Vec<u8>, Failure> {
        let text = answer["data"].as_str().unwrap_or_default();
        match STANDARD.decode(text).ok() {
            Some(bytes) if !bytes.is_empty() => Ok(bytes),
            _ => Err(self.failure("Chromium sent no picture")),
        }
    }

    /// Refuses what must not become a picture.
    async fn check_presentable(&mut self) -> Result<(), Failure> {
        match self.status() {
            Some(200) => {}
            Some(status) => return Err(self.failure(&format!("no picture of an answer with status {status}"))),
            None if self.url.starts_with("file:") => {}
            None => return Err(self.failure("no picture of a page nobody answered for")),
        }
        let Some(predicate) = self.document.held.clone() else {
            return Err(self.failure("no picture of a page that was not waited for, or went elsewhere since"));
        };
        if !matches!(self.evaluate(&predicate).await?, Ok(Value::Bool(true))) {
            return Err(self.failure("no picture: what it had to show is no longer there"));
        }
        if self.text().await?.trim().is_empty() {
            return Err(self.failure("no picture of a page without a word on it"));
        }
        self.check_alive()
    }
}

async fn write(path: &Path, bytes: &[u8]) -> Result<(), Failure> {
    let written = tokio::fs::write(path, bytes).await;
    written.map_err(|error| Failure::usage(anyhow!(error).context(format!("cannot write {}", path.display()))))
}
