//! Databases whose certificates would surely be refused on the day.

use super::context::Context;
use crate::scenario::diagnostic::Diagnostic;
use crate::scenario::expression::Template;
use crate::scenario::source::Node;

/// The services whose databases present certificates of Amazon's own authorities, which are not among the public ones.
/// <https://docs.aws.amazon.com/AmazonRDS/latest/UserGuide/UsingWithRDS.SSL.html>
const OWN_AUTHORITIES: [&str; 2] = ["rds.", "aurora."];

/// A connection to what a step of RDS or Aurora names, verified by the public authorities only.
pub(super) fn check(context: &Context<'_>, found: &mut Vec<Diagnostic>) {
    for step in &context.steps {
        let Some(with) = step.with.filter(|_| connects(step.action)) else { continue };
        let connections = [Some(with), with.get("source")];
        for connection in connections.into_iter().flatten() {
            if let Some(endpoint) = verified_in_vain(context, connection) {
                let message = format!(
                    "{} verifies the certificate of RDS by public authorities, which have not signed it",
                    step.name()
                );
                found.push(context.at("RD615", endpoint.span.clone(), message).help(
                    "download the bundle of Amazon's authorities before the day and name it beside the endpoint: tls: { ca: global-bundle.pem }",
                ));
            }
        }
    }
}

fn connects(action: Option<&crate::action::ActionEntry>) -> bool {
    action.is_some_and(|action| action.facts.name.starts_with("sql."))
}

/// The endpoint, where it comes from a step of RDS or Aurora and nothing says by what its certificate is verified.
fn verified_in_vain<'a>(context: &Context<'_>, connection: &'a Node) -> Option<&'a Node> {
    match connection.get("tls") {
        None => {}
        Some(tls) if tls.text() == Some("verify") => {}
        Some(_) => return None,
    }
    let endpoint = connection.get("endpoint")?;
    let template = Template::parse(endpoint.text()?).ok()?;
    let of_rds = template.references().into_iter().filter_map(|reference| {
        let (_, source) = context.step(reference.step()?)?;
        Some(source.action?.facts.name)
    });
    let mut of_rds =
        of_rds.filter(|name| OWN_AUTHORITIES.iter().any(|service| name.starts_with(service)));
    of_rds.next().map(|_| endpoint)
}
