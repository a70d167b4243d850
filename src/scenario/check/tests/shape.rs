use super::*;

#[test]
fn mistakes_of_shape_are_found_at_their_place() {
    one("owner: payments-sre", "ownr: payments-sre", "RD003", "ownr", "did you mean owner?");
    one("tier: 1", "tier: high", "RD005", "high", "a whole number");
    one("target: 4h", "target: 4", "RD007", "4", "90s, 15m, 4h");
    one("target: 4h", "target: 4 hours", "RD007", "4 hours", "4 hours");
    one(
        "kind: region_loss",
        "kind: region_los",
        "RD006",
        "region_los",
        "did you mean region_loss?",
    );
    one("name: orders-db\n", "name: Orders\n", "RD008", "Orders", "matches");
    one("redrill: 1", "redrill: 2", "RD009", "2", "at most 1");
    one("redrill: 1", "redrill: 2", "RD009", "2", "reads version 1 of the language");
    one("\"111111111111\"", "111111111111", "RD005", "111111111111", "quote it");
    one("attempts: 2", "attempts: 0", "RD009", "0", "at least 1");
    one("measure: data", "measure: [data]", "RD005", "measure", "text");
    one("lost: [primary]", "lost: primary", "RD005", "primary", "a list");
    one("max_resources: 2", "max_resources:", "RD005", "max_resources", "empty");
}

#[test]
fn missing_keys_are_named_with_what_they_are_for() {
    one(
        "title: Orders database, restored in the DR region from its copied snapshot\n",
        "",
        "RD004",
        "redrill",
        "has no title",
    );
    one("    uses: db.capture\n", "", "RD004", "id", "has no uses");
    one(
        "    with: { instance: orders-db }\n",
        "",
        "RD222",
        "id",
        "db.capture needs inputs: instance",
    );
    one("instance: orders-db", "", "RD222", "with", "db.capture needs the input instance");
}

#[test]
fn inputs_of_actions_are_checked_by_action() {
    one(
        "{ instance: orders-db }",
        "{ instance: orders-db, depth: 3 }",
        "RD221",
        "depth",
        "db.capture has no input depth",
    );
    one("multi_az: true", "multi_az: maybe", "RD005", "maybe", "true or false");
    one("storage: gp3", "storage: gp4", "RD006", "gp4", "did you mean gp3?");
    one("schedule: 24h", "schedule: daily", "RD007", "daily", "a duration");
    one("size: \"{{vars.size}}\"", "size: 20 gigs", "RD007", "20 gigs", "a size");
    one("uses: db.find", "uses: db.fnd", "RD202", "db.fnd", "did you mean db.find?");
    one(
        "{ from_env: PASSWORD }",
        "{ from_evn: PASSWORD }",
        "RD003",
        "from_evn",
        "did you mean from_env?",
    );
    one("{ from_env: PASSWORD }", "hunter2", "RD011", "hunter2", "none of its forms");
}

#[test]
fn alternatives_are_named() {
    let ask = "{{sites.dr.region}}?\" }";
    let with = |approver: &str| format!("{{{{sites.dr.region}}}}?\", approver: {approver} }}");
    assert!(changed(ask, &with("{ team: sre }")).is_empty());
    one(ask, &with("{}"), "RD004", "approver", "one of: person, team");
    one(ask, &with("{ team: a, person: b }"), "RD011", "approver", "only one of: person, team");
}
