//! Databases of RDS, and by what their certificates are verified.

use super::*;

const BUNDLE: &str = "      tls: { ca: global-bundle.pem }\n";

/// The steps of a shipped scenario that `redrill check` warns of when all of them protect their connections in this way.
fn warned_of(scenario: &str, tls: &str) -> Vec<String> {
    let path = format!("{}/scenarios/{scenario}", env!("CARGO_MANIFEST_DIR"));
    let text = std::fs::read_to_string(path).unwrap();
    assert!(text.matches(BUNDLE).count() >= 5, "{scenario} asks no databases any more");
    let source = Source::new("x.yaml", text.replace(BUNDLE, tls));
    let loaded = load_text(source, &crate::providers::registry());
    assert!(!loaded.has_errors(), "{}", loaded.render(false));
    let found = loaded.diagnostics.iter();
    found.map(|d| format!("{} {}", d.code, d.message.split(' ').next().unwrap())).collect()
}

#[test]
fn a_database_of_rds_that_is_verified_by_public_authorities_is_warned_of_before_it_is_restored() {
    for tls in ["", "      tls: verify\n", "      tls: \"verify\"\n"] {
        assert_eq!(
            warned_of("orders-db.yaml", tls),
            ["baseline", "data", "content", "write", "hydrated"]
                .map(|step| format!("RD615 {step}")),
            "{tls}"
        );
        let of_clusters = warned_of("payments-aurora.yaml", tls);
        assert!(of_clusters.contains(&"RD615 reader".to_owned()), "{of_clusters:?}");
    }
    for tls in [
        BUNDLE,
        "      tls: encrypt\n",
        "      tls: \"off\"\n",
        "      tls: { ca: \"{{inputs.last_drill}}\" }\n",
    ] {
        assert_eq!(warned_of("orders-db.yaml", tls), [""; 0], "{tls}");
    }
}

#[test]
fn a_database_that_no_step_of_rds_names_may_have_a_certificate_of_a_public_authority() {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/scenarios/orders-db.yaml");
    let text = std::fs::read_to_string(path).unwrap().replace(BUNDLE, "");
    let endpoint = "endpoint: \"{{steps.config.endpoint}}\"";
    assert_eq!(text.matches(endpoint).count(), 1);
    let proxy =
        text.replacen(endpoint, "endpoint: orders.proxy-x.ap-northeast-1.rds.amazonaws.com", 1);
    let found = load_text(Source::new("x.yaml", proxy), &crate::providers::registry()).diagnostics;
    assert!(!found.is_empty());
    assert!(found.iter().all(|d| d.code == "RD615" && !d.message.starts_with("baseline")));
}
