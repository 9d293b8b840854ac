//! Who is given which certificate for the cluster, and for how long.
//!
//! A certificate of Kubernetes cannot be taken back, so each one ends by itself, soon. It names a person and one
//! group; what that group may do is bound to a role that Kubernetes comes with. The groups are ours alone, and the
//! name has a prefix, so that nobody is taken for a part of the cluster or for somebody else.

use faros_model::api::ClusterRole;
use jiff::SignedDuration;

/// What the names of our users and groups begin with.
const PREFIX: &str = "faros:";

/// No certificate is good for less: clocks differ, and people type.
pub const SHORTEST: SignedDuration = SignedDuration::from_mins(5);

/// A name of Kubernetes may be longer; a person's need not.
const MAX_NAME: usize = 63;

/// For how long a certificate of this role may be good.
pub const fn longest(role: ClusterRole) -> SignedDuration {
    match role {
        ClusterRole::View | ClusterRole::Edit | ClusterRole::Admin => SignedDuration::from_hours(24 * 7),
        ClusterRole::ClusterAdmin => SignedDuration::from_hours(24),
    }
}

/// The group that is bound to a role, all over the cluster.
pub fn group(role: ClusterRole) -> String {
    format!("{PREFIX}{role}")
}

/// What a certificate is to say.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Terms {
    /// Common name: the user, to Kubernetes.
    pub user: String,
    /// Organization: the group.
    pub group: String,
    /// For how long.
    pub lifetime: SignedDuration,
}

/// Why there is no such certificate.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum NoTerms {
    /// The name is none.
    #[error(
        "`{0}` cannot be a person's name in a certificate: 1 to 63 of letters, digits, `.`, `-`, `_`, `@` and `+`"
    )]
    Name(String),
    /// It would be good for too short a time.
    #[error("a certificate is good for {} minutes at least", SHORTEST.as_mins())]
    TooShort,
    /// It would be good for too long.
    #[error("a certificate of the role {role} is good for {hours} hours at most, since it cannot be taken back", hours = longest(*role).as_hours())]
    TooLong {
        /// For this role.
        role: ClusterRole,
    },
}

/// Decides what a certificate says.
///
/// # Errors
/// Why there is none.
pub fn terms(user: &str, role: ClusterRole, seconds: u32) -> Result<Terms, NoTerms> {
    let fits = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '-' | '_' | '@' | '+');
    if user.is_empty() || user.len() > MAX_NAME || !user.chars().all(fits) {
        return Err(NoTerms::Name(user.chars().take(MAX_NAME).collect()));
    }
    let lifetime = SignedDuration::from_secs(seconds.into());
    if lifetime < SHORTEST {
        return Err(NoTerms::TooShort);
    }
    if lifetime > longest(role) {
        return Err(NoTerms::TooLong { role });
    }
    Ok(Terms {
        user: format!("{PREFIX}{user}"),
        group: group(role),
        lifetime,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_certificate_names_one_person_and_one_role_and_ends() {
        let hour = 3600;
        let rows = [
            ("ada", ClusterRole::View, 8 * hour, "faros:ada faros:view"),
            (
                "ada@example.com",
                ClusterRole::ClusterAdmin,
                24 * hour,
                "faros:ada@example.com faros:cluster-admin",
            ),
            ("a", ClusterRole::Edit, 168 * hour, "faros:a faros:edit"),
            ("a", ClusterRole::Admin, 300, "faros:a faros:admin"),
            (
                "a",
                ClusterRole::View,
                299,
                "a certificate is good for 5 minutes at least",
            ),
            (
                "a",
                ClusterRole::Edit,
                168 * hour + 1,
                "a certificate of the role edit is good for 168 hours at most, since it cannot be taken back",
            ),
            (
                "a",
                ClusterRole::ClusterAdmin,
                25 * hour,
                "a certificate of the role cluster-admin is good for 24 hours at most, since it cannot be taken back",
            ),
        ];
        for (user, role, seconds, expected) in rows {
            let said = match terms(user, role, seconds) {
                Ok(terms) => format!("{} {}", terms.user, terms.group),
                Err(why) => why.to_string(),
            };
            assert_eq!(said, expected, "{user} {role} {seconds}");
        }
    }

    #[test]
    fn nobody_is_taken_for_a_part_of_the_cluster() {
        for user in [
            "",
            "system:masters",
            "a b",
            "a,O=system:masters",
            "ä",
            &"a".repeat(64),
            "a\n",
        ] {
            assert!(
                matches!(terms(user, ClusterRole::View, 3600), Err(NoTerms::Name(_))),
                "{user}"
            );
        }
    }
}
