//! `aiclipx-foreign`: how many of somebody else's files we read, and at a speed divide. For who develops the stack: it is in no
//! package.
//!
//! The files stay where they are, outside the repository: DIR has the folders `rules`, `tests`, `prometheus`, `alertmanager`,
//! `dashboards`, each with files in any depth, and `mixins`, where a test's rules may lie, too. What promtool and amtool say of a file is what we must say of it. Where several
//! releases are named, a file is right that one of them takes.

use std::path::PathBuf;
use std::process::ExitCode;

use aiclipx_model::failure::{Failure, print};
use aiclipx_tool::program;
use clap::Parser;

mod configuration;
mod dashboards;
mod judges;
mod table;
mod tested;

use configuration::Kind;
use judges::Judges;
use table::{Bar, Table};

/// Print how many of somebody else's files are read, and divided.
///
/// Exit codes: 0 every bar that was given is reached; 1 one is missed; 2 bad input or a missing tool; 130 interrupted.
#[derive(Parser)]
#[command(name = "aiclipx-foreign", version)]
struct Arguments {
    /// The folder of rules/, tests/, prometheus/, alertmanager/, dashboards/.
    #[arg(value_name = "DIR")]
    folder: PathBuf,
    /// The least share of a kind that must be read of what is no fault of the file: prometheus=34/36.
    #[arg(long = "bar", value_name = "KIND=SHARE")]
    bars: Vec<Bar>,
    /// Another promtool that is asked, too.
    #[arg(long, value_name = "FILE")]
    promtool: Vec<PathBuf>,
    /// Another amtool that is asked, too.
    #[arg(long, value_name = "FILE")]
    amtool: Vec<PathBuf>,
    /// How many files of a kind that come out wrong are named.
    #[arg(long, value_name = "N", default_value_t = 5)]
    show: usize,
}

#[tokio::main]
async fn main() -> ExitCode {
    let arguments = Arguments::parse();
    program::run("aiclipx-foreign", async |_| tell(&arguments)).await
}

fn tell(arguments: &Arguments) -> Result<ExitCode, Failure> {
    let judges = Judges::find(&arguments.promtool, &arguments.amtool)?;
    let mut tables: Vec<Table> = Vec::new();
    // Each at once: all of them take minutes.
    let mut told = |table: Table| {
        print(&table.text(arguments.show))?;
        tables.push(table);
        Ok::<(), Failure>(())
    };
    for kind in Kind::ALL {
        let mut table = configuration::table(&arguments.folder, kind, &judges)?;
        if kind == Kind::Tests {
            table.rows.push(tested::divided(&arguments.folder, &judges)?);
        }
        told(table)?;
    }
    told(dashboards::dashboards(&arguments.folder.join("dashboards"), &judges)?)?;
    let mut is_reached = true;
    for bar in &arguments.bars {
        let (reached, text) = bar.of(&tables)?;
        is_reached &= reached;
        print(&text)?;
    }
    Ok(ExitCode::from(u8::from(!is_reached)))
}
