//! What is found before anything is run: approvers that anybody could choose, names that two scenarios have, networks that are not
//! the one that the drill wants.

use crate::program::Program;

#[test]
fn regression_two_scenarios_of_one_name_in_a_folder_are_refused() {
    let program = Program::new();
    let text = program.read("scenarios/orders-db.yaml");
    program.write("drills/a.yaml", &text);
    program.write("drills/b.yaml", &text);
    let ran = program.run(&["check", "drills", "--format", "json"]);
    let answer = ran.json();
    assert_eq!((ran.code, &answer["errors"]), (3, &1.into()), "{answer:#}");
    let found = &answer["diagnostics"];
    assert_eq!((&found[0]["code"], &found[0]["file"]), (&"RD013".into(), &"drills/b.yaml".into()));
    assert_eq!(found[0]["message"], "drills/a.yaml is named orders-db, too");
    let estate = ["--sandbox", "--estate", "scenarios/estates/orders-db.yaml"];
    let ran = program.run(&[&["run", "drills"][..], &estate].concat());
    ran.says(3, &["RD013", "drills/a.yaml is named orders-db, too", "nothing was run"]);
    assert!(!program.path("runs").exists());
    // Each by itself is what it was, and so is a copy in another folder.
    for one in [&["drills/a.yaml"][..], &["drills/b.yaml", "scenarios/orders-db.yaml"]] {
        let ran = program.run(&[&["check"][..], one].concat());
        assert_eq!(ran.code, 0, "{one:?}: {}", ran.stdout);
    }
}

const SWITCH: &str = "\
redrill: 1
name: switch
title: Traffic goes to the other region
owner: tests
disaster: { kind: corruption }
objectives: {}
guard: { external: [switch] }
inputs: { who: { type: text, default: approvers } }
steps:
  - id: ask
    uses: control.approve
    with: { ask: Go on?, within: 5m, second_person: true, signed_by: approvers }
  - id: switch
    uses: exec.run
    needs: [ask]
    with: { argv: [touch, switched], effect: external }
";

#[test]
fn regression_nobody_chooses_on_the_command_line_who_approves() {
    let program = Program::new();
    program.write("switch.yaml", SWITCH);
    let ran = program.run(&["check", "switch.yaml"]);
    assert_eq!(ran.code, 0, "{}", ran.stdout);
    program.write("switch.yaml", SWITCH.replacen("by: approvers", "by: \"{{inputs.who}}\"", 1));
    program.write("evil", "evil@example.com ssh-ed25519 AAAA\n");
    let ran = program.run(&["run", "switch.yaml", "--set", "who=evil"]);
    ran.says(3, &["RD609", "who approves switch is an expression in ask", "nothing was run"]);
    assert!(!program.path("switched").exists() && !program.path("runs").exists());
}

#[test]
fn regression_a_network_that_the_restore_refuses_fails_before_the_day() {
    let program = Program::new();
    for scenario in ["orders-db", "orders-db-point-in-time"] {
        let file = format!("scenarios/{scenario}.yaml");
        let ran = program.run(&["preflight", &file, "--sandbox", "--estate", "wrong-network"]);
        assert_eq!(ran.code, 1, "{scenario}: {}{}", ran.stdout, ran.stderr);
        for words in [
            "DB subnet group drill-isolated: would fail: the subnet group drill-isolated is in vpc-prod and not in vpc-drill",
            "security group sg-drill: would fail: the security group sg-drill is in vpc-prod and not in vpc-drill",
        ] {
            assert!(ran.stdout.contains(words), "{words}: {}", ran.stdout);
        }
        let ran = program.run(&["preflight", &file, "--sandbox"]);
        let words = "DB subnet group drill-isolated: there, in vpc-drill";
        assert!(ran.stdout.contains(words), "{}", ran.stdout);
    }
}
