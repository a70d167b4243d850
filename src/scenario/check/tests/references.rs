use super::*;

#[test]
fn references_are_checked_before_anything_runs() {
    one(
        "{{steps.point.arn}}\"\n      class",
        "{{steps.pint.arn}}\"\n      class",
        "RD110",
        "steps.pint.arn",
        "did you mean point?",
    );
    one(
        "{{steps.restore.endpoint}}",
        "{{steps.restore.endpiont}}",
        "RD111",
        "steps.restore.endpiont",
        "did you mean endpoint?",
    );
    one("{{vars.class}}", "{{vars.clas}}", "RD112", "vars.clas", "did you mean class?");
    one("{{inputs.wait}}\"\n", "{{inputs.wiat}}\"\n", "RD113", "inputs.wiat", "did you mean wait?");
    one("{{sites.dr.region}}", "{{sites.dr.role}}", "RD114", "sites.dr.role", "region");
    one("{{run.id}}", "{{run.started}}", "RD114", "run.started", "run.id");
    one("{{run.id}}", "{{step.id}}", "RD103", "step.id", "did you mean steps?");
    one(
        "{{vars.class}}",
        "{{#if vars.class}}a{{/if}}",
        "RD101",
        "{{#if vars.class}}a{{/if}}",
        "not part of the language",
    );
    one(
        "owner: payments-sre",
        "owner: \"{{vars.class}}\"",
        "RD102",
        "{{vars.class}}",
        "no expression",
    );
    one(
        "name: orders }",
        "name: \"{{vars.class}}\" }",
        "RD103",
        "vars.class",
        "a variable cannot use",
    );
    one(
        "{{steps.restore.endpoint}}",
        "{{steps.restore}}",
        "RD111",
        "steps.restore",
        "a step, not a value",
    );
}

#[test]
fn regression_a_reference_or_need_of_a_later_phase_comes_with_the_way_out() {
    let help = "write phase: prepare for point, or phase: recover for config";
    let reference = "{ instance: \"{{steps.point.arn}}\" }";
    one("{ instance: orders-db }", reference, "RD116", "steps.point.arn", help);
    let need = "    phase: prepare\n    needs: [point]\n";
    one("    phase: prepare\n", need, "RD116", "point", help);
}

#[test]
fn phases_and_conditions_of_referenced_steps_are_checked() {
    one(
        "{ instance: orders-db }",
        "{ instance: \"{{steps.point.arn}}\" }",
        "RD116",
        "steps.point.arn",
        "phase prepare",
    );
    let when = "    uses: db.find\n    when: \"{{inputs.deep}}\"\n";
    let found = changed("    uses: db.find\n", when);
    assert_eq!(found.len(), 2, "{found:#?}");
    assert!(
        found
            .iter()
            .all(|(code, place, _)| (*code, place.as_str()) == ("RD115", "steps.point.arn"))
    );
}

#[test]
fn values_must_fit_where_they_are_used() {
    one(
        "{{default steps.config.port 5432}}\"\n",
        "{{steps.point.arn}}\"\n",
        "RD117",
        "steps.point.arn",
        "a whole number",
    );
    one("{{inputs.wait}}\"\n", "{{inputs.suffix}}\"\n", "RD117", "inputs.suffix", "a duration");
    one(
        "port: \"{{default steps.config.port 5432}}\"\n",
        "port: \"1{{steps.config.port}}\"\n",
        "RD117",
        "1{{steps.config.port}}",
        "a whole number",
    );
    one(
        "multi_az: true",
        "multi_az: \"{{lower inputs.suffix}}\"",
        "RD117",
        "{{lower inputs.suffix}}",
        "true or false",
    );
    one("\"{{vars.name}}-", "\"{{steps.config.tags}}-", "RD118", "steps.config.tags", "a mapping");
    one(
        "when: \"{{inputs.deep}}\"",
        "when: \"{{inputs.suffix}}\"",
        "RD117",
        "inputs.suffix",
        "true or false",
    );
    one("when: \"{{inputs.deep}}\"", "when: yes", "RD117", "yes", "true or false");
    let found = changed("groups: [sg-drill]", "groups: sg-drill");
    assert_eq!(found.len(), 1, "{found:?}");
    assert!(found[0].2.contains("in mode drill") && found[0].0 == "RD117");
}

#[test]
fn modes_and_inputs_agree_with_their_declarations() {
    one("size: 40 GiB, ", "", "RD501", "size", "mode recovery has no variable size");
    one("default: false", "default: no", "RD502", "no", "true or false");
    one("default: 20m", "default: 20", "RD502", "20", "a duration");
}

#[test]
fn regression_a_part_that_a_variable_does_not_have_is_found_at_its_place() {
    let class = "class: \"{{vars.class}}\"";
    let words = "in mode drill, vars.class has no family";
    one(class, "class: \"{{vars.class.family}}\"", "RD117", "vars.class.family", words);
    one(class, "class: \"x-{{vars.groups}}\"", "RD117", "{{vars.groups}}", "a list cannot");
    one(class, "class: \"{{not vars.class}}\"", "RD117", "{{not vars.class}}", "true or false");
    let when = "{{inputs.deep}}";
    one(when, "{{not vars.class}}", "RD117", "{{not vars.class}}", "not true or false");
    let name = "\"drill-{{inputs.suffix}}\"";
    one(
        name,
        "\"drill-{{not inputs.suffix}}\"",
        "RD117",
        "{{not inputs.suffix}}",
        "not true or false",
    );
}

#[test]
fn regression_a_lost_site_is_found_behind_an_expression() {
    let secret = "{ secret: orders/readonly, at: dr }";
    let by_expression =
        |site: &str| format!("{{ secret: orders/readonly, at: '{{{{str \"{site}\"}}}}' }}");
    one(secret, &by_expression("primary"), "RD211", "{{str \"primary\"}}", "lost by then");
    one(secret, &by_expression("drr"), "RD203", "{{str \"drr\"}}", "did you mean dr?");
    assert!(changed(secret, &by_expression("dr")).is_empty());
}
