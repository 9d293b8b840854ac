//! How results are printed. The option is everyone's, so what `ports` alone can print is hidden from the others.

use clap::ValueEnum;

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Output {
    /// For people.
    Text,
    /// For programs.
    Json,
    /// For people; another name of `text`.
    #[value(hide = true)]
    Table,
    /// For spreadsheets, of `ports` alone.
    #[value(hide = true)]
    Csv,
    /// For nftables, of `ports` alone.
    #[value(hide = true)]
    Nft,
    /// For firewalld, of `ports` alone.
    #[value(hide = true)]
    Firewalld,
    /// For `OpenStack`, of `ports` alone.
    #[value(hide = true)]
    Openstack,
}

impl Output {
    /// Whether only `ports` can print so.
    pub(crate) const fn is_of_ports(self) -> bool {
        match self {
            Self::Text | Self::Json => false,
            Self::Table | Self::Csv | Self::Nft | Self::Firewalld | Self::Openstack => true,
        }
    }
}
