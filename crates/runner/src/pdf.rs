//! report.pdf: report.html as a browser prints it, with the bundle's name and the page's number on every page.
//!
//! The one file of a bundle that nothing can be derived from or held against: what it says is what report.html said when
//! it was printed. Without a browser there is none.

use std::path::Path;
use std::time::Duration;

use crate::browser::Browser;
use crate::browser::page::{PageOptions, file_url};
use aiclipx_judge::report::PDF;
use aiclipx_model::failure::Failure;

/// The window in which it is laid out before it is printed; the paper's size is the page's own to say.
const WINDOW: PageOptions = PageOptions { width: 1000, height: 1400, scale: 1.0 };

/// All pictures lie in the page itself: it is laid out by then, or not at all.
const LIMIT: Duration = Duration::from_secs(30);

/// Prints the report of a folder. Why there is none, where there is none: the report that counts is the page.
pub async fn print(folder: &Path, title: &str) -> Result<(), String> {
    let Some(program) = Browser::find() else { return Err("Chromium is not on PATH".to_owned()) };
    printed(&program, folder, title).await.map_err(|failure| failure.to_string())
}

async fn printed(program: &Path, folder: &Path, title: &str) -> Result<(), Failure> {
    let browser = Browser::start(program).await?;
    let mut page = browser.page(WINDOW).await?;
    page.open(&file_url(&folder.join("report.html"))).await?;
    page.wait_until("document.readyState === 'complete'", LIMIT).await?;
    page.pdf(&folder.join(PDF), title).await?;
    browser.close().await
}
