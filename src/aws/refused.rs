use crate::ids::SiteName;

/// Why the guard stopped a call. Nothing was sent.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refused {
    /// The site is lost.
    #[error("{operation} at {site} was refused: the site is lost since the disaster was declared")]
    SiteLost {
        /// The operation, as in IAM.
        operation: String,
        /// The lost site.
        site: SiteName,
    },
    /// The table does not know the operation.
    #[error("{operation} was refused: the guard does not know this operation")]
    UnknownOperation {
        /// The operation, as in IAM.
        operation: String,
    },
    /// The call would go to another region than the site's.
    #[error("{operation} at {site} was refused: it would go to {found}, the site is {wanted}")]
    OtherRegion {
        /// The operation, as in IAM.
        operation: String,
        /// The site.
        site: SiteName,
        /// The site's region.
        wanted: String,
        /// The region that would have been called.
        found: String,
    },
    /// The call would go to a host that does not belong to the world of the run.
    #[error("{operation} at {site} was refused: {host} is no host of {world}")]
    OtherHost {
        /// The operation, as in IAM.
        operation: String,
        /// The site.
        site: SiteName,
        /// The host that would have been called.
        host: String,
        /// Where the calls of the run belong: `AWS`, or the endpoint that was given.
        world: String,
    },
    /// What the call would change cannot be read off it.
    #[error("{operation} at {site} was refused: {why}")]
    Unclear {
        /// The operation, as in IAM.
        operation: String,
        /// The site.
        site: SiteName,
        /// What is unclear.
        why: String,
    },
    /// Nothing may be changed at this time: no run is under way.
    #[error("{operation} at {site} was refused: only reading is allowed here")]
    ReadOnly {
        /// The operation, as in IAM.
        operation: String,
        /// The site.
        site: SiteName,
    },
    /// It would change something that is not the run's own.
    #[error("{operation} at {site} was refused: {resource} {why}")]
    NotOurs {
        /// The operation, as in IAM.
        operation: String,
        /// The site.
        site: SiteName,
        /// What would have been changed: kind, and name or id.
        resource: String,
        /// Why it is not the run's own.
        why: String,
    },
}
