//! The words that name problems. People's scripts hold on to them: they are only ever added to.

macro_rules! codes {
    ($($variant:ident = $word:literal, $meaning:literal;)*) => {
        /// What kind of problem it is.
        #[derive(Debug, Clone, Copy, PartialEq, Eq)]
        pub(crate) enum Code {
            $(#[doc = $meaning] $variant,)*
        }

        impl Code {
            /// All of them, in the order of the reference page.
            pub(crate) const ALL: &[Self] = &[$(Self::$variant,)*];

            /// The word in `code`.
            pub(crate) const fn as_str(self) -> &'static str {
                match self {
                    $(Self::$variant => $word,)*
                }
            }

            /// What it says, for the reference page.
            pub(crate) const fn meaning(self) -> &'static str {
                match self {
                    $(Self::$variant => $meaning,)*
                }
            }
        }
    };
}

codes! {
    EmptyFile = "empty-file", "There is nothing in the file.";
    FileTooLarge = "file-too-large", "The file has more than 1 MiB or 100000 values.";
    TooDeep = "too-deep", "Something is nested more than 32 levels deep.";
    YamlSyntax = "yaml-syntax", "The text is not YAML.";
    SeveralDocuments = "several-documents", "The file has more than one document.";
    Anchor = "anchor", "Anchors and aliases are not read.";
    Tag = "tag", "Tags are not read.";
    BadKey = "bad-key", "A key is a list or a mapping.";
    DuplicateKey = "duplicate-key", "A mapping has a key twice.";
    UnsupportedVersion = "unsupported-version", "`apiVersion` is not one that this version reads.";
    UnsupportedKind = "unsupported-kind", "`kind` is not `Site`.";
    UnknownKey = "unknown-key", "There is no such key at this place.";
    MissingKey = "missing-key", "A key that must be there is not.";
    MissingValue = "missing-value", "A key has no value, or a list that must have items has none.";
    WrongType = "wrong-type", "A value is of another type: text, number, true or false, list, mapping.";
    UnknownValue = "unknown-value", "A word is not one of those that can stand here.";
    NumberOutOfRange = "number-out-of-range", "A number is too small or too large.";
    SecretInClear = "secret-in-clear", "A password, token or private key stands in the file.";
    InvalidName = "invalid-name", "A name is no RFC 1123 label.";
    InvalidDomain = "invalid-domain", "A domain is not made of labels joined by dots.";
    DomainTooLong = "domain-too-long", "Names in the site's zone would have more than 253 characters.";
    InvalidLabel = "invalid-label", "A label is not as Kubernetes wants it.";
    ReservedLabel = "reserved-label", "A label is one that a kubelet may not give to itself.";
    InvalidTaint = "invalid-taint", "A taint is not as Kubernetes wants it.";
    InvalidSshKey = "invalid-ssh-key", "A line is no SSH public key.";
    InvalidMac = "invalid-mac", "A MAC is malformed, a group address or all zero.";
    InvalidAddress = "invalid-address", "An IPv4 address is malformed, or cannot be a host's.";
    InvalidSubnet = "invalid-subnet", "A network is malformed, has host bits set, or cannot hold hosts.";
    InvalidRange = "invalid-range", "A range of addresses is malformed, or ends before it starts.";
    InvalidInterface = "invalid-interface", "A name can be no network interface's.";
    InvalidImage = "invalid-image", "An image is no name in the content store.";
    InvalidDisk = "invalid-disk", "A disk is no path below `/dev`.";
    InvalidSize = "invalid-size", "A size is malformed or zero.";
    InvalidPath = "invalid-path", "A path is not absolute, or leaves its folder.";
    InvalidPort = "invalid-port", "A port is malformed.";
    InvalidUrl = "invalid-url", "A URL is malformed, or of a scheme that cannot stand here.";
    InvalidVersion = "invalid-version", "A version is malformed.";
    VersionSkew = "version-skew", "The cluster that there is cannot become that version of Kubernetes.";
    VersionNotSupported = "version-not-supported", "This version of Faros does not install that version of Kubernetes.";
    InvalidPciAddress = "invalid-pci-address", "A PCI address is malformed.";
    InvalidCertificate = "invalid-certificate", "A text is no certificate in PEM.";
    InvalidKernelArgument = "invalid-kernel-argument", "A kernel argument is not one word.";
    ReservedKernelArgument = "reserved-kernel-argument", "A kernel argument is one that the bastion sets.";
    DuplicateName = "duplicate-name", "A name is that of another machine, or one that the site makes itself.";
    DuplicateMac = "duplicate-mac", "A MAC is that of another interface.";
    DuplicateAddress = "duplicate-address", "An address is that of another host.";
    DuplicateValue = "duplicate-value", "A list has a value twice.";
    UnknownHost = "unknown-host", "A name is that of no machine of the site.";
    AddressOutsideSubnet = "address-outside-subnet", "An address or range is not in its subnet.";
    AddressReserved = "address-reserved", "An address is the network's or the broadcast address.";
    AddressInDynamicRange = "address-in-dynamic-range", "A fixed address could be leased to someone else.";
    NetworksOverlap = "networks-overlap", "Two networks of the site share addresses.";
    PodNetworkTooSmall = "pod-network-too-small", "The pods have no block of addresses for each address of the LAN.";
    SubnetTooSmall = "subnet-too-small", "The LAN has no address left for some hosts.";
    IgnoredMacInUse = "ignored-mac-in-use", "A MAC is to be ignored, and is a machine's of the site.";
    BondTooSmall = "bond-too-small", "A bond has fewer than two members.";
    BootMacNotInBond = "boot-mac-not-in-bond", "The interface that network-boots is no member of the bond.";
    ControlPlaneCount = "control-plane-count", "The control plane can have no quorum.";
    RolesExcludeEachOther = "roles-exclude-each-other", "An arbiter has another role.";
    PublishUnclear = "publish-unclear", "A published entry is neither a service nor a port.";
    PublishedTwice = "published-twice", "A service or port is published twice.";
    BalancerWithoutRouter = "balancer-without-router", "The balancer is switched on, and the router that it needs is switched off.";
    RecordUnclear = "record-unclear", "A DNS record has not exactly one of `a`, `cname` and `txt`.";
    RecordConflict = "record-conflict", "An alias has other records beside it, or leads in a circle.";
    TextTooLong = "text-too-long", "A text record has more than 255 bytes.";
    ForwarderIsBastion = "forwarder-is-bastion", "The bastion would ask itself.";
    NotActedOnYet = "not-acted-on-yet", "This is checked and kept, and no service of this version acts on it.";
    Placeholder = "placeholder", "A value is an example's placeholder.";
    NoSshKeys = "no-ssh-keys", "Nobody can log in on a node.";
    UnstableDiskName = "unstable-disk-name", "A disk's name can be another disk's after the next boot.";
    NotEncrypted = "not-encrypted", "A node's disks are not encrypted.";
    OpenUnlock = "open-unlock", "The bastion helps whoever asks to unlock disks.";
    AddressByCollision = "address-by-collision", "Two names ask for one address: one may move when hosts are added.";
}
