// SPDX-License-Identifier: GPL-2.0
//! `wg pubkey`.

use super::help;
use crate::error::{Failure, Result};
use crate::input::{only_key, read_all, NoKey};
use crate::key::{base64_complaint, PublicKey, BASE64_LEN};
use crate::terminal::Output;
use crate::value::is_space;
use std::fs::File;
use std::io::Write;
use std::os::fd::AsFd;

/// Runs the command.
pub fn run(args: &[&[u8]]) -> Result<()> {
    if !args.is_empty() {
        return Err(help::usage("pubkey < FILE"));
    }
    // Around std's own buffer, which is never wiped.
    let fail = |error| Failure::os("wg: unable to read the key from standard input", &error);
    let stdin = std::io::stdin()
        .as_fd()
        .try_clone_to_owned()
        .map_err(fail)?;
    let data = read_all(&mut File::from(stdin)).map_err(fail)?;
    let public = public_key(&data).map_err(|reason| Failure::new(format!("wg: {reason}")))?;
    let mut out = Output::default();
    let _ = writeln!(out, "{public}");
    out.finish()
}

/// The public key for the private key in `data`.
fn public_key(data: &[u8]) -> std::result::Result<PublicKey, String> {
    let wrong = |word| {
        let complaint = base64_complaint(word);
        format!("Key is not the correct length or format: {complaint}")
    };
    let key = only_key(data, |byte| byte == 0 || is_space(byte));
    let key = key.map_err(|reason| match reason {
        NoKey::Short => wrong(data.trim_ascii()),
        NoKey::Followed => "Trailing characters found after key".into(),
        NoKey::NotBase64 => wrong(data.get(..BASE64_LEN).unwrap_or(data)),
    })?;
    Ok(key.public())
}

#[cfg(test)]
mod tests {
    use super::*;

    const KEY: &str = "qNO3/AAtC49xVUHYE1k/37egjsDgkb8Lrk8RU0H7hEo=";

    #[test]
    fn input_forms() {
        for rest in ["", "\n", " \n\0\t"] {
            let public = public_key(format!("{KEY}{rest}").as_bytes()).unwrap();
            assert_eq!(
                public.to_string(),
                "YtYKSMZRJK7ip74EWf2hnFeYvLPO5VaEalH4wIqDOCY="
            );
        }
        for bad in ["", "x", "\n", &KEY[1..]] {
            assert!(public_key(bad.as_bytes()).is_err());
        }
        assert!(public_key(format!("{KEY}x").as_bytes()).is_err());
        assert!(public_key(format!(" {KEY}").as_bytes()).is_err());
    }
}
