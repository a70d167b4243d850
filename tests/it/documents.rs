//! What the documents say is what the program does.
//!
//! Of the README and of every page in `docs/`, in the order in which they stand on a page:
//! - a block ```` ```yaml scenario NAME ```` must be a sound scenario, and is there as the file NAME for what follows;
//!   the same goes for ```` ```yaml estate NAME ````, and, unread, for ```` ```sh file NAME ```` and ```` ```yaml file NAME ````;
//! - a block ```` ```console ```` is run: each line that starts with `$ ` by a shell that finds the built `redrill`; the
//!   lines below it are the expected output, both streams together. `...` in a line stands for any text, `...` as a
//!   whole line for any lines;
//! - links to other files of this repository lead somewhere, to a heading where they name one.
//!
//! The commands of one page run in one new folder, in which `scenarios/` is that of the repository.

use redrill::sandbox::Estate;
use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// README, the other pages at the top, and `docs/*.md`.
fn pages() -> Vec<PathBuf> {
    let markdown = |folder: PathBuf| {
        let entries = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
        entries.filter(|path| path.extension().is_some_and(|e| e == "md")).collect::<Vec<_>>()
    };
    let mut pages = [markdown(root().to_owned()), markdown(root().join("docs"))].concat();
    pages.sort();
    pages
}

/// A fenced block of a page.
struct Block {
    /// Where it begins, from 1.
    line: usize,
    /// What stands behind the opening fence.
    kind: String,
    text: String,
}

/// The fenced blocks of a page, and the page without them (empty lines instead, so that line numbers stay).
fn split(page: &str) -> (Vec<Block>, String) {
    let mut blocks: Vec<Block> = Vec::new();
    let mut prose = String::new();
    let mut inside = false;
    for (number, line) in page.lines().enumerate() {
        match (line.strip_prefix("```"), inside) {
            (Some(kind), false) => {
                inside = true;
                let kind = kind.trim().to_owned();
                blocks.push(Block { line: number + 1, kind, text: String::new() });
            }
            (Some(_), true) => inside = false,
            (None, true) => writeln!(blocks.last_mut().unwrap().text, "{line}").unwrap(),
            (None, false) => prose.push_str(line),
        }
        prose.push('\n');
    }
    assert!(!inside, "a block is not closed");
    (blocks, prose)
}

/// A command of a console block and what it is expected to print.
struct Example {
    command: String,
    expected: Vec<String>,
}

fn examples(block: &str) -> Vec<Example> {
    let mut examples: Vec<Example> = Vec::new();
    let mut goes_on = false;
    for line in block.lines() {
        if goes_on {
            let last = examples.last_mut().unwrap();
            write!(last.command, "\n{line}").unwrap();
        } else if let Some(command) = line.strip_prefix("$ ") {
            examples.push(Example { command: command.to_owned(), expected: Vec::new() });
        } else {
            let last = examples.last_mut().expect("a console block begins with a command");
            last.expected.push(line.to_owned());
            continue;
        }
        goes_on = line.ends_with('\\');
    }
    examples
}

/// Runs a command in a shell that finds `redrill`; gives what it printed.
fn shell(command: &str, folder: &Path) -> String {
    let program = Path::new(env!("CARGO_BIN_EXE_redrill"));
    let programs = program.parent().unwrap().display();
    let output = Command::new("bash")
        .args(["-c", &format!("exec 2>&1\nPATH='{programs}':\"$PATH\"\n{command}")])
        .current_dir(folder)
        .env("NO_COLOR", "1")
        .env_remove("REDRILL_RUNS")
        .output()
        .unwrap();
    String::from_utf8(output.stdout).unwrap()
}

/// Whether text fits a pattern in which `...` stands for anything.
fn line_fits(pattern: &str, text: &str) -> bool {
    let mut parts = pattern.split("...");
    let first = parts.next().unwrap_or_default();
    let Some(mut rest) = text.strip_prefix(first) else { return false };
    let parts: Vec<&str> = parts.collect();
    let Some((last, between)) = parts.split_last() else { return rest.is_empty() };
    for part in between {
        let Some(at) = rest.find(part) else { return false };
        rest = &rest[at + part.len()..];
    }
    rest.ends_with(last)
}

/// Whether lines fit a pattern in which a line `...` stands for any lines.
fn lines_fit(pattern: &[String], lines: &[&str]) -> bool {
    match (pattern.split_first(), lines.split_first()) {
        (None, None) => true,
        (Some((any, rest)), _) if any == "..." => {
            (0..=lines.len()).any(|skipped| lines_fit(rest, &lines[skipped..]))
        }
        (Some((wanted, pattern)), Some((line, lines))) => {
            line_fits(wanted, line.trim_end()) && lines_fit(pattern, lines)
        }
        _ => false,
    }
}

fn run_console_block(block: &Block, folder: &Path) -> Result<(), String> {
    for example in examples(&block.text) {
        let printed = shell(&example.command, folder);
        let lines: Vec<&str> = printed.trim_end().lines().collect();
        if !lines_fit(&example.expected, &lines) {
            let expected = example.expected.join("\n");
            let command = &example.command;
            return Err(format!("$ {command}\n-- expected:\n{expected}\n-- printed:\n{printed}"));
        }
    }
    Ok(())
}

/// Does what a block asks for. `Ok(false)`: it is not one of those that are tried.
fn try_block(block: &Block, folder: &Path) -> Result<bool, String> {
    let words: Vec<&str> = block.kind.split_whitespace().collect();
    match words.as_slice() {
        ["console"] => run_console_block(block, folder)?,
        ["yaml", "scenario", name] => {
            fs::write(folder.join(name), &block.text).unwrap();
            let printed = shell(&format!("redrill check {name}"), folder);
            if printed.trim() != "0 errors, 0 warnings in 1 scenario" {
                return Err(printed);
            }
        }
        ["yaml", "estate", name] => {
            fs::write(folder.join(name), &block.text).unwrap();
            Estate::read(name, &block.text).map_err(|error| error.to_string())?;
        }
        ["sh" | "yaml", "file", name] => fs::write(folder.join(name), &block.text).unwrap(),
        [] | ["text" | "sh" | "yaml" | "json" | "rust"] => return Ok(false),
        _ => return Err(format!("nobody knows what to do with a block of {:?}", block.kind)),
    }
    Ok(true)
}

#[test]
fn every_example_of_the_documents_does_what_they_say() {
    let mut tried = 0;
    let mut wrong = Vec::new();
    for page in pages() {
        let folder = tempfile::tempdir().unwrap();
        std::os::unix::fs::symlink(root().join("scenarios"), folder.path().join("scenarios"))
            .unwrap();
        let (blocks, _) = split(&fs::read_to_string(&page).unwrap());
        for block in &blocks {
            match try_block(block, folder.path()) {
                Ok(counts) => tried += usize::from(counts),
                Err(why) => wrong.push(format!("{}:{}\n{why}", page.display(), block.line)),
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n\n"));
    assert!(tried >= 20, "only {tried} examples were found: are they still marked?");
}

/// Targets of the links and pictures in a text, with their line, from 1.
fn links(prose: &str) -> Vec<(usize, String)> {
    let mut found = Vec::new();
    for (number, line) in prose.lines().enumerate() {
        for after in line.split("](").skip(1) {
            let target = after.split(')').next().unwrap_or_default();
            found.push((number + 1, target.to_owned()));
        }
    }
    found
}

/// The names by which headings of a page can be linked to: lower case, hyphens for spaces, no punctuation.
fn anchors(prose: &str) -> Vec<String> {
    let headings = prose.lines().filter(|line| line.starts_with('#'));
    let name = |line: &str| {
        let text = line.trim_start_matches('#').trim().to_lowercase();
        let kept = text.chars().filter(|c| c.is_alphanumeric() || " -_".contains(*c));
        kept.map(|c| if c == ' ' { '-' } else { c }).collect::<String>()
    };
    headings.map(name).collect()
}

fn follow(page: &Path, target: &str) -> Result<(), String> {
    let (file, anchor) = target.split_once('#').unwrap_or((target, ""));
    let file = if file.is_empty() { page.to_owned() } else { page.parent().unwrap().join(file) };
    if !file.exists() {
        return Err(format!("there is no {}", file.display()));
    }
    if anchor.is_empty() {
        return Ok(());
    }
    let (_, prose) = split(&fs::read_to_string(&file).unwrap());
    match anchors(&prose).iter().any(|known| known == anchor) {
        true => Ok(()),
        false => Err(format!("{} has no heading #{anchor}", file.display())),
    }
}

#[test]
fn every_link_between_the_documents_leads_somewhere() {
    let mut followed = 0;
    let mut wrong = Vec::new();
    for page in pages() {
        let (_, prose) = split(&fs::read_to_string(&page).unwrap());
        for (line, target) in links(&prose) {
            if target.contains("://") || target.starts_with("mailto:") {
                continue;
            }
            followed += 1;
            if let Err(why) = follow(&page, &target) {
                wrong.push(format!("{}:{line}: {why}", page.display()));
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    assert!(followed >= 10, "only {followed} links were found");
}

#[test]
fn an_example_whose_output_differs_is_noticed() {
    let pattern = |text: &str| text.lines().map(str::to_owned).collect::<Vec<_>>();
    let printed = ["run 1", "took 24m", "passed"];
    assert!(lines_fit(&pattern("run 1\n...\npassed"), &printed));
    assert!(lines_fit(&pattern("run 1\ntook ...m\npassed\n..."), &printed));
    assert!(!lines_fit(&pattern("run 1\n...\nfailed"), &printed));
    assert!(!lines_fit(&pattern("run 1\ntook ...h\npassed"), &printed));
    assert!(!lines_fit(&pattern("run 1"), &printed));
    assert!(!lines_fit(&pattern(""), &printed));
    let block = Block { line: 1, kind: "console".into(), text: "$ echo one\ntwo\n".into() };
    assert!(try_block(&block, root()).unwrap_err().contains("-- printed:\none"));
}
