// SPDX-License-Identifier: GPL-2.0

//! `unsafe-report [FOLDER]`: every `unsafe` below `src` or the folder named, and what share of the
//! code is in unsafe blocks.

use std::path::PathBuf;
use std::process::ExitCode;
use unsafe_report::{search, File, Kind};

fn main() -> ExitCode {
    let folder = PathBuf::from(std::env::args_os().nth(1).unwrap_or_else(|| "src".into()));
    match search(&folder) {
        Ok(files) if !files.is_empty() => {
            report(&files);
            ExitCode::SUCCESS
        }
        Ok(_) => {
            eprintln!("unsafe-report: no Rust in {}", folder.display());
            ExitCode::FAILURE
        }
        Err(error) => {
            eprintln!("unsafe-report: {error}");
            ExitCode::FAILURE
        }
    }
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
        "{:<24} {:>6} {:>7} {:>5} {:>5} {:>9} {:>7}",
        "file", "code", "blocks", "fns", "other", "in blocks", "share"
    );
    let mut rows: Vec<_> = files.iter().filter(|f| !f.found.is_empty()).collect();
    rows.sort_by_key(|f| std::cmp::Reverse(f.code_in_blocks));
    for file in rows {
        row(&file.path.display().to_string(), &[file]);
    }
    let (with, without): (Vec<_>, Vec<_>) = files.iter().partition(|f| !f.found.is_empty());
    row("files with unsafe", &with);
    row("files without", &without);
    row("all", &files.iter().collect::<Vec<_>>());
}

fn row(name: &str, files: &[&File]) {
    let code: usize = files.iter().map(|f| f.code).sum();
    let inside: usize = files.iter().map(|f| f.code_in_blocks).sum();
    let all = || files.iter().flat_map(|f| &f.found);
    let blocks = all().filter(|u| u.kind == Kind::Block).count();
    let functions = all()
        .filter(|u| matches!(u.kind, Kind::Function | Kind::Extern))
        .count();
    let other = all().count() - blocks - functions;
    #[allow(clippy::cast_precision_loss)]
    let share = 100.0 * inside as f64 / code.max(1) as f64;
    println!(
        "{name:<24} {code:>6} {blocks:>7} {functions:>5} {other:>5} {inside:>9} {share:>6.1}%"
    );
}
