//! What can be looked at before the day of a drill, so that somebody hears of it on the day: hooks.

use crate::action::{Probe, ProbeVerdict};
use crate::outside::{Given, Outside};
use crate::scenario::Hook;

/// Looks for the programs and the variables of hooks. Nothing is started, and nobody is told.
pub fn look_at_hooks(outside: &dyn Outside, hooks: &[Hook]) -> Vec<Probe> {
    hooks.iter().flat_map(|hook| look(outside, hook)).collect()
}

fn look(outside: &dyn Outside, hook: &Hook) -> Vec<Probe> {
    let named = format!("hook {}", hook.describe());
    if outside.is_rehearsal() {
        return vec![Probe::not_before(named, "a rehearsal tells nobody")];
    }
    let telling = Probe::not_before(&*named, "people are told on the day only");
    let program = hook.run.as_ref().and_then(|argv| argv.first()).map(|name| {
        let help = "install it, make it executable, or correct run; look from the folder and as the user of the drill";
        Probe::of_program(outside, name, None, help)
    });
    let url = || hook.post.as_ref().and_then(Given::variable).map(|name| url(outside, name));
    let of_the_hook = program
        .or_else(url)
        .map(|probe| Probe { what: format!("{named}: {}", probe.what), ..probe });
    of_the_hook.into_iter().chain([telling]).collect()
}

/// A variable that holds the URL of a webhook, of which nothing is shown: whoever has it can post.
fn url(outside: &dyn Outside, name: &str) -> Probe {
    let probe = Probe::of_variable(outside, name);
    let is_url = |text: &str| {
        reqwest::Url::parse(text).is_ok_and(|url| ["http", "https"].contains(&url.scheme()))
    };
    match outside.environment(name) {
        Ok(url) if !is_url(url.reveal()) => {
            let why = format!("{name} holds no address that begins with http:// or https://");
            Probe { verdict: ProbeVerdict::fails(why, "set it to the URL of the webhook"), ..probe }
        }
        _ => probe,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::outside::fake::FakeOutside;
    use crate::outside::real::RealOutside;

    fn hook(json: &str) -> Hook {
        serde_json::from_str(json).unwrap()
    }

    fn why_failed(probe: &Probe) -> Option<&str> {
        match &probe.verdict {
            ProbeVerdict::Fails { why, .. } => Some(why),
            _ => None,
        }
    }

    #[test]
    fn regression_a_hook_that_could_tell_nobody_is_found_before_the_day() {
        let outside = RealOutside::new("unused");
        let hooks = [
            hook(r#"{"on": ["failed"], "run": ["redrill-no-such-tool"]}"#),
            hook(r#"{"on": ["failed"], "run": ["sh", "-c", "true"]}"#),
            hook(r#"{"on": ["failed"], "post": {"from_env": "REDRILL_TEST_NEVER_SET"}}"#),
            hook(r#"{"on": ["failed"], "post": "https://hooks.example/x"}"#),
        ];
        let probes = look_at_hooks(&outside, &hooks);
        let failed: Vec<_> = probes
            .iter()
            .filter(|probe| why_failed(probe).is_some())
            .map(|probe| &*probe.what)
            .collect();
        let wanted = [
            "hook redrill-no-such-tool: program redrill-no-such-tool",
            "hook POST to the URL in REDRILL_TEST_NEVER_SET: environment variable REDRILL_TEST_NEVER_SET",
        ];
        assert_eq!(failed, wanted);
        let works = |probe: &&Probe| matches!(probe.verdict, ProbeVerdict::Works(_));
        assert_eq!(probes.iter().filter(works).count(), 1, "sh: {probes:#?}");
        let later = |probe: &&Probe| matches!(probe.verdict, ProbeVerdict::NotBefore(_));
        assert_eq!(probes.iter().filter(later).count(), hooks.len(), "{probes:#?}");
    }

    #[test]
    fn what_is_no_address_is_said_without_showing_it() {
        let mut outside = FakeOutside::default();
        outside.environment.insert("HOOK".into(), "hooks.example/secret".into());
        let hooks = [hook(r#"{"on": ["failed"], "post": {"from_env": "HOOK"}}"#)];
        let probes = look_at_hooks(&outside, &hooks);
        let why = why_failed(&probes[0]).unwrap();
        assert!(why.starts_with("HOOK holds no address"), "{why}");
        assert!(!format!("{probes:?}").contains("secret"), "{probes:?}");
        outside.environment.insert("HOOK".into(), "https://hooks.example/secret".into());
        let probes = look_at_hooks(&outside, &hooks);
        assert_eq!(probes[0].verdict, ProbeVerdict::works("set"));
    }

    #[test]
    fn a_rehearsal_looks_at_no_hook() {
        let outside = FakeOutside { is_rehearsal: true, ..FakeOutside::default() };
        let hooks = [hook(r#"{"on": ["failed"], "post": {"from_env": "HOOK"}}"#)];
        let probes = look_at_hooks(&outside, &hooks);
        let [probe] = probes.as_slice() else { panic!("{probes:#?}") };
        assert_eq!(probe.verdict, ProbeVerdict::NotBefore("a rehearsal tells nobody".to_owned()));
    }
}
