// SPDX-License-Identifier: GPL-2.0

//! `unsafe-report [FOLDER [NAME=FOLDER]…]`: every `unsafe` below `src` or the folder named, and what
//! share of the code is in unsafe blocks; next to it the same numbers of other folders.

use std::path::{Path, PathBuf};
use std::process::ExitCode;
use unsafe_report::{search, File, Totals};

fn main() -> ExitCode {
    let mut arguments = std::env::args_os().skip(1);
    let folder = PathBuf::from(arguments.next().unwrap_or_else(|| "src".into()));
    let Some(files) = read(&folder) else {
        return ExitCode::FAILURE;
    };
    report(&files);
    for other in arguments {
        let other = other.to_string_lossy();
        let (name, folder) = other.split_once('=').unwrap_or((&other, &other));
        let Some(files) = read(Path::new(folder)) else {
            return ExitCode::FAILURE;
        };
        row(name, &files);
    }
    ExitCode::SUCCESS
}

/// The files of a folder, or `None` and why not.
fn read(folder: &Path) -> Option<Vec<File>> {
    match search(folder) {
        Ok(files) if !files.is_empty() => return Some(files),
        Ok(_) => eprintln!("unsafe-report: no Rust in {}", folder.display()),
        Err(error) => eprintln!("unsafe-report: {error}"),
    }
    None
}

fn report(files: &[File]) {
    for file in files {
        for found in &file.found {
            let lines = match found.lines {
                0 => String::new(),
                1 => "1 line".to_owned(),
                n => format!("{n} lines"),
            };
            let place = format!("{}:{}", file.path.display(), found.line);
            println!("{place:<28} {:<6} {lines}", found.kind);
        }
    }
    println!();
    println!(
        "{:<24} {:>6} {:>7} {:>5} {:>5} {:>8} {:>9} {:>7}",
        "file", "code", "blocks", "fns", "other", "per 100", "in blocks", "share"
    );
    let mut rows: Vec<_> = files.iter().filter(|f| !f.found.is_empty()).collect();
    rows.sort_by_key(|f| std::cmp::Reverse(f.code_in_blocks));
    for file in rows {
        row(&file.path.display().to_string(), [file]);
    }
    let (with, without): (Vec<_>, Vec<_>) = files.iter().partition(|f| !f.found.is_empty());
    row("files with unsafe", with);
    row("files without", without);
    row("all", files);
}

fn row<'a>(name: &str, files: impl IntoIterator<Item = &'a File>) {
    let totals = Totals::of(files);
    println!(
        "{name:<24} {:>6} {:>7} {:>5} {:>5} {:>8.1} {:>9} {:>6.1}%",
        totals.code,
        totals.blocks,
        totals.functions,
        totals.others,
        totals.per_hundred(),
        totals.code_in_blocks,
        totals.share(),
    );
}
