//! What stands in a sweep's folder: read without a lock, so that anyone may look at any time, and written whole.

use std::path::{Path, PathBuf};

use pfgmpp_run::{RunError, RunFolder, check_config, read_result};
use pfgmpp_store::{check_writable, is_held, make_within, write_file, write_files};

use crate::report::{figures, is_own_figure, latex, markdown, render, summary_csv, to_png};
use crate::results::evaluations_csv;
use crate::{Plan, Status, SweepResult, judgements, report_of};

/// Sets in `table` how far the runs of `plan` in the folder `out` have come.
///
/// # Errors
///
/// A run of another configuration, a result that cannot be read.
pub(crate) fn read_rows(plan: &Plan, out: &Path, table: &mut SweepResult) -> Result<(), RunError> {
    for (point, row) in plan.points.iter().zip(&mut table.rows) {
        let path = out.join(&point.name);
        // What has failed or was stopped in this call is known better than its folder tells.
        if matches!(row.status, Status::Finished | Status::Failed) || !path.is_dir() {
            continue;
        }
        check_config(&point.config, &path)?;
        if let Some(result) = read_result(&point.config, &path)? {
            row.finish(result);
            row.skipped = true;
        } else if is_held(&path) {
            row.status = Status::Running;
            row.message = "another process is running it".to_string();
        } else if row.status == Status::Running {
            row.status = Status::Pending;
            row.message.clear();
        } else if row.status == Status::Pending && RunFolder::config_in(&path).exists() {
            row.status = Status::Interrupted;
            row.message = "started, but no process is running it".to_string();
        }
    }
    Ok(())
}

/// The folder of figures.
const FIGURES: &str = "figures";
/// What is written beside it.
const TABLES: [&str; 8] = [
    "references.json",
    "results.csv",
    "results.json",
    "summary.csv",
    "evaluations.csv",
    "results.md",
    "results.tex",
    "report.html",
];

/// Finds out before any run whether the tables and figures can be written into `out` in the end, where it is there.
///
/// # Errors
///
/// A file in place of the figures' folder, a folder in place of a file.
pub(crate) fn check_place(out: &Path) -> Result<(), RunError> {
    if !out.is_dir() {
        return Ok(());
    }
    for name in TABLES {
        let path = out.join(name);
        if path.is_dir() {
            let message = "is a folder, and a file of this name is written: move it away";
            let error = std::io::Error::new(std::io::ErrorKind::IsADirectory, message);
            return Err(RunError::io(&path)(error));
        }
    }
    let folder = out.join(FIGURES);
    // Also a link to nothing.
    if folder.symlink_metadata().is_err() {
        return Ok(());
    }
    Ok(make_within(out, &folder)?)
}

/// Finds out whether figures can be written into `out`, by trying it where their folder is there.
///
/// # Errors
///
/// What the file system says against it.
pub(crate) fn try_figures(out: &Path) -> Result<(), RunError> {
    let folder = out.join(FIGURES);
    match folder.is_dir() {
        true => check_writable(&folder).map_err(RunError::io(&folder)),
        false => Ok(()),
    }
}

/// Writes the table, and what is made of it: the report, its tables as text and its figures.
pub(crate) fn write_all(plan: &Plan, out: &Path, result: &SweepResult) -> Result<(), RunError> {
    result.write(out)?;
    let report = report_of(plan, result, out);
    let put = |name: &str, text: &str| {
        let path = out.join(name);
        write_file(&path, text.as_bytes()).map_err(RunError::io(&path))
    };
    put("summary.csv", &summary_csv(&judgements(result)))?;
    match evaluations_csv(result, &report) {
        Some(table) => put("evaluations.csv", &table)?,
        // That of an earlier call, which had some.
        None => drop(std::fs::remove_file(out.join("evaluations.csv"))),
    }
    put("results.md", &markdown(&report))?;
    put("results.tex", &latex(&report))?;
    let folder = out.join(FIGURES);
    make_within(out, &folder)?;
    let figures = figures(&report).into_iter();
    let mut files: Vec<(PathBuf, Vec<u8>)> = Vec::new();
    for (name, svg) in figures {
        let path = folder.join(format!("{name}.png"));
        let png = to_png(&svg).map_err(std::io::Error::other);
        files.push((path.clone(), png.map_err(RunError::io(&path))?));
        files.push((folder.join(name + ".svg"), svg.into_bytes()));
    }
    write_files(&files)?;
    remove_others(&folder, &files).map_err(RunError::io(&folder))?;
    put("report.html", &render(&report))
}

/// Removes figures of an earlier table that this one does not have: drawings that this program has made, which is told by their
/// beginning, and the pixels beside each.
fn remove_others(folder: &Path, files: &[(PathBuf, Vec<u8>)]) -> std::io::Result<()> {
    for entry in std::fs::read_dir(folder)? {
        let path = entry?.path();
        let is_figure = path.extension().is_some_and(|ending| ending == "svg");
        let is_old = is_figure && files.iter().all(|(written, _)| *written != path);
        if is_old && std::fs::read(&path).is_ok_and(|svg| is_own_figure(&svg)) {
            for path in [path.with_extension("png"), path] {
                match std::fs::remove_file(&path) {
                    // It has no pixels, or another call that ends just now was first.
                    Err(error) if error.kind() == std::io::ErrorKind::NotFound => {}
                    other => other?,
                }
            }
        }
    }
    Ok(())
}
