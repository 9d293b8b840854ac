//! The site file, `apiVersion: faros.dev/v1alpha1`.
//!
//! Every field is optional here, so that a file with faults still becomes a value and all its faults can be
//! told at once; what must be there stands in the JSON Schema's `required`. The doc comments are the text
//! of the reference page.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

macro_rules! wire {
    ($(#[$meta:meta])* $name:ident { $($(#[$fmeta:meta])* $field:ident: $type:ty,)* }) => {
        #[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
        #[serde(rename_all = "camelCase", deny_unknown_fields)]
        $(#[$meta])*
        pub struct $name {
            $($(#[$fmeta])* #[serde(default, skip_serializing_if = "Option::is_none")] pub $field: Option<$type>,)*
        }
    };
}

macro_rules! words {
    ($(#[$meta:meta])* $name:ident { $($(#[doc = $doc:literal])* $variant:ident = $word:literal,)* }) => {
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
        $(#[$meta])*
        pub enum $name {
            $($(#[doc = $doc])* #[serde(rename = $word)] $variant,)*
        }
    };
}

wire! {
    /// A site: one bastion, its nodes and their network.
    #[schemars(extend("required" = ["apiVersion", "kind", "metadata", "spec"]))]
    SiteFile {
        /// Version of this format: `faros.dev/v1alpha1`.
        api_version: ApiVersion,
        /// Always `Site`.
        kind: Kind,
        /// What the site is called.
        metadata: Metadata,
        /// What the site is to be.
        spec: Spec,
    }
}

words! {
    /// Version of the site file's format.
    ApiVersion {
        /// The format that this page describes.
        V1Alpha1 = "faros.dev/v1alpha1",
    }
}

words! {
    /// Kind of the document.
    Kind {
        /// A site.
        Site = "Site",
    }
}

wire! {
    /// What the site is called.
    #[schemars(extend("required" = ["name"]))]
    Metadata {
        /// Name of the site and its cluster, an RFC 1123 label; names are `<host>.<name>.<domain>`.
        #[schemars(extend("examples" = ["harbour-7"]))]
        name: String,
        /// Labels by which a fleet selects sites.
        labels: BTreeMap<String, String>,
    }
}

wire! {
    /// What the site is to be.
    #[schemars(extend("required" = ["domain", "sshAuthorizedKeys", "uplink", "lan", "nodes"]))]
    Spec {
        /// Parent domain of the cluster; the bastion answers for `<name>.<domain>`.
        #[schemars(extend("examples" = ["edge.example.com"]))]
        domain: String,
        /// SSH public keys that may log in on nodes, as in `authorized_keys`.
        ssh_authorized_keys: Vec<String>,
        /// The bastion's side towards the outside.
        uplink: Uplink,
        /// The network of the nodes.
        lan: Lan,
        /// Name service.
        dns: Dns,
        /// Time service.
        time: Time,
        /// The Kubernetes cluster.
        cluster: Cluster,
        /// What all nodes have in common; a node's own value wins.
        node_defaults: NodeDefaults,
        /// The bare-metal machines of the cluster.
        nodes: Vec<Node>,
        /// Virtual machines on the bastion.
        machines: Vec<Machine>,
        /// Storage for the cluster.
        storage: Storage,
        /// Monitoring of the cluster.
        monitoring: Monitoring,
        /// Where secrets live.
        secrets: Secrets,
        /// Disk unlocking.
        unlock: Unlock,
        /// Install content.
        content: Content,
        /// Services of the bastion that are switched off; all run by default.
        services: Services,
        /// The central hub to enrol with.
        hub: Hub,
    }
}

wire! {
    /// The bastion's side towards the outside.
    #[schemars(extend("required" = ["interface"]))]
    Uplink {
        /// Which interface it is: a name, or `{mac: …}` where names move.
        interface: InterfaceRef,
        /// How it gets its address: `dhcp`, `host` (someone else manages it), or an address of its own. Default `dhcp`.
        addressing: UplinkAddressing,
        /// `pat`: only what is published is reachable from outside; `nat`: the enterprise routes to the LAN through the bastion. Default `pat`.
        gateway_mode: GatewayMode,
        /// Networks that may come in at all. Default: none.
        trusted_networks: Vec<String>,
        /// What is reachable from outside: a service's word, or a port of your own.
        publish: Vec<Publish>,
        /// Proxy towards the outside.
        proxy: Proxy,
    }
}

/// An interface: its name, or its MAC.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(untagged)]
pub enum InterfaceRef {
    /// Its name, such as `enp1s0`.
    Name(String),
    /// Its MAC.
    ByMac(InterfaceByMac),
}

wire! {
    /// An interface that is found by its MAC.
    #[schemars(extend("required" = ["mac"]))]
    InterfaceByMac {
        /// Its MAC.
        mac: String,
    }
}

/// How the uplink gets its address.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(untagged)]
pub enum UplinkAddressing {
    /// `dhcp` or `host`.
    Word(UplinkAddressingWord),
    /// An address of its own.
    Static(StaticAddress),
}

words! {
    /// How the uplink gets its address, in a word.
    UplinkAddressingWord {
        /// By DHCP.
        Dhcp = "dhcp",
        /// The host's own network manager does it.
        Host = "host",
    }
}

wire! {
    /// A fixed address.
    #[schemars(extend("required" = ["address"]))]
    StaticAddress {
        /// Address with prefix length, such as `203.0.113.2/30`.
        address: String,
        /// The next hop.
        gateway: String,
    }
}

words! {
    /// How nodes and the outside reach each other.
    GatewayMode {
        /// Only what is published is reachable.
        Pat = "pat",
        /// Nodes are routable from outside.
        Nat = "nat",
    }
}

/// Something that is reachable from outside: a service's word, or an object.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(untagged)]
pub enum Publish {
    /// A service of the site, from the trusted networks.
    Word(PublishedService),
    /// A service or a port, in detail.
    Entry(PublishEntry),
}

words! {
    /// A service of the site that can be published.
    PublishedService {
        /// SSH to the bastion.
        Ssh = "ssh",
        /// The web console.
        Console = "console",
        /// The Kubernetes API.
        Api = "api",
        /// HTTP ingress.
        IngressHttp = "ingress-http",
        /// HTTPS ingress.
        IngressHttps = "ingress-https",
    }
}

wire! {
    /// A published service or port.
    PublishEntry {
        /// A service of the site.
        service: PublishedService,
        /// Name of a port of your own.
        name: String,
        /// Port and protocol, such as `8883/tcp`.
        #[schemars(extend("examples" = ["8883/tcp"]))]
        port: String,
        /// Where a port of your own leads: `host:port`, balanced over all.
        to: Vec<String>,
        /// Who may come in. Default: the trusted networks.
        from: Vec<String>,
    }
}

wire! {
    /// Proxy towards the outside.
    Proxy {
        /// Proxy for HTTP.
        http: String,
        /// Proxy for HTTPS.
        https: String,
        /// Names and networks that are reached without it.
        none: Vec<String>,
        /// File with the certificates of the proxy's authority.
        ca_file: String,
    }
}

wire! {
    /// The network of the nodes.
    #[schemars(extend("required" = ["interfaces"]))]
    Lan {
        /// The bastion's interfaces on it; several are bridged.
        #[schemars(extend("examples" = [["enp2s0"]]))]
        interfaces: Vec<String>,
        /// Its network. Default `192.168.8.0/24`.
        subnet: String,
        /// Largest packet in bytes. Default 1500.
        mtu: u32,
        /// Addresses for machines that are not in this file, as `first-last`. Default: the upper half of the subnet.
        #[schemars(extend("examples" = ["192.168.8.128-192.168.8.253"]))]
        dynamic_range: String,
        /// MACs that get no answer from DHCP.
        ignored_macs: Vec<String>,
        /// Addresses of the bastion and the virtual IPs; each may be set.
        addresses: LanAddresses,
        /// Neighbors that are no nodes.
        hosts: Vec<Host>,
        /// Who on the LAN may use what of the bastion.
        firewall: Vec<FirewallRule>,
    }
}

wire! {
    /// Addresses of the bastion and the virtual IPs.
    LanAddresses {
        /// The bastion. Default: the first address of the subnet.
        bastion: String,
        /// Virtual IP of the Kubernetes API. Default: the second address.
        api: String,
        /// Virtual IP of the ingress. Default: that of the API.
        ingress: String,
        /// The bootstrap machine. Default: the third address.
        bootstrap: String,
    }
}

wire! {
    /// A neighbor on the LAN that is no node.
    #[schemars(extend("required" = ["name"]))]
    Host {
        /// Its name.
        name: String,
        /// Its MAC; with it, DHCP gives it its address.
        mac: String,
        /// Its address. Default: follows from its name.
        address: String,
    }
}

wire! {
    /// Who on the LAN may use what of the bastion.
    #[schemars(extend("required" = ["from", "allow"]))]
    FirewallRule {
        /// Groups of machines: `nodes`, `bmcs`, `hosts`, `unknown`, or networks.
        from: Vec<String>,
        /// Services: `dns`, `ntp`, `dhcp`, `netboot`, `unlock`, `ssh`, `console`.
        allow: Vec<String>,
    }
}

wire! {
    /// Name service.
    Dns {
        /// Resolvers that answer for the rest of the world. Default: none, so that only the site's own names resolve.
        #[schemars(extend("examples" = [["9.9.9.9", "1.1.1.1"]]))]
        forwarders: Vec<String>,
        /// Further records of the site's zone.
        records: Vec<Record>,
    }
}

wire! {
    /// A further record of the site's zone; exactly one of `a`, `cname` and `txt`.
    #[schemars(extend("required" = ["name"]))]
    Record {
        /// Name relative to the zone.
        name: String,
        /// An address.
        a: String,
        /// An alias: a name of the zone, or a full name with dots.
        cname: String,
        /// Text.
        txt: String,
    }
}

wire! {
    /// Time service.
    Time {
        /// Upstream servers.
        sources: Vec<TimeSource>,
        /// Stratum to claim when no source answers, 1 to 15. Default 10.
        orphan_stratum: u8,
    }
}

wire! {
    /// An upstream time server.
    #[schemars(extend("required" = ["server"]))]
    TimeSource {
        /// Name or address.
        server: String,
    }
}

wire! {
    /// The Kubernetes cluster.
    Cluster {
        /// Which Kubernetes is installed. Default `kubeadm`.
        distribution: Distribution,
        /// Its version, such as `v1.34.2`.
        version: String,
        /// Addresses of pods. Default `10.128.0.0/14`.
        pod_network: String,
        /// Addresses of services. Default `172.30.0.0/16`.
        service_network: String,
        /// The network plug-in. Default `bridge`.
        network_plugin: NetworkPlugin,
        /// The secret with which images are pulled.
        pull_secret_ref: SecretRef,
        /// FIPS mode. Default false.
        fips: bool,
    }
}

words! {
    /// Which Kubernetes is installed.
    Distribution {
        /// Upstream Kubernetes by kubeadm.
        Kubeadm = "kubeadm",
        /// OpenShift.
        Openshift = "openshift",
        /// Only the machines.
        None = "none",
    }
}

words! {
    /// Network plug-in of the cluster.
    NetworkPlugin {
        /// Bridge and host routes.
        Bridge = "bridge",
        /// Cilium.
        Cilium = "cilium",
        /// Calico.
        Calico = "calico",
        /// Flannel.
        Flannel = "flannel",
    }
}

wire! {
    /// A secret by its name; the secret itself never stands in this file.
    #[schemars(extend("required" = ["name"]))]
    SecretRef {
        /// Name in the bastion's store of secrets, or in Vault.
        name: String,
    }
}

wire! {
    /// What all nodes have in common.
    NodeDefaults {
        /// What a node does. Default `[control-plane, worker]`.
        roles: Vec<Role>,
        /// How a node is on the LAN.
        network: NodeNetwork,
        /// Processor architecture. Default `x86_64`.
        architecture: Architecture,
        /// Operating system image, a name in the content store. Default `debian-13`.
        image: String,
        /// Where the operating system is installed.
        install_disk: DiskRef,
        /// Further disks.
        data_disks: Vec<DataDisk>,
        /// Board management controller.
        bmc: Bmc,
        /// Encryption of the disks.
        encryption: Encryption,
        /// Kubernetes labels; a node's own are added.
        labels: BTreeMap<String, String>,
        /// Kubernetes taints, as `key=value:Effect`; a node's own are added.
        taints: Vec<String>,
        /// Kernel arguments; a node's own are added.
        kernel_arguments: Vec<String>,
    }
}

wire! {
    /// A bare-metal machine of the cluster.
    #[schemars(extend("required" = ["name", "bootMac"]))]
    Node {
        /// Its name, an RFC 1123 label.
        #[schemars(extend("examples" = ["node-1"]))]
        name: String,
        /// What it does.
        roles: Vec<Role>,
        /// MAC of the interface that network-boots.
        #[schemars(extend("examples" = ["52:54:00:08:00:01"]))]
        boot_mac: String,
        /// How it is on the LAN once it runs.
        network: NodeNetwork,
        /// Its address. Default: follows from its name.
        address: String,
        /// Processor architecture.
        architecture: Architecture,
        /// Operating system image, a name in the content store.
        image: String,
        /// Where the operating system is installed: a stable path below `/dev/disk`, or hints.
        #[schemars(extend("examples" = ["/dev/disk/by-path/pci-0000:00:04.0"]))]
        install_disk: DiskRef,
        /// Further disks.
        data_disks: Vec<DataDisk>,
        /// Board management controller.
        bmc: Bmc,
        /// Encryption of the disks.
        encryption: Encryption,
        /// Kubernetes labels.
        labels: BTreeMap<String, String>,
        /// Kubernetes taints, as `key=value:Effect`.
        taints: Vec<String>,
        /// Kernel arguments.
        kernel_arguments: Vec<String>,
    }
}

words! {
    /// What a node does in the cluster.
    Role {
        /// Runs the Kubernetes control plane.
        ControlPlane = "control-plane",
        /// Runs workloads.
        Worker = "worker",
        /// Runs management workloads: storage, monitoring.
        MetaWorker = "meta-worker",
        /// Entry point: load balancer, firewall.
        Frontend = "frontend",
        /// A member of etcd and nothing else.
        Arbiter = "arbiter",
    }
}

words! {
    /// Processor architecture, as `uname -m` says it.
    Architecture {
        /// 64-bit x86.
        X86_64 = "x86_64",
        /// 64-bit Arm.
        Aarch64 = "aarch64",
    }
}

wire! {
    /// How a node is on the LAN once it runs.
    NodeNetwork {
        /// Whether it asks DHCP or is told its address, which is the same. Default `dhcp`.
        addressing: NodeAddressing,
        /// Interfaces joined to one.
        bond: Bond,
    }
}

words! {
    /// How a node learns its address.
    NodeAddressing {
        /// From DHCP.
        Dhcp = "dhcp",
        /// From its Ignition config.
        Static = "static",
    }
}

wire! {
    /// Interfaces joined to one.
    #[schemars(extend("required" = ["mode", "macs"]))]
    Bond {
        /// Linux bonding mode.
        mode: BondMode,
        /// MACs of its members, at least two; `bootMac` is one of them.
        macs: Vec<String>,
    }
}

words! {
    /// Linux bonding mode.
    BondMode {
        /// Round robin.
        BalanceRr = "balance-rr",
        /// One active member.
        ActiveBackup = "active-backup",
        /// By hash.
        BalanceXor = "balance-xor",
        /// Everything on all.
        Broadcast = "broadcast",
        /// Link aggregation (LACP).
        Ieee8023ad = "802.3ad",
    }
}

/// A disk: a stable path, or hints.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(untagged)]
pub enum DiskRef {
    /// A path such as `/dev/disk/by-id/…`.
    Path(String),
    /// What the disk is; all hints must match exactly one.
    ByHints(DiskByHints),
}

wire! {
    /// A disk that is found by what it is.
    #[schemars(extend("required" = ["hints"]))]
    DiskByHints {
        /// What the disk is.
        hints: DiskHints,
    }
}

wire! {
    /// What a disk is; all hints must match exactly one disk.
    DiskHints {
        /// At least this size, such as `200Gi`.
        min_size: String,
        /// Spinning or not.
        rotational: bool,
        /// Serial number.
        serial_number: String,
        /// Model.
        model: String,
        /// World Wide Name.
        wwn: String,
    }
}

wire! {
    /// A further disk of a node.
    #[schemars(extend("required" = ["disk", "use"]))]
    DataDisk {
        /// Which disk.
        disk: DiskRef,
        /// What for: `kubelet`, `storage` or `{mount: /path}`.
        r#use: DiskUse,
    }
}

/// What a further disk is for.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(untagged)]
pub enum DiskUse {
    /// `kubelet` or `storage`.
    Word(DiskUseWord),
    /// A mount point.
    Mount(DiskMount),
}

words! {
    /// What a further disk is for, in a word.
    DiskUseWord {
        /// Data of the kubelet and the container runtime.
        Kubelet = "kubelet",
        /// The cluster's storage.
        Storage = "storage",
    }
}

wire! {
    /// A mount point.
    #[schemars(extend("required" = ["mount"]))]
    DiskMount {
        /// Absolute path.
        mount: String,
    }
}

wire! {
    /// A board management controller.
    Bmc {
        /// Where it is, such as `redfish+https://192.168.8.91`; `ipmi://…` for IPMI.
        address: String,
        /// Its MAC; with it, DHCP gives it its address.
        mac: String,
        /// The secret with its user and password.
        credentials_ref: SecretRef,
    }
}

wire! {
    /// Encryption of a node's disks.
    Encryption {
        /// What unlocks them: `tang`, `tang+tpm2`, `none`, or a threshold. Default `tang`.
        unlock: UnlockSpec,
    }
}

/// What unlocks a node's disks.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(untagged)]
pub enum UnlockSpec {
    /// A common choice, in a word.
    Word(UnlockWord),
    /// So many of these.
    Threshold(UnlockThreshold),
}

words! {
    /// A common choice of what unlocks disks.
    UnlockWord {
        /// The bastion.
        Tang = "tang",
        /// The bastion and the machine's TPM together.
        TangAndTpm2 = "tang+tpm2",
        /// Nothing: the disks are not encrypted.
        None = "none",
    }
}

wire! {
    /// So many of these must help.
    #[schemars(extend("required" = ["threshold", "of"]))]
    UnlockThreshold {
        /// How many must help.
        threshold: u8,
        /// Who can help.
        of: Vec<UnlockBy>,
    }
}

words! {
    /// Who can help to unlock.
    UnlockBy {
        /// The bastion.
        Tang = "tang",
        /// The machine's TPM 2.0.
        Tpm2 = "tpm2",
        /// Other nodes.
        Peers = "peers",
    }
}

wire! {
    /// A virtual machine on the bastion.
    #[schemars(extend("required" = ["name"]))]
    Machine {
        /// Its name.
        name: String,
        /// What it does.
        roles: Vec<Role>,
        /// Processor cores.
        cores: u32,
        /// Memory, such as `24Gi`.
        memory: String,
        /// Disks of the bastion that it gets.
        disks: Vec<String>,
        /// PCI devices of the bastion that it gets, such as `0000:3b:00.0`.
        pci_devices: Vec<String>,
    }
}

wire! {
    /// Storage for the cluster.
    Storage {
        /// Who provides it.
        provider: StorageProvider,
        /// Which disks it takes: `by-node` means the data disks with `use: storage`.
        disks: StorageDisks,
        /// Whether it encrypts. Default true.
        encrypted: bool,
    }
}

words! {
    /// Who provides storage.
    StorageProvider {
        /// Ceph by Rook.
        RookCeph = "rook-ceph",
        /// Local volumes.
        Local = "local",
        /// Nobody.
        None = "none",
    }
}

words! {
    /// Which disks storage takes.
    StorageDisks {
        /// The data disks that say so.
        ByNode = "by-node",
    }
}

wire! {
    /// Monitoring of the cluster.
    Monitoring {
        /// Whether it is installed.
        enabled: bool,
    }
}

wire! {
    /// Where secrets live.
    Secrets {
        /// `builtin`, or a Vault. Default `builtin`.
        backend: SecretsBackend,
    }
}

/// Where secrets live.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(untagged)]
pub enum SecretsBackend {
    /// The bastion's own store.
    Word(SecretsBackendWord),
    /// A Vault.
    Vault(SecretsVault),
}

words! {
    /// Where secrets live, in a word.
    SecretsBackendWord {
        /// The bastion's own encrypted store.
        Builtin = "builtin",
    }
}

wire! {
    /// Secrets in a Vault.
    #[schemars(extend("required" = ["vault"]))]
    SecretsVault {
        /// The Vault.
        vault: Vault,
    }
}

wire! {
    /// A Vault.
    #[schemars(extend("required" = ["address"]))]
    Vault {
        /// Its URL.
        address: String,
    }
}

wire! {
    /// Disk unlocking.
    Unlock {
        /// Whom the bastion helps. Default `boot-session`.
        policy: UnlockPolicy,
        /// What seals the bastion's keys at rest. Default `nothing`, said aloud in every status.
        seal_keys_with: SealKeysWith,
    }
}

words! {
    /// Whom the bastion helps to unlock.
    UnlockPolicy {
        /// Only a node that is booting right now.
        BootSession = "boot-session",
        /// Any node of the site.
        KnownNodes = "known-nodes",
        /// Anyone: plain Tang.
        Anyone = "anyone",
    }
}

words! {
    /// What seals the bastion's keys at rest.
    SealKeysWith {
        /// The bastion's TPM 2.0.
        Tpm2 = "tpm2",
        /// A passphrase asked at start.
        Passphrase = "passphrase",
        /// A share held elsewhere.
        Share = "share",
        /// Nothing.
        Nothing = "nothing",
    }
}

wire! {
    /// Install content.
    Content {
        /// When it is reachable. Default `while-armed`.
        serve: ServeContent,
    }
}

words! {
    /// When install content is reachable.
    ServeContent {
        /// Only to a node that is to be installed.
        WhileArmed = "while-armed",
        /// Always, to the whole LAN.
        Always = "always",
    }
}

wire! {
    /// Services of the bastion.
    Services {
        /// Addresses and boot options.
        dhcp: ServiceSwitch,
        /// Names.
        dns: ServiceSwitch,
        /// Loaders, kernels and images, by TFTP and HTTP.
        netboot: ServiceSwitch,
        /// Ignition configs.
        ignition: ServiceSwitch,
    }
}

wire! {
    /// A service that runs or does not.
    #[schemars(extend("required" = ["enabled"]))]
    ServiceSwitch {
        /// Whether it runs. Default true.
        enabled: bool,
    }
}

wire! {
    /// The central hub; enrolment is by a single-use code given to `farosctl`, never in this file.
    #[schemars(extend("required" = ["url"]))]
    Hub {
        /// Its URL, `https://…`.
        url: String,
    }
}
