// SPDX-License-Identifier: GPL-2.0

//! Finds every `unsafe` in a folder of Rust source.
//!
//! Files are read as tokens, not as syntax, so that what a macro's definition holds is found like
//! anything else, and what only comments or strings say is not.

use proc_macro2::{Delimiter, TokenStream, TokenTree};
use std::collections::BTreeSet;
use std::fmt;
use std::path::{Path, PathBuf};

/// What an `unsafe` stands before.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// A block that does what the compiler cannot check.
    Block,
    /// A function that its callers have to use with care.
    Function,
    /// The promise that a type keeps a trait's rules.
    Impl,
    /// A trait with such rules.
    Trait,
    /// Functions of another language.
    Extern,
    /// The type of a function pointer, an attribute, or anything else.
    Other,
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Block => "block",
            Self::Function => "fn",
            Self::Impl => "impl",
            Self::Trait => "trait",
            Self::Extern => "extern",
            Self::Other => "other",
        })
    }
}

/// One `unsafe`.
#[derive(Clone, Debug)]
pub struct Unsafe {
    /// The line, counted from 1, on which it stands.
    pub line: usize,
    /// What it stands before.
    pub kind: Kind,
    /// The lines of a block, all of them; 0 for the other kinds.
    pub lines: usize,
    /// Whether a comment says why it is sound, or what a caller has to see to.
    pub argued: bool,
}

/// A file, and what was found in it.
#[derive(Clone, Debug)]
pub struct File {
    /// Where it is, relative to the folder that was searched.
    pub path: PathBuf,
    /// Lines that hold code: no blank ones, and none of comments only.
    pub code: usize,
    /// Lines of code inside of unsafe blocks.
    pub code_in_blocks: usize,
    /// Each `unsafe`, by line.
    pub found: Vec<Unsafe>,
}

/// What is in some files together.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Totals {
    /// Lines that hold code.
    pub code: usize,
    /// Lines of code inside of unsafe blocks.
    pub code_in_blocks: usize,
    /// Unsafe blocks.
    pub blocks: usize,
    /// Functions that are unsafe, of other languages too.
    pub functions: usize,
    /// Every other `unsafe`.
    pub others: usize,
}

impl Totals {
    /// Adds files up.
    pub fn of<'a>(files: impl IntoIterator<Item = &'a File>) -> Self {
        let mut totals = Self::default();
        for file in files {
            totals.code += file.code;
            totals.code_in_blocks += file.code_in_blocks;
            for found in &file.found {
                *match found.kind {
                    Kind::Block => &mut totals.blocks,
                    Kind::Function | Kind::Extern => &mut totals.functions,
                    _ => &mut totals.others,
                } += 1;
            }
        }
        totals
    }

    /// How often there is an `unsafe` in a hundred lines of code.
    pub fn per_hundred(&self) -> f64 {
        self.in_hundred(self.blocks + self.functions + self.others)
    }

    /// How many of a hundred lines of code are inside of unsafe blocks.
    pub fn share(&self) -> f64 {
        self.in_hundred(self.code_in_blocks)
    }

    #[allow(clippy::cast_precision_loss)]
    fn in_hundred(&self, n: usize) -> f64 {
        100.0 * n as f64 / self.code.max(1) as f64
    }
}

/// Why a folder could not be read.
#[derive(Debug)]
pub enum Error {
    /// A file or folder cannot be read.
    Read(walkdir::Error),
    /// A file cannot be read.
    Open(PathBuf, std::io::Error),
    /// A file is not Rust.
    Parse(PathBuf, proc_macro2::LexError),
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Read(error) => error.fmt(f),
            Self::Open(path, error) => write!(f, "{}: {error}", path.display()),
            Self::Parse(path, error) => write!(f, "{}: {error}", path.display()),
        }
    }
}

impl std::error::Error for Error {}

/// Reads every `.rs` file below `folder`.
pub fn search(folder: &Path) -> Result<Vec<File>, Error> {
    let mut files = Vec::new();
    for entry in walkdir::WalkDir::new(folder).sort_by_file_name() {
        let entry = entry.map_err(Error::Read)?;
        if entry.path().extension().is_none_or(|e| e != "rs") || !entry.file_type().is_file() {
            continue;
        }
        let text = std::fs::read_to_string(entry.path())
            .map_err(|e| Error::Open(entry.path().to_owned(), e))?;
        let path = entry.path().strip_prefix(folder).unwrap_or(entry.path());
        files.push(read(path, &text)?);
    }
    Ok(files)
}

/// Reads the text of one file.
pub fn read(path: &Path, text: &str) -> Result<File, Error> {
    let tokens: TokenStream = text.parse().map_err(|e| Error::Parse(path.to_owned(), e))?;
    let lines: Vec<&str> = text.lines().collect();
    let mut walk = Walk {
        lines: &lines,
        code: BTreeSet::new(),
        in_blocks: BTreeSet::new(),
        found: Vec::new(),
    };
    walk.tokens(tokens, false);
    Ok(File {
        path: path.to_owned(),
        code: walk.code.len(),
        code_in_blocks: walk.in_blocks.len(),
        found: walk.found,
    })
}

struct Walk<'a> {
    lines: &'a [&'a str],
    code: BTreeSet<usize>,
    in_blocks: BTreeSet<usize>,
    found: Vec<Unsafe>,
}

impl Walk<'_> {
    fn tokens(&mut self, tokens: TokenStream, in_block: bool) {
        let mut tokens = tokens.into_iter().peekable();
        let mut block_follows = false;
        while let Some(token) = tokens.next() {
            if is_comment(&token, tokens.peek()) {
                // Lexed as `#[doc = "…"]`; what it holds is no code.
                if let Some(TokenTree::Punct(_)) = tokens.peek() {
                    tokens.next();
                }
                tokens.next();
                continue;
            }
            let in_block = in_block || block_follows;
            let span = token.span();
            self.line(span.start().line, in_block);
            self.line(span.end().line, in_block);
            block_follows = false;
            match token {
                TokenTree::Ident(word) if word == "unsafe" => {
                    let (kind, lines) = match tokens.peek() {
                        Some(TokenTree::Group(group)) if group.delimiter() == Delimiter::Brace => {
                            block_follows = true;
                            let span = group.span();
                            let lines = span.end().line - span.start().line + 1;
                            (Kind::Block, lines)
                        }
                        Some(TokenTree::Ident(next)) => (kind_of(&next.to_string()), 0),
                        _ => (Kind::Other, 0),
                    };
                    let line = span.start().line;
                    let argued = is_argued(self.lines, line);
                    self.found.push(Unsafe {
                        line,
                        kind,
                        lines,
                        argued,
                    });
                }
                TokenTree::Group(group) => self.tokens(group.stream(), in_block),
                _ => {}
            }
        }
    }

    fn line(&mut self, line: usize, in_block: bool) {
        self.code.insert(line);
        if in_block {
            self.in_blocks.insert(line);
        }
    }
}

fn kind_of(word: &str) -> Kind {
    match word {
        "fn" => Kind::Function,
        "impl" => Kind::Impl,
        "trait" => Kind::Trait,
        // `unsafe extern "C" fn` is a function as well.
        "extern" => Kind::Extern,
        _ => Kind::Other,
    }
}

/// Whether `token` begins a doc comment, which the lexer gives as an attribute with the span of
/// the comment.
fn is_comment(token: &TokenTree, next: Option<&TokenTree>) -> bool {
    let TokenTree::Punct(hash) = token else {
        return false;
    };
    let attribute = match next {
        Some(TokenTree::Group(group)) => Some(group),
        // An inner one has a `!` between, and the comment's whole span on each token.
        Some(TokenTree::Punct(bang)) if bang.as_char() == '!' => None,
        _ => return false,
    };
    hash.as_char() == '#'
        && hash
            .span()
            .source_text()
            .is_some_and(|t| t.starts_with("//") || t.starts_with("/*"))
        && attribute.is_none_or(|g| g.delimiter() == Delimiter::Bracket)
}

/// Whether the comment or the documentation right above `line` has the argument that is due. What
/// stands between may be attributes, the rest of the statement, or another `unsafe` that the same
/// comment argues for.
fn is_argued(lines: &[&str], line: usize) -> bool {
    let above = lines.iter().take(line).rev();
    let mut code_between = 0;
    for text in above {
        let text = text.trim_start();
        if text.contains("SAFETY:") || text.contains("# Safety") {
            return true;
        }
        let comment = text.starts_with("//") || text.starts_with("#[");
        if !comment {
            code_between += 1;
        }
        // The statement may begin a few lines further up.
        if code_between > 6 || text.is_empty() {
            return false;
        }
    }
    false
}
