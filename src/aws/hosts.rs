//! Which hosts belong to the world of a run. A request to any other host is refused, whatever it asks.

use aws_types::SdkConfig;
use http::Uri;
use std::fmt;
use std::net::IpAddr;

/// The ends of AWS's host names, in all partitions that the SDK knows, dual stack included:
/// <https://docs.aws.amazon.com/general/latest/gr/rande.html>. A test compares them with the SDK's own list.
pub(super) const AWS_SUFFIXES: &[&str] = &[
    "amazonaws.com",
    "amazonaws.com.cn",
    "amazonaws.eu",
    "api.amazonwebservices.com.cn",
    "api.amazonwebservices.eu",
    "api.aws",
    "api.aws.hci.ic.gov",
    "api.aws.ic.gov",
    "api.aws.scloud",
    "api.cloud-aws.adc-e.uk",
    "c2s.ic.gov",
    "cloud.adc-e.uk",
    "csp.hci.ic.gov",
    "sc2s.sgov.gov",
];

/// Where the calls of a site go.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Hosts {
    /// AWS's own endpoints of the service in the site's region, and nothing else.
    Aws,
    /// The endpoint that was given, the sandbox's included.
    Endpoint(Uri),
    /// None: the endpoint that was given is no address.
    Nowhere,
}

impl Hosts {
    /// Those of a configuration.
    pub(super) fn of(config: &SdkConfig) -> Self {
        match config.endpoint_url().map(str::parse::<Uri>) {
            None => Self::Aws,
            Some(Ok(uri)) if uri.host().is_some() => Self::Endpoint(uri),
            Some(_) => Self::Nowhere,
        }
    }

    /// Whether a request for a service (its IAM prefix) in a region may go to this address.
    pub(super) fn admit(&self, service: &str, region: &str, address: &Uri) -> bool {
        let Some(host) = address.host().map(str::to_ascii_lowercase) else { return false };
        match self {
            Self::Aws => address.scheme_str() == Some("https") && is_aws(service, region, &host),
            Self::Endpoint(given) => {
                let same_door = address.scheme_str() == given.scheme_str()
                    && address.port_u16() == given.port_u16();
                let wanted = given.host().unwrap_or_default().to_ascii_lowercase();
                let bucket_before = || {
                    let bare = wanted.trim_start_matches('[').trim_end_matches(']');
                    service == "s3"
                        && bare.parse::<IpAddr>().is_err()
                        && host.strip_suffix(&wanted).is_some_and(|rest| rest.ends_with('.'))
                };
                same_door && (host == wanted || bucket_before())
            }
            Self::Nowhere => false,
        }
    }
}

impl fmt::Display for Hosts {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Aws => f.write_str("AWS for this service and region"),
            Self::Endpoint(uri) => write!(f, "the endpoint {}", uri.host().unwrap_or_default()),
            Self::Nowhere => f.write_str("the endpoint, which is no address"),
        }
    }
}

/// The name of a service in hosts, by its IAM prefix: another one for CloudWatch
/// (<https://docs.aws.amazon.com/general/latest/gr/cw_region.html>).
fn host_name(service: &str) -> &str {
    if service == "cloudwatch" { "monitoring" } else { service }
}

/// `rds.REGION.SUFFIX`, `rds-fips.…`, `s3.dualstack.REGION.SUFFIX`; for S3, a bucket before that.
fn is_aws(service: &str, region: &str, host: &str) -> bool {
    let service = host_name(service);
    let in_region = AWS_SUFFIXES.iter().filter_map(|suffix| {
        let rest = host.strip_suffix(suffix)?.strip_suffix('.')?;
        rest.strip_suffix(region)?.strip_suffix('.')
    });
    in_region.into_iter().any(|rest| {
        let rest = rest.strip_suffix(".dualstack").unwrap_or(rest);
        [service.to_owned(), format!("{service}-fips")].iter().any(|label| {
            let before = rest.strip_suffix(label.as_str());
            before == Some("")
                || (service == "s3"
                    && before.is_some_and(|bucket| bucket.len() > 1 && bucket.ends_with('.')))
        })
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn admits(hosts: &Hosts, service: &str, address: &str) -> bool {
        hosts.admit(service, "eu-west-1", &address.parse().unwrap())
    }

    #[test]
    fn a_call_to_aws_goes_to_its_own_service_and_region_only() {
        for (service, address) in [
            ("rds", "https://rds.eu-west-1.amazonaws.com/"),
            ("ec2", "https://ec2.eu-west-1.api.aws/"),
            ("kms", "https://kms-fips.eu-west-1.amazonaws.com/"),
            ("cloudwatch", "https://monitoring.eu-west-1.amazonaws.com/service/x/operation/y"),
            ("cloudwatch", "https://monitoring-fips.eu-west-1.amazonaws.com/"),
            ("s3", "https://s3.eu-west-1.amazonaws.com/b/k"),
            ("s3", "https://uploads.prod.s3.eu-west-1.amazonaws.com/k"),
            ("s3", "https://uploads.s3.dualstack.eu-west-1.amazonaws.com/k"),
            ("s3", "https://uploads.s3-fips.dualstack.eu-west-1.amazonaws.com/k"),
        ] {
            assert!(admits(&Hosts::Aws, service, address), "{address}");
        }
        for (service, address) in [
            ("rds", "http://rds.eu-west-1.amazonaws.com/"),
            ("rds", "https://rds.us-east-1.amazonaws.com/"),
            ("rds", "https://ec2.eu-west-1.amazonaws.com/"),
            ("rds", "https://x.rds.eu-west-1.amazonaws.com/"),
            ("rds", "https://rds.eu-west-1.amazonaws.com.example.com/"),
            ("rds", "https://rds.eu-west-1.example.com/"),
            ("rds", "https://rds.eu-west-1.notamazonaws.com/"),
            ("rds", "https://127.0.0.1/"),
            ("cloudwatch", "https://cloudwatch.eu-west-1.amazonaws.com/"),
            ("cloudwatch", "https://rds.eu-west-1.amazonaws.com/"),
            ("s3", "https://s3.amazonaws.com/b/k"),
            ("s3", "https://b.s3-accelerate.amazonaws.com/k"),
            ("s3", "https://.s3.eu-west-1.amazonaws.com/k"),
            ("s3", "https://bs3.eu-west-1.amazonaws.com/k"),
        ] {
            assert!(!admits(&Hosts::Aws, service, address), "{address}");
        }
    }

    #[test]
    fn with_an_endpoint_every_call_goes_there() {
        let hosts = Hosts::Endpoint("https://s3.eu-west-1.sandbox.invalid".parse().unwrap());
        assert!(admits(&hosts, "rds", "https://s3.eu-west-1.sandbox.invalid/"));
        assert!(admits(&hosts, "s3", "https://uploads.s3.eu-west-1.sandbox.invalid/key"));
        for (service, address) in [
            ("rds", "https://uploads.s3.eu-west-1.sandbox.invalid/"),
            ("rds", "https://rds.eu-west-1.amazonaws.com/"),
            ("rds", "http://s3.eu-west-1.sandbox.invalid/"),
            ("rds", "https://s3.eu-west-1.sandbox.invalid:444/"),
            ("s3", "https://xs3.eu-west-1.sandbox.invalid/"),
        ] {
            assert!(!admits(&hosts, service, address), "{address}");
        }
        let hosts = Hosts::Endpoint("http://127.0.0.1:5000".parse().unwrap());
        assert!(admits(&hosts, "s3", "http://127.0.0.1:5000/bucket/key"));
        assert!(!admits(&hosts, "s3", "http://bucket.127.0.0.1:5000/key"));
        assert!(!admits(&hosts, "s3", "http://127.0.0.1:5001/bucket/key"));
    }

    #[test]
    fn an_endpoint_that_is_no_address_admits_nothing() {
        let config = SdkConfig::builder().endpoint_url("not an address").build();
        assert_eq!(Hosts::of(&config), Hosts::Nowhere);
        assert!(!admits(&Hosts::Nowhere, "rds", "https://rds.eu-west-1.amazonaws.com/"));
    }
}
