//! The long run of the simulation: as many seeds as wanted, and how many drills a second that makes.
//!
//! `cargo bench --bench sim -- --seeds 100000 [--from 1] [--scenario NAME] [--threads 2]`; `--seed N` runs one, which is how a
//! failure is reproduced; `--first` ends at the first failing seed; `--exhaustive` runs every single disturbance of the shipped scenarios. See `docs/simulation.md`.
#![expect(clippy::panic, reason = "a harness that cannot be set up ends")]
#![expect(clippy::print_stdout, clippy::print_stderr, reason = "the numbers are the result")]
#![expect(clippy::disallowed_methods, reason = "measures real time; ends with an exit code")]

#[path = "../tests/sim/mod.rs"]
mod harness;

use harness::campaign::{Campaign, campaign};
use harness::exhaustive::exhaust;
use harness::generate::texts;
use harness::subject::shipped_healthy;
use redrill::providers;
use std::process::ExitCode;
use std::time::Instant;

struct Wanted {
    campaign: Campaign,
    exhaustive: bool,
    show: bool,
}

fn wanted() -> Result<Wanted, String> {
    let mut campaign = Campaign { from: 1, seeds: 1000, scenario: None, threads: 2, enough: 20 };
    let (mut exhaustive, mut show) = (false, false);
    let mut arguments = std::env::args().skip(1);
    while let Some(argument) = arguments.next() {
        let mut value = || arguments.next().ok_or(format!("{argument} needs a value"));
        let number = |text: String| text.parse::<u64>().map_err(|why| format!("{text}: {why}"));
        match argument.as_str() {
            "--seeds" => campaign.seeds = number(value()?)?,
            "--from" => campaign.from = number(value()?)?,
            "--seed" => {
                campaign.from = number(value()?)?;
                campaign.seeds = 1;
                show = true;
            }
            "--scenario" => campaign.scenario = Some(value()?),
            "--threads" => campaign.threads = number(value()?)? as usize,
            "--first" => campaign.enough = 1,
            "--exhaustive" => exhaustive = true,
            // Cargo adds it.
            "--bench" => {}
            other => return Err(format!("{other} is not known")),
        }
    }
    Ok(Wanted { campaign, exhaustive, show })
}

fn main() -> ExitCode {
    let wanted = match wanted() {
        Ok(wanted) => wanted,
        Err(why) => {
            eprintln!("{why}; see the head of benches/sim.rs");
            return ExitCode::from(3);
        }
    };
    let good = if wanted.exhaustive { every_disturbance() } else { seeds(&wanted) };
    if good { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

fn seeds(wanted: &Wanted) -> bool {
    if wanted.show {
        let (scenario, estate, _) = texts(wanted.campaign.from);
        println!("{scenario}\n{estate}");
    }
    let began = Instant::now();
    let tell = |seed: u64| {
        if seed.is_multiple_of(1000) {
            eprintln!("seed {seed} after {:.0?}", began.elapsed());
        }
    };
    let outcome = campaign(&wanted.campaign, &tell);
    let took = began.elapsed().as_secs_f64();
    let scenario = wanted.campaign.scenario.as_ref();
    let of = scenario.map_or_else(String::new, |name| format!(" --scenario {name}"));
    for (seed, what) in &outcome.wrong {
        println!("seed {seed}: {what}\nagain: cargo bench --bench sim -- --seed {seed}{of}\n");
    }
    let runs = outcome.coverage.runs();
    let (steps, creating) = outcome.medians();
    println!("{}", outcome.coverage);
    println!(
        "{} seeds, {runs} drills in {took:.1} s: {:.0} a second with {} threads; median {steps} steps, {creating} of which \
         make things; {} seeds went wrong",
        wanted.campaign.seeds,
        runs as f64 / took,
        wanted.campaign.threads,
        outcome.wrong.len(),
    );
    let unkilled = outcome.coverage.unkilled();
    let long = wanted.campaign.seeds >= 5000 && wanted.campaign.scenario.is_none();
    if long && !unkilled.is_empty() {
        println!("no process died while these were written: {}", unkilled.join(" "));
    }
    outcome.wrong.is_empty() && (!long || unkilled.is_empty())
}

/// Scenario by scenario, each on a thread of its own.
fn every_disturbance() -> bool {
    let began = Instant::now();
    let registry = providers::registry();
    let count = shipped_healthy(&registry).len();
    let results: Vec<(String, usize, Vec<String>)> = std::thread::scope(|scope| {
        let one = |place: usize| {
            let registry = providers::registry();
            let subject = shipped_healthy(&registry).swap_remove(place);
            let (runs, wrong) = exhaust(&subject, &registry, usize::MAX);
            (subject.name, runs, wrong)
        };
        let threads: Vec<_> = (0..count).map(|n| scope.spawn(move || one(n))).collect();
        threads.into_iter().filter_map(|thread| thread.join().ok()).collect()
    });
    let mut good = results.len() == count;
    for (name, runs, wrong) in results {
        println!("{name}: {runs} runs, {} went wrong", wrong.len());
        for what in &wrong {
            println!("{what}");
        }
        good &= wrong.is_empty();
    }
    println!("after {:.1?}", began.elapsed());
    good
}
