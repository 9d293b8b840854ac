//! The machines: bare metal, and virtual ones on the bastion.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{DataDisk, DiskRef, Encryption, SecretRef, pattern};

wire! {
    /// What all nodes have in common: the keys of a node, without those that are one machine's own.
    NodeDefaults {
        /// What a node does.
        #[schemars(extend("default" = ["control-plane", "worker"]))]
        roles: Vec<Role>,
        /// How nodes are on the LAN once they run.
        network: NodeNetworkDefaults,
        /// Processor architecture.
        #[schemars(extend("default" = "x86_64"))]
        architecture: Architecture,
        /// Operating system image: a name in the content store.
        #[schemars(extend("default" = "debian-13"))]
        image: String,
        /// Where the operating system is installed.
        #[schemars(extend("examples" = ["/dev/disk/by-path/pci-0000:00:04.0"]))]
        install_disk: DiskRef,
        /// Further disks.
        data_disks: Vec<DataDisk>,
        /// What board management controllers have in common. It gives none to a node that has no `bmc` of its own.
        bmc: BmcDefaults,
        /// Encryption of the disks.
        encryption: Encryption,
        /// Kubernetes labels; a node's own are added, and win.
        labels: BTreeMap<String, String>,
        /// Kubernetes taints, as `key=value:Effect`; a node's own are added.
        taints: Vec<String>,
        /// Kernel arguments; a node's own are added.
        #[schemars(extend("examples" = [["console=ttyS0"]]))]
        kernel_arguments: Vec<String>,
    }
}

wire! {
    /// How nodes are on the LAN once they run. A bond is one node's own, because it names MACs.
    NodeNetworkDefaults {
        /// How the operating system learns its address, which is the same either way.
        #[schemars(extend("default" = "dhcp"))]
        addressing: NodeAddressing,
    }
}

wire! {
    /// What board management controllers have in common.
    BmcDefaults {
        /// The secret with user and password.
        #[schemars(extend("examples" = [{"name": "bmc"}]))]
        credentials_ref: SecretRef,
    }
}

wire! {
    /// A bare-metal machine of the cluster.
    #[schemars(extend("required" = ["name", "bootMac"]))]
    Node {
        /// Its name, an RFC 1123 label.
        #[schemars(extend("examples" = ["node-1"], "pattern" = pattern::LABEL))]
        name: String,
        /// What it does, at least one role. The control plane has 1, 3 or 5 members, or 2 and an arbiter. Default: that of `nodeDefaults`.
        roles: Vec<Role>,
        /// MAC of the interface that network-boots.
        #[schemars(extend("examples" = ["52:54:00:08:00:01"], "pattern" = pattern::MAC))]
        boot_mac: String,
        /// How it is on the LAN once it runs.
        network: NodeNetwork,
        /// Its address. Default: follows from its name.
        #[schemars(extend("examples" = ["192.168.8.11"], "pattern" = pattern::ADDRESS))]
        address: String,
        /// Processor architecture. Default: that of `nodeDefaults`.
        architecture: Architecture,
        /// Operating system image: a name in the content store. Default: that of `nodeDefaults`.
        #[schemars(extend("examples" = ["debian-13"]))]
        image: String,
        /// Where the operating system is installed: a stable path below `/dev/disk`, or hints. Must be here or in `nodeDefaults`.
        #[schemars(extend("examples" = ["/dev/disk/by-path/pci-0000:00:04.0"]))]
        install_disk: DiskRef,
        /// Further disks.
        data_disks: Vec<DataDisk>,
        /// Its board management controller, which is named `<name>-mgmt`. Default: none.
        bmc: Bmc,
        /// Encryption of the disks.
        encryption: Encryption,
        /// Kubernetes labels.
        #[schemars(extend("examples" = [{"rack": "a"}]))]
        labels: BTreeMap<String, String>,
        /// Kubernetes taints, as `key=value:Effect`.
        #[schemars(extend("examples" = [["media=true:NoSchedule"]]))]
        taints: Vec<String>,
        /// Kernel arguments, one each.
        #[schemars(extend("examples" = [["console=ttyS0"]]))]
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
        /// How its operating system learns its address, which is the same either way. Default: that of `nodeDefaults`.
        addressing: NodeAddressing,
        /// Interfaces joined to one. Default: none.
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
        #[schemars(extend("examples" = ["active-backup"]))]
        mode: BondMode,
        /// MACs of its members, at least two; `bootMac` is one of them.
        #[schemars(extend("examples" = [["52:54:00:08:00:01", "52:54:00:08:01:01"]]), inner(regex(pattern = pattern::MAC)))]
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

wire! {
    /// A board management controller.
    Bmc {
        /// Where it is: `redfish+https://`, `redfish+http://` or `ipmi://`, and an address of the LAN. Default: Redfish at an address that follows from the node's name.
        #[schemars(extend("examples" = ["redfish+https://192.168.8.91"]))]
        address: String,
        /// Its MAC; with it, DHCP gives it its address.
        #[schemars(extend("examples" = ["52:54:00:08:02:01"], "pattern" = pattern::MAC))]
        mac: String,
        /// The secret with its user and password. Default: that of `nodeDefaults`.
        #[schemars(extend("examples" = [{"name": "bmc"}]))]
        credentials_ref: SecretRef,
    }
}

wire! {
    /// A virtual machine on the bastion.
    #[schemars(extend("required" = ["name"]))]
    Machine {
        /// Its name, an RFC 1123 label.
        #[schemars(extend("examples" = ["app-1"], "pattern" = pattern::LABEL))]
        name: String,
        /// What it does in the cluster. Default: nothing.
        roles: Vec<Role>,
        /// Processor cores.
        #[schemars(extend("default" = 2, "minimum" = 1))]
        cores: u32,
        /// Memory: a number with Mi or Gi.
        #[schemars(extend("default" = "4Gi", "pattern" = pattern::SIZE))]
        memory: String,
        /// Disks of the bastion that it gets, by stable paths.
        #[schemars(extend("examples" = [["/dev/disk/by-id/nvme-eui.0025385b01404a40"]]))]
        disks: Vec<String>,
        /// PCI devices of the bastion that it gets, as `lspci -D` names them.
        #[schemars(extend("examples" = [["0000:3b:00.0"]]))]
        pci_devices: Vec<String>,
    }
}
