//! The HTML report in a real browser.

use crate::server_support::{Drills, Ended, end, repository, succeed, variable};
use serde_json::Value;
use std::path::{Path, PathBuf};
use std::process::Command;

/// What the browser asks for on its own account, whatever the page is.
const OF_THE_BROWSER: [&str; 5] = [
    "clients2.google.com/time/",
    "accounts.google.com/ListAccounts",
    "update.googleapis.com/service/update2/",
    "edgedl.me.gvt1.com/",
    "www.google.com/async/",
];

/// What became of a page.
struct Seen {
    dom: String,
    /// Messages of scripts and of the browser about the page.
    console: Vec<String>,
    /// Addresses other than files that the page made the browser ask for.
    requests: Vec<String>,
}

fn look_at(page: &Path, folder: &Path) -> Seen {
    let network = folder.join("network.json");
    let profile = tempfile::tempdir_in(folder).unwrap();
    let mut command = Command::new(variable("REDRILL_TEST_CHROMIUM"));
    command.args([
        "--headless",
        "--no-sandbox",
        "--disable-gpu",
        "--disable-quic",
        "--no-first-run",
    ]);
    command.args(["--disable-background-networking", "--disable-component-update"]);
    command.args(["--disable-sync", "--window-size=1280,800", "--enable-logging=stderr", "--v=0"]);
    command.arg(format!("--user-data-dir={}", profile.path().display()));
    command.arg(format!("--log-net-log={}", network.display()));
    command.arg("--dump-dom").arg(format!("file://{}", page.display())).env("HOME", folder);
    let Ended { code, stdout, stderr } = end(&mut command);
    assert_eq!(code, Some(0), "{stderr}");
    let console = stderr.lines().filter(|line| line.contains("CONSOLE")).map(str::to_owned);
    Seen { dom: stdout, console: console.collect(), requests: requests(&network) }
}

fn requests(log: &Path) -> Vec<String> {
    let log: Value = serde_json::from_str(&std::fs::read_to_string(log).unwrap()).unwrap();
    let started = &log["constants"]["logEventTypes"]["URL_REQUEST_START_JOB"];
    assert!(started.is_u64(), "the log of the network has another form");
    let events = log["events"].as_array().unwrap().iter().filter(|one| one["type"] == *started);
    let addresses = events.filter_map(|one| one["params"]["url"].as_str());
    let foreign = addresses.filter(|url| {
        let local = ["file:", "data:", "about:", "chrome:", "blob:"];
        !local.iter().any(|scheme| url.starts_with(scheme))
            && !OF_THE_BROWSER.iter().any(|own| url.contains(own))
    });
    foreign.map(str::to_owned).collect()
}

/// The report of a rehearsal.
fn report(drills: &Drills) -> PathBuf {
    let mut rehearse = drills.program();
    rehearse.args(["run", "--sandbox", "--quiet"]).arg(repository("scenarios/orders-db.yaml"));
    succeed(&mut rehearse);
    drills.path("runs/orders-db-0001/report.html")
}

fn write(drills: &Drills, name: &str, text: &str) -> PathBuf {
    let path = drills.path(name);
    std::fs::write(&path, text).unwrap();
    path
}

#[test]
fn server_the_report_opens_in_a_browser_without_errors_and_without_the_network() {
    let drills = Drills::new();
    let seen = look_at(&report(&drills), &drills.path(""));
    assert!(seen.dom.contains("not evidence of recovery"));
    assert!(seen.dom.contains("id=\"objectives\"") && seen.dom.contains("</html>"));
    assert_eq!(seen.console, Vec::<String>::new());
    assert_eq!(seen.requests, Vec::<String>::new());
    // The two assertions above can fail.
    let bad = write(
        &drills,
        "bad.html",
        "<!doctype html><img src='http://127.0.0.1:9/pixel.png'><script>missing()</script>",
    );
    let seen = look_at(&bad, &drills.path(""));
    assert!(seen.console.iter().any(|line| line.contains("missing is not defined")));
    assert_eq!(seen.requests, ["http://127.0.0.1:9/pixel.png"]);
}

/// A page that shows another one at 1280x800 and writes down where its verdict is.
fn measuring(report: &str) -> String {
    let inside = report.replace('&', "&amp;").replace('"', "&quot;");
    format!(
        "<!doctype html><meta charset=\"utf-8\"><body style=\"margin:0\">\
         <iframe width=\"1280\" height=\"800\" style=\"border:0\" srcdoc=\"{inside}\"></iframe>\
         <pre id=\"measured\"></pre><script>addEventListener('load', () => {{\
         const page = document.querySelector('iframe').contentDocument;\
         const verdict = page.querySelector('.verdict');\
         const box = verdict.getBoundingClientRect();\
         const top = page.elementFromPoint(box.x + box.width / 2, box.y + box.height / 2);\
         document.getElementById('measured').textContent = 'MEASURED' + JSON.stringify({{\
         top: box.top, bottom: box.bottom, left: box.left, right: box.right,\
         uncovered: verdict.contains(top), text: verdict.innerText,\
         wide: page.documentElement.scrollWidth}}) + 'END';}});</script></body>"
    )
}

fn measured(seen: &Seen) -> Value {
    let rest = seen.dom.split("MEASURED{").nth(1).unwrap_or_else(|| panic!("{:?}", seen.console));
    let json = format!("{{{}", rest.split("END").next().unwrap());
    serde_json::from_str(&json.replace("&amp;", "&").replace("&lt;", "<").replace("&gt;", ">"))
        .unwrap()
}

#[test]
fn server_the_verdict_is_seen_without_scrolling() {
    let drills = Drills::new();
    let text = std::fs::read_to_string(report(&drills)).unwrap();
    let page = write(&drills, "measuring.html", &measuring(&text));
    let found = measured(&look_at(&page, &drills.path("")));
    let number = |name: &str| found[name].as_f64().unwrap();
    assert!(number("top") >= 0.0 && number("bottom") <= 800.0, "{found}");
    assert!(number("left") >= 0.0 && number("right") <= 1280.0, "{found}");
    assert!(number("bottom") - number("top") > 40.0, "{found}");
    assert_eq!(found["uncovered"], true);
    let said = found["text"].as_str().unwrap().to_lowercase();
    assert!(said.contains("rehearsal") && said.contains("not evidence of recovery"), "{said}");
    assert!(number("wide") <= 1280.0, "the page must be scrolled sideways: {found}");
    // Far down it is not seen.
    let far = text.replacen("<main", "<div style=\"height:2000px\"></div><main", 1);
    let far = write(&drills, "far.html", &measuring(&far));
    let found = measured(&look_at(&far, &drills.path("")));
    assert!(found["top"].as_f64().unwrap() > 800.0, "{found}");
}
