// SPDX-License-Identifier: GPL-2.0
//! `wg show`.

use super::{help, show_transit};
use crate::backend;
use crate::error::{escape, quote, Failure, Result};
use crate::field::Field;
use crate::json::{self, DeviceJson, Wanted};
use crate::metrics;
use crate::model::Device;
use crate::pretty::Pretty;
use crate::terminal::Output;
use std::io::Write;

/// How it is printed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Form {
    /// For people, or in lines.
    Text,
    Json,
    /// Of Prometheus.
    Metrics,
}

/// Runs the command.
pub fn run(args: &[&[u8]]) -> Result<()> {
    let (form, args) = take_form(args)?;
    match (&args[..], form) {
        ([] | [b"all"], Form::Metrics) => metrics(None),
        ([] | [b"all"], Form::Json) => json_of_all(None),
        ([] | [b"all"], Form::Text) => show_all(None),
        ([b"all", field], Form::Json) => json_of_all(Some(field)),
        ([b"all", field], Form::Text) => show_all(Some(field)),
        ([b"interfaces"], Form::Json) => json_of_interfaces(),
        ([b"interfaces"], Form::Text) => interfaces(),
        ([b"interfaces", ..], _) => Err(usage()),
        // With a field it is an interface: wg-quick(8) asks so for those it
        // sets up, whatever their name.
        ([b"transit"], Form::Json) => show_transit::json(),
        ([b"transit"], Form::Text) => show_transit::run(),
        ([b"-h" | b"--help" | b"help"], Form::Text) => {
            usage().report();
            Ok(())
        }
        ([name], Form::Metrics) => metrics(Some(name)),
        ([name], Form::Json) => json_of_one(name, None),
        ([name], Form::Text) => show_one(name, None),
        ([name, field], Form::Json) => json_of_one(name, Some(field)),
        ([name, field], Form::Text) => show_one(name, Some(field)),
        _ => Err(usage()),
    }
}

/// Takes `--json` or `--metrics` out of the words, wherever it stands.
fn take_form<'a>(args: &[&'a [u8]]) -> Result<(Form, Vec<&'a [u8]>)> {
    let mut form = Form::Text;
    let mut rest = Vec::with_capacity(args.len());
    for &word in args {
        let wanted = match word {
            b"--json" => Form::Json,
            b"--metrics" => Form::Metrics,
            _ => {
                rest.push(word);
                continue;
            }
        };
        if form != Form::Text {
            return Err(usage());
        }
        form = wanted;
    }
    Ok((form, rest))
}

fn usage() -> Failure {
    help::usage(&format!(
        "show [{{ DEV | all | interfaces | transit }} [{}]] [--json | --metrics]",
        Field::NAMES.join(" | ")
    ))
}

fn field(word: &[u8]) -> Result<Field> {
    Field::parse(word).ok_or_else(|| {
        Failure::new(format!("Invalid parameter: {}", quote(word))).and(usage().lines.concat())
    })
}

fn interfaces() -> Result<()> {
    let mut out = Output::default();
    let names = backend::list()?;
    if !names.is_empty() {
        let _ = out.write_all(&names.join(&b' '));
        let _ = out.write_all(b"\n");
    }
    out.finish()
}

fn show_one(name: &[u8], word: Option<&[u8]>) -> Result<()> {
    let device = backend::get(name, "Unable to access interface")?;
    let mut out = Output::default();
    // What cannot be written is told at the end.
    let _ = match word {
        None => Pretty::new().print(&mut out, &device),
        Some(word) => field(word)?.print(&mut out, &device, None),
    };
    out.finish()
}

/// Shows every device that can be read.
fn show_all(word: Option<&[u8]>) -> Result<()> {
    let mut out = Output::default();
    // A field that is none is no mistake where there is no device.
    let mut mistake = None;
    let read = each_device(|device, is_last| {
        let _ = match word.map(field) {
            Some(Ok(field)) => field.print(&mut out, &device, Some(&device.name)),
            Some(Err(failure)) => {
                mistake = Some(failure);
                Ok(())
            }
            None => Pretty::new().print(&mut out, &device),
        };
        if word.is_none() && !is_last {
            let _ = out.write_all(b"\n");
        }
    })?;
    out.finish()?;
    mistake.map_or(read, Err)
}

/// Hands over every device that can be read, and whether it is the last.
/// Tells of the others, and fails in the end if there are only such.
fn each_device(mut take: impl FnMut(Device, bool)) -> Result<Result<()>> {
    let names = backend::list()?;
    let mut failed = !names.is_empty();
    for (index, name) in names.iter().enumerate() {
        let what = format!("Unable to access interface {}", escape(name));
        match backend::get(name, &what) {
            Ok(device) => {
                take(device, index + 1 == names.len());
                failed = false;
            }
            Err(failure) => failure.report(),
        }
    }
    Ok(if failed {
        Err(Failure::silent(1))
    } else {
        Ok(())
    })
}

fn wanted(word: Option<&[u8]>) -> Result<Wanted> {
    Ok(Wanted {
        field: word.map(field).transpose()?,
        secrets: Pretty::new().secrets,
    })
}

fn json_of_one(name: &[u8], word: Option<&[u8]>) -> Result<()> {
    let wanted = wanted(word)?;
    let device = &backend::get(name, "Unable to access interface")?;
    json::print(&DeviceJson { device, wanted })
}

fn json_of_all(word: Option<&[u8]>) -> Result<()> {
    let wanted = wanted(word)?;
    let mut list = json::List::default();
    let read = each_device(|device, _| {
        let device = &device;
        list.push(&DeviceJson { device, wanted });
    })?;
    list.finish()?;
    read
}

fn json_of_interfaces() -> Result<()> {
    let names = backend::list()?;
    let names = names.iter().map(|name| String::from_utf8_lossy(name));
    json::print(&names.collect::<Vec<_>>())
}

/// Prints the metrics of a device or of all that can be read, which stand together by metric.
fn metrics(name: Option<&[u8]>) -> Result<()> {
    let mut devices = Vec::new();
    let read = match name {
        Some(name) => {
            devices.push(backend::get(name, "Unable to access interface")?);
            Ok(())
        }
        None => each_device(|device, _| devices.push(device))?,
    };
    let mut out = Output::default();
    let _ = metrics::print(&mut out, &devices);
    out.finish()?;
    read
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_form_may_stand_anywhere() {
        for args in [&[&b"--json"[..], b"wg0"][..], &[b"wg0", b"--json"]] {
            let (form, rest) = take_form(args).unwrap();
            assert_eq!((form, &rest[..]), (Form::Json, &[&b"wg0"[..]][..]));
        }
        let (form, rest) = take_form(&[b"wg0", b"peers"]).unwrap();
        assert_eq!((form, rest.len()), (Form::Text, 2));
        assert!(take_form(&[b"--json", b"--metrics"]).is_err());
        assert!(take_form(&[b"--json", b"--json"]).is_err());
    }

    #[test]
    fn metrics_have_no_fields() {
        for args in [
            &[&b"wg0"[..], b"peers", b"--metrics"][..],
            &[b"transit", b"--metrics"],
            &[b"interfaces", b"--metrics"],
            &[b"all", b"peers", b"--metrics"],
        ] {
            assert!(run(args).is_err());
        }
    }
}
